# SPDX-License-Identifier: Apache-2.0
"""Unprojection against numbers worked out by hand."""

import numpy as np
import pytest

from depth_pcd_ros.camera import Camera
from depth_pcd_ros.unproject import pack_points, pack_rgb, unproject

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


@pytest.mark.parametrize(('height', 'width'), [(1, 1), (63, 5), (64, 5), (65, 5), (200, 7)])
def test_packed_points_are_the_points(height, width):
    """Block by block gives what the whole picture gives at once, and each pixel its colour."""
    rng = np.random.default_rng(1)
    camera = Camera(width, height, fx=50.0, fy=60.0, cx=2.2, cy=30.1)
    depth = rng.uniform(1.0, 5.0, (height, width)).astype(np.float32)
    depth[0, 0] = np.nan
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    packed = pack_points(depth, camera.rays, rgb)
    np.testing.assert_array_equal(packed[..., :3], unproject(depth, camera.rays))
    np.testing.assert_array_equal(pack_points(depth, camera.rays), packed[..., :3])
    assert np.isnan(packed[0, 0, :3]).all()
    bits = packed[..., 3].view(np.uint32).astype(int)
    r, g, b = np.moveaxis(rgb.astype(int), -1, 0)
    np.testing.assert_array_equal(bits, r * 65536 + g * 256 + b)


def test_rgb_of_a_view():
    """Every n-th pixel of a picture is packed like a picture of its own."""
    rgb = np.random.default_rng(2).integers(0, 256, (6, 8, 3), np.uint8)
    np.testing.assert_array_equal(
        pack_rgb(rgb[::2, ::2]).view(np.uint32), pack_rgb(rgb[::2, ::2].copy()).view(np.uint32)
    )
