# SPDX-License-Identifier: Apache-2.0
"""The voxel grid against means that are worked out by hand and by a plain loop."""

import numpy as np
import pytest

from depth_pcd_ros.cloud.voxels import VoxelGrid
from depth_pcd_ros.geometry.camera import Camera

CAMERA = Camera(64, 48, fx=554.0, fy=554.0, cx=31.5, cy=23.5)
BENT = Camera(64, 48, 40.0, 40.0, 31.5, 23.5, 'plumb_bob', (-0.2, 0.05, 0.001, 0.0, 0.0))


def test_cubes_by_hand():
    """Points in cubes of their own stay as they are; NaN gives none."""
    camera = Camera(4, 1, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    depth = np.array([[1.0, np.nan, 0.1, 1.2]], np.float32)
    rgb = np.array([[[10, 20, 30], [1, 1, 1], [0, 0, 0], [255, 128, 0]]], np.uint8)
    points = VoxelGrid().means(depth, camera.ray_maps, rgb, 0.5)
    points = points[np.argsort(points[:, 2])]
    expected = [[0.2, 0.0, 0.1], [0.0, 0.0, 1.0], [3.6, 0.0, 1.2]]
    np.testing.assert_allclose(points[:, :3], expected, atol=1e-6)
    bits = points[:, 3].view(np.uint32)
    assert [hex(value) for value in bits] == ['0x0', '0xa141e', '0xff8000']


@pytest.mark.parametrize(
    ('camera', 'size'), [(CAMERA, 0.02), (BENT, 0.2)], ids=['ideal', 'distorted']
)
def test_cubes_against_a_plain_loop(camera, size):
    """Means of positions and colours are those of the points with the same rounded position."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(1.0, 1.6, (48, 64)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = np.nan
    rgb = rng.integers(0, 256, (48, 64, 3), np.uint8)
    cubes = {}
    for v, u in np.argwhere(np.isfinite(depth)):
        point = depth[v, u] * np.append(camera.rays[v, u], np.float32(1.0))
        cubes.setdefault(tuple(np.rint(point / size)), []).append((*point, *rgb[v, u]))
    expected = np.array([np.mean(members, axis=0) for members in cubes.values()])
    points = VoxelGrid().means(depth, camera.ray_maps, rgb, size)
    bits = points[:, 3].view(np.uint32).astype(int)
    found = np.column_stack([points[:, :3], bits >> 16, bits >> 8 & 255, bits & 255])
    found = found[np.lexsort(found[:, 2::-1].T)]
    expected = expected[np.lexsort(expected[:, 2::-1].T)]
    assert len(found) == len(expected) < np.isfinite(depth).sum()
    np.testing.assert_allclose(found[:, :3], expected[:, :3], rtol=1e-5, atol=1e-6)
    assert np.abs(found[:, 3:] - expected[:, 3:]).max() <= 0.5 + 1e-6


def test_no_point_gives_no_cube():
    """All NaN gives an empty cloud of the right width."""
    depth = np.full((48, 64), np.nan, np.float32)
    rgb = np.zeros((48, 64, 3), np.uint8)
    assert VoxelGrid().means(depth, CAMERA.ray_maps, rgb, 0.1).shape == (0, 4)
    assert VoxelGrid().means(depth, CAMERA.ray_maps, None, 0.1).shape == (0, 3)


@pytest.mark.parametrize(('width', 'height'), [(1, 1), (2, 2), (1, 5), (5, 1), (2, 9)])
def test_tiny_pictures(width, height):
    """Points a metre and more apart have their own cubes."""
    camera = Camera(width, height, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    depth = np.full((height, width), 2.0, np.float32)
    rgb = np.zeros((height, width, 3), np.uint8)
    assert len(VoxelGrid().means(depth, camera.ray_maps, rgb, 0.5)) == width * height


def test_more_cubes_than_there_was_room_for():
    """The memory grows; the next picture finds nothing of the last one in it."""
    grid = VoxelGrid()
    camera = Camera(300, 200, fx=100.0, fy=100.0, cx=150.0, cy=100.0)
    depth = np.random.default_rng(1).uniform(1.0, 9.0, (200, 300)).astype(np.float32)
    points = grid.means(depth, camera.ray_maps, None, 1e-4)  # each in its own
    assert len(points) == depth.size
    np.testing.assert_array_equal(points[:, 2], depth.reshape(-1))
    assert len(grid.means(depth, camera.ray_maps, None, 100.0)) == 1


def test_a_tiny_grid_far_away():
    """Indices beyond 32 bits are told apart."""
    depth = np.array([[1000.0, 2000.0]], np.float32)
    camera = Camera(2, 1, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    assert len(VoxelGrid().means(depth, camera.ray_maps, None, 1e-7)) == 2


def test_shapes_that_do_not_fit_are_refused():
    """They would be read beyond their ends."""
    depth, rgb = np.ones((48, 64), np.float32), np.zeros((48, 63, 3), np.uint8)
    with pytest.raises(ValueError, match='rgb is'):
        VoxelGrid().means(depth, CAMERA.ray_maps, rgb, 0.1)
