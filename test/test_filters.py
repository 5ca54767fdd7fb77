# SPDX-License-Identifier: Apache-2.0
"""The filters against surfaces whose angles and means are worked out by hand."""

import math

import numpy as np
import pytest

from depth_pcd_ros import filters
from depth_pcd_ros.camera import Camera

CAMERA = Camera(64, 48, fx=554.0, fy=554.0, cx=31.5, cy=23.5)
VGA = Camera(640, 480, fx=554.0, fy=554.0, cx=319.5, cy=239.5)


def kept(depth, camera=CAMERA, max_incidence=88.0):
    """The mask of `not_flying` as booleans."""
    return filters.not_flying(np.asarray(depth, np.float32), camera, max_incidence) == 255


def columns(values, camera=CAMERA):
    """A depth map whose rows are all the same; the last value goes on to the right."""
    row = np.full(camera.width, values[-1], np.float32)
    row[: len(values)] = values
    return np.tile(row, (camera.height, 1))


def test_range_includes_both_ends():
    """Depths at the bounds are kept; NaN and what is outside are not."""
    depth = np.array([[0.49, 0.5, 1.0, 2.0, 2.01, np.nan, np.inf]], np.float32)
    mask = filters.in_range(depth, 0.5, 2.0)
    np.testing.assert_array_equal(mask == 255, [[False, True, True, True, False, False, False]])


def test_invalidate():
    """What is not kept becomes NaN, the rest stays."""
    depth = np.array([[1.0, 2.0]], np.float32)
    filters.invalidate(depth, np.array([[255, 0]], np.uint8))
    np.testing.assert_array_equal(depth, [[1.0, np.nan]])


def test_a_step_keeps_its_points():
    """A sharp edge has no flying pixels: both sides belong to a surface."""
    assert kept(columns([1.0] * 20 + [3.0])).all()
    assert kept(columns([3.0] * 20 + [1.0])).all()


def test_a_ramp_between_two_surfaces_is_dropped():
    """The pixels that hang between an object and the wall go, both surfaces stay."""
    depth = columns([1.0] * 20 + [1.6, 2.3] + [3.0])
    expected = np.ones((48, 64), bool)
    expected[:, 20:22] = False
    np.testing.assert_array_equal(kept(depth), expected)
    falling = np.ascontiguousarray(depth[:, ::-1])
    np.testing.assert_array_equal(kept(falling), expected[:, ::-1])
    upright = Camera(48, 64, fx=554.0, fy=554.0, cx=23.5, cy=31.5)
    np.testing.assert_array_equal(kept(np.ascontiguousarray(depth.T), upright), expected.T)


@pytest.mark.parametrize('thin', [1.0, 3.0])
def test_a_thin_object_or_gap_keeps_its_points(thin):
    """A pixel nearer (or farther) than both neighbours is a surface of its own."""
    assert kept(columns([2.0] * 20 + [thin] + [2.0])).all()


def test_wall_at_a_known_angle():
    """A plane is kept where the viewing ray meets it at less than the angle, and only there.

    The plane x = -0.2 + 0.004 z is nearly along the view; a ray (a, 0, 1) meets it at an incidence
    of acos(|n . ray|), with n its normal.
    """
    slope, offset = 0.004, -0.2
    a = (np.arange(640) - VGA.cx) / VGA.fx
    with np.errstate(divide='ignore'):
        z = offset / (a - slope)
    z[z <= 0] = np.nan
    normal = np.array([1.0, -slope]) / math.hypot(1.0, slope)
    cosine = np.abs(normal[0] * a + normal[1]) / np.hypot(a, 1.0)
    incidence = np.degrees(np.arccos(cosine))
    mask = kept(np.tile(z, (480, 1)), VGA)[240]
    near_threshold = np.abs(incidence - 88.0) < 0.1
    inner = np.isfinite(z) & ~near_threshold
    inner[[0, 639]] = False
    inner[np.flatnonzero(np.isfinite(z))[-1]] = False  # its neighbour is beyond the horizon
    np.testing.assert_array_equal(mask[inner], incidence[inner] < 88.0)
    assert (incidence[inner] > 88.0).any()


def test_floor_of_a_small_robot_is_kept_out_to_8_m():
    """From 0.3 m above it, the floor is met at atan(8 / 0.3) = 87.85 degrees at 8 m."""
    v = np.arange(480)
    with np.errstate(divide='ignore'):
        z = 0.3 * VGA.fy / (v - VGA.cy)
    z[z <= 0] = np.nan
    depth = np.tile(z[:, None], (1, 640))
    ranges = depth * np.linalg.norm(np.dstack([VGA.rays, np.ones((480, 640))]), axis=-1)
    mask = kept(depth, VGA)
    assert mask[ranges <= 8.0].all()
    assert not mask[(ranges > 9.2) & (ranges < 40.0)].any()


def test_cubes_by_hand():
    """Points in cubes of their own stay as they are; NaN gives none."""
    camera = Camera(4, 1, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    depth = np.array([[1.0, np.nan, 0.1, 1.2]], np.float32)
    rgb = np.array([[[10, 20, 30], [1, 1, 1], [0, 0, 0], [255, 128, 0]]], np.uint8)
    points = filters.voxel_means(depth, camera.rays, rgb, 0.5)
    points = points[np.argsort(points[:, 2])]
    expected = [[0.2, 0.0, 0.1], [0.0, 0.0, 1.0], [3.6, 0.0, 1.2]]
    np.testing.assert_allclose(points[:, :3], expected, atol=1e-6)
    bits = points[:, 3].view(np.uint32)
    assert [hex(value) for value in bits] == ['0x0', '0xa141e', '0xff8000']


def test_cubes_against_a_plain_loop():
    """Means of positions and colours are those of the points with the same rounded position."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(1.0, 1.6, (48, 64)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = np.nan
    rgb = rng.integers(0, 256, (48, 64, 3), np.uint8)
    cubes = {}
    for v, u in np.argwhere(np.isfinite(depth)):
        point = depth[v, u] * np.append(CAMERA.rays[v, u], np.float32(1.0))
        cubes.setdefault(tuple(np.rint(point / 0.02)), []).append((*point, *rgb[v, u]))
    expected = np.array([np.mean(members, axis=0) for members in cubes.values()])
    points = filters.voxel_means(depth, CAMERA.rays, rgb, 0.02)
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
    assert filters.voxel_means(depth, CAMERA.rays, rgb, 0.1).shape == (0, 4)
    assert filters.voxel_means(depth, CAMERA.rays, None, 0.1).shape == (0, 3)


@pytest.mark.parametrize(('width', 'height'), [(1, 1), (2, 2), (1, 5), (5, 1), (2, 9), (4, 1)])
def test_tiny_pictures(width, height):
    """A picture without a pixel between two others has no ramps, and its points their cubes."""
    camera = Camera(width, height, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    depth = np.full((height, width), 2.0, np.float32)
    assert kept(depth, camera).all()
    rgb = np.zeros((height, width, 3), np.uint8)
    assert len(filters.voxel_means(depth, camera.rays, rgb, 0.5)) == width * height
