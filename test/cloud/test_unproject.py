# SPDX-License-Identifier: Apache-2.0
"""Unprojection against numbers worked out by hand."""

import numpy as np
import pytest

from depth_pcd_ros.cloud.unproject import pack_points, unpack_rgb, unproject
from depth_pcd_ros.geometry.camera import Camera

CAMERA = Camera(3, 2, fx=2.0, fy=4.0, cx=1.0, cy=0.5)


def test_by_hand():
    """Pixel (2, 1) at 6 m: x = 6 (2 - 1) / 2 = 3, y = 6 (1 - 0.5) / 4 = 0.75."""
    depth = np.full((2, 3), 6.0, np.float32)
    points = unproject(depth, CAMERA.rays)
    np.testing.assert_array_equal(points[1, 2], [3.0, 0.75, 6.0])
    np.testing.assert_array_equal(points[0, 0], [-3.0, -0.75, 6.0])


def test_project_takes_points_back_to_their_pixels():
    """project(unproject(x)) == x, at a realistic focal length."""
    camera = Camera(640, 480, fx=525.3, fy=519.8, cx=322.1, cy=236.4)
    depth = np.random.default_rng(0).uniform(0.3, 20.0, (480, 640)).astype(np.float32)
    pixels = camera.project(unproject(depth, camera.rays))
    v, u = np.mgrid[:480, :640]
    np.testing.assert_allclose(pixels[..., 0], u, atol=1e-3)
    np.testing.assert_allclose(pixels[..., 1], v, atol=1e-3)


def picture(height, width):
    """Noise: depth with NaN in runs of all lengths, and colours."""
    rng = np.random.default_rng(1)
    depth = rng.uniform(1.0, 5.0, (height, width)).astype(np.float32)
    depth[rng.random(depth.shape) < np.linspace(0.0, 1.0, width)] = np.nan
    depth[0, 0] = np.nan
    return depth, rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize('distortion', [(), (-0.2, 0.05, 0.001, 0.0, 0.0)])
@pytest.mark.parametrize(
    ('height', 'width'), [(1, 1), (1, 9), (9, 1), (5, 64), (65, 5), (3, 200), (200, 71)]
)
def test_packed_points_are_the_points(height, width, distortion):
    """Each pixel has its point and its colour, or all that are valid in their order."""
    model = 'plumb_bob' if distortion else ''
    camera = Camera(width, height, 150.0, 160.0, 2.2, 30.1, model, distortion)
    depth, rgb = picture(height, width)
    packed = pack_points(depth, camera.ray_maps, rgb)
    expected = unproject(depth, camera.rays)
    np.testing.assert_array_equal(packed[..., :3], expected)
    np.testing.assert_array_equal(pack_points(depth, camera.ray_maps), packed[..., :3])
    bits = packed[..., 3].view(np.uint32).astype(int)
    r, g, b = np.moveaxis(rgb.astype(int), -1, 0)
    np.testing.assert_array_equal(bits, r * 65536 + g * 256 + b)
    np.testing.assert_array_equal(unpack_rgb(packed[..., 3]), rgb)

    valid = np.isfinite(depth)
    count = int(valid.sum())
    some = pack_points(depth, camera.ray_maps, rgb, count=count)
    np.testing.assert_array_equal(some.view(np.uint32), packed[valid].view(np.uint32))
    some = pack_points(depth, camera.ray_maps, count=count)
    np.testing.assert_array_equal(some, packed[valid][:, :3])


def test_views_of_a_picture_are_packed_like_pictures():
    """Padded rows, and read-only ones."""
    depth, rgb = picture(5, 40)
    camera = Camera(30, 5, 50.0, 60.0, 2.2, 3.1)
    cut = np.ascontiguousarray(depth[:, 5:35])
    rgb.setflags(write=False)
    points = pack_points(cut, camera.ray_maps, rgb[:, 5:35])
    again = pack_points(cut, camera.ray_maps, rgb[:, 5:35].copy())
    np.testing.assert_array_equal(points.view(np.uint32), again.view(np.uint32))


def test_what_does_not_fit_is_refused():
    """Instead of reading or writing beyond an end."""
    depth, rgb = picture(4, 40)
    rays = Camera(40, 4, 50.0, 60.0, 2.2, 3.1).ray_maps
    with pytest.raises(ValueError, match='rays are'):
        pack_points(depth[:3].copy(), rays, rgb[:3])
    with pytest.raises(ValueError, match='rgb is'):
        pack_points(depth, rays, rgb[:, :39])
    with pytest.raises(ValueError, match='out is'):
        pack_points(depth, rays, rgb, np.empty((4, 40, 3), np.float32))
    count = int(np.isfinite(depth).sum())
    for wrong in (count - 1, count + 1, 0):
        with pytest.raises(ValueError, match=f'count is {wrong}'):
            pack_points(depth, rays, rgb, count=wrong)
