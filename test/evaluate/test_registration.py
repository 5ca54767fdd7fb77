# SPDX-License-Identifier: Apache-2.0
"""Truth of other sensors in the picture, by hand and against a rendered scene."""

import numpy as np
import pytest

from depth_pcd_ros.evaluate.registration import register, register_points
from depth_pcd_ros.geometry.camera import Camera

COLOUR = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
NAN = np.nan


def test_a_registered_image_is_taken_as_it_is():
    """Of the same camera; what is invalid becomes NaN."""
    depth = np.full((48, 64), 2.0, np.float32)
    depth[0, :4] = 0.0, NAN, np.inf, -1.0
    found = register(depth, COLOUR, COLOUR)
    assert np.isnan(found[0, :4]).all()
    assert (found.reshape(-1)[4:] == 2.0).all()


def test_another_focal_length():
    """The depth of the colour pixel (u, v) is at (u - cx) f / f' + cx in the depth image."""
    camera = Camera(64, 48, 50.0 * 585 / 525, 50.0 * 585 / 525, 31.5, 23.5)
    depth = (1.0 + np.arange(64) / 64 + np.arange(48)[:, None] / 48).astype(np.float32)
    found = register(depth, camera, COLOUR)
    v, u = np.nonzero(np.isfinite(found))
    assert len(u) > 0.7 * found.size
    at = [(c - mid) * 585 / 525 + mid for c, mid in ((u, 31.5), (v, 23.5))]
    expected = 1.0 + at[0] / 64 + at[1] / 48
    np.testing.assert_allclose(found[v, u], expected, atol=0.6 * (1 / 64 + 1 / 48))


def test_another_place():
    """A wall 2 m ahead of a depth camera that is 0.5 m ahead, turned by 90 deg about its view."""
    wall = np.full((48, 64), 2.0, np.float32)
    half = np.sqrt(0.5)
    found = register(wall, COLOUR, COLOUR, (0.0, 0.0, 0.5, 0.0, 0.0, half, half))
    seen = np.isfinite(found)
    np.testing.assert_allclose(found[seen], 2.5, atol=1e-6)
    # pixel (50, 0) has the ray (0.37, -0.47), turned (0.47, 0.37): x 2 m, at 2.5 m
    assert seen[round(0.37 * 2 / 2.5 * 50 + 23.5), round(0.47 * 2 / 2.5 * 50 + 31.5)]
    rows, columns = np.nonzero(seen)
    # the rows of the depth image become the columns, 0.8 times as far from the middle
    assert (columns.min(), columns.max()) == (round(31.5 - 0.8 * 23.5), round(31.5 + 0.8 * 23.5))
    assert (rows.min(), rows.max()) == (0, 47)


def test_the_nearest_point_wins_and_hides_what_is_behind():
    """Points of a LiDAR: two in one pixel, one beside a nearer one, one behind the camera."""
    points = [[0.0, 0.0, 3.0], [0.0, 0.0, 2.0], [0.06, 0.0, 3.0], [0.0, 0.18, 2.0], [0, 0, -2.0]]
    points += [[NAN, 0, 1], [5.0, 0.0, 2.0]]
    found = register_points(np.array(points), COLOUR)
    # (31.5, 23.5) rounds to even; 0.06 / 3 is one pixel to the right, 0.18 / 2 is 4.5 below
    assert sorted(zip(*np.nonzero(np.isfinite(found)), strict=True)) == [(24, 32), (28, 32)]
    assert found[24, 32] == 2.0
    far = register_points(np.array([[0.0, 0.0, 2.0], [0.3, 0.0, 3.0]]), COLOUR)
    assert np.isfinite(far).sum() == 2  # five pixels apart, both are seen


def test_a_coarser_image_leaves_no_view_through_its_gaps():
    """A near square in front of a far wall, at a quarter of the picture's resolution."""
    coarse = Camera(16, 12, 12.5, 12.5, 7.5, 5.5)
    depth = np.full((12, 16), 4.0, np.float32)
    depth[3:9, 5:11] = 1.0
    moved = (0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)  # the depth camera is 10 cm to the right
    found = register(depth, coarse, COLOUR, moved)
    v, u = np.nonzero(found == 1.0)
    inside = found[v.min() : v.max() + 1, u.min() : u.max() + 1]
    assert set(inside[np.isfinite(inside)]) == {1.0}


def test_the_size_of_the_depth_camera():
    """An image of another size than its camera is refused."""
    with pytest.raises(ValueError, match=r'\(24, 32\), expected \(48, 64\)'):
        register(np.ones((24, 32), np.float32), COLOUR, COLOUR)
