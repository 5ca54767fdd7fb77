# SPDX-License-Identifier: Apache-2.0
"""Points in the picture: which are compared with which depth."""

import numpy as np
import pytest

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.scale.points import compare, measure

CAMERA = Camera(640, 480, 500.0, 510.0, 320.0, 240.0)
BENT = Camera(640, 480, 500.0, 510.0, 320.0, 240.0, 'plumb_bob', (-0.25, 0.06, 0.001, -0.002, 0.0))
FISHEYE = Camera(640, 480, 300.0, 300.0, 320.0, 240.0, 'equidistant', (0.01, 0.002, 0.0, 0.0))
MAX_DEPTH = 20.0


def slope(camera, steepness=0.004):
    """Depth that grows from left to right, (H, W) float32 [m]."""
    u = np.arange(camera.width)
    return np.broadcast_to(2.0 + steepness * u, (camera.height, camera.width)).astype(np.float32)


def on_surface(camera, depth, pixels):
    """The points of pixels (N, 2)."""
    u, v = np.asarray(pixels).T
    z = depth[v, u].astype(float)
    return np.column_stack([camera.rays[v, u] * z[:, None], z])


@pytest.mark.parametrize('camera', [CAMERA, BENT, FISHEYE])
def test_points_on_the_surface_give_one(camera):
    """Whatever the lens, points that the depth map has unprojected give factor 1."""
    depth = slope(camera)
    pixels = np.random.default_rng(0).integers([10, 10], [630, 470], (300, 2))
    xyz = on_surface(camera, depth, pixels)
    _, true, found = compare(depth, camera, xyz, MAX_DEPTH)
    assert len(true) == 300
    np.testing.assert_allclose(true, found, rtol=1e-4)
    assert measure(1.25 * depth, camera, xyz, 'scale', MAX_DEPTH).scale == pytest.approx(
        0.8, rel=1e-4
    )


def test_between_pixels():
    """A point half-way between two columns is compared with the mean of their depths."""
    point = np.array([[2.0 * (100.5 - 320) / 500, 2.0 * (50 - 240) / 510, 2.0]])
    *_, found = compare(slope(CAMERA), CAMERA, point, MAX_DEPTH)
    assert found == pytest.approx([2.0 + 0.004 * 100.5], rel=1e-6)


def test_points_at_edges_have_no_say():
    """Within 3 px of a step (at this size) either side may be meant."""
    depth = slope(CAMERA, 0.0)
    depth = np.where(np.arange(640) < 300, depth, np.float32(4.0))
    pixels = np.array([[u, 240] for u in range(290, 310)])
    _, true, _ = compare(depth, CAMERA, on_surface(CAMERA, depth, pixels), MAX_DEPTH)
    assert len(true) == 20 - 6
    with pytest.raises(ScaleError) as err:
        compare(depth, CAMERA, on_surface(CAMERA, depth, [[299, 240], [301, 240]]), MAX_DEPTH)
    assert err.value.cause == 'at_edges'


def test_where_the_network_ends_its_depth_means_nothing():
    """A wall at 40 m that a network of 20 m draws at 19.9 m is left out."""
    depth = slope(CAMERA, 0.0) + np.float32(17.9)
    xyz = on_surface(CAMERA, 2 * depth, [[u, 240] for u in range(100, 500, 10)])
    with pytest.raises(ScaleError):
        compare(depth, CAMERA, xyz, MAX_DEPTH)


@pytest.mark.parametrize(
    ('xyz', 'cause'),
    [
        (np.empty((0, 3)), 'no_points'),
        (np.full((50, 3), np.nan), 'no_points'),
        (np.full((50, 3), [0.1, np.inf, 2.0]), 'no_points'),
        (np.full((50, 3), [0.1, 0.1, -2.0]), 'behind'),
        (np.full((50, 3), [0.1, 0.1, 0.0]), 'behind'),
        (np.full((50, 3), [9.0, 0.1, 2.0]), 'outside'),
        (np.full((7, 3), [0.1, 0.1, 2.0]), 'too_few_points'),
        (np.full((50, 3), [0.1, 0.1, 2.0]), 'one_depth'),
    ],
)
def test_what_cannot_be_compared_is_told(xyz, cause):
    """Each reason has its name."""
    with pytest.raises(ScaleError) as err:
        measure(slope(CAMERA, 0.0), CAMERA, xyz, 'scale', MAX_DEPTH)
    assert err.value.cause == cause


def test_some_bad_points_do_no_harm():
    """NaN, points behind and outside among good ones."""
    depth = slope(CAMERA)
    pixels = np.random.default_rng(1).integers([10, 10], [630, 470], (100, 2))
    bad = [[np.nan] * 3, [0.0, 0.0, -1.0], [50.0, 0.0, 1.0]]
    xyz = np.vstack([on_surface(CAMERA, 0.9 * depth, pixels), np.repeat(bad, 60, axis=0)])
    found = measure(depth, CAMERA, xyz, 'scale', MAX_DEPTH)
    assert (found.scale, found.inliers) == (pytest.approx(0.9), 100)
