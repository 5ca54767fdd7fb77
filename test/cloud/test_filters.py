# SPDX-License-Identifier: Apache-2.0
"""The filters against surfaces whose angles and means are worked out by hand."""

import math

import numpy as np
import pytest

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.geometry.camera import Camera

CAMERA = Camera(64, 48, fx=554.0, fy=554.0, cx=31.5, cy=23.5)
VGA = Camera(640, 480, fx=554.0, fy=554.0, cx=319.5, cy=239.5)


def kept(depth, camera=CAMERA, max_incidence=88.0):
    """What `flying` does not name, (H, W) bool."""
    mask = np.ones(np.shape(depth), bool)
    depth = np.ascontiguousarray(depth, np.float32)
    mask.reshape(-1)[filters.flying(depth, camera, max_incidence)] = False
    return mask


def kept_by_angles(depth, camera, max_incidence):
    """The same in plain NumPy, from the ranges and the angles between the rays."""
    rays = np.dstack([camera.rays.astype(np.float64), np.ones(depth.shape)])
    norms = np.linalg.norm(rays, axis=-1)
    ranges, unit = depth * norms, rays / norms[..., None]
    flying = np.zeros(depth.shape, bool)
    tan = math.tan(math.radians(max_incidence))
    for axis in (0, 1):
        before = np.s_[:-1] if axis == 0 else np.s_[:, :-1]
        after = np.s_[1:] if axis == 0 else np.s_[:, 1:]
        inner = np.s_[1:-1] if axis == 0 else np.s_[:, 1:-1]
        cosine = np.einsum('vuk,vuk->vu', unit[before], unit[after])
        growth = cosine + tan * np.linalg.norm(np.cross(unit[before], unit[after]), axis=-1)
        rises = ranges[after] > ranges[before] * growth
        falls = ranges[before] > ranges[after] * growth
        flying[inner] |= (rises[before] & rises[after]) | (falls[before] & falls[after])
    return ~flying


def columns(values, camera=CAMERA):
    """A depth map whose rows are all the same; the last value goes on to the right."""
    row = np.full(camera.width, values[-1], np.float32)
    row[: len(values)] = values
    return np.tile(row, (camera.height, 1))


def test_range_includes_both_ends():
    """Depths at the bounds are kept; NaN and what is outside are not."""
    depth = np.array([[0.49, 0.5, 1.0, 2.0, 2.01, np.nan, np.inf]], np.float32)
    assert filters.drop_outside(depth, 0.5, 2.0) == 3
    np.testing.assert_array_equal(depth, [[np.nan, 0.5, 1.0, 2.0, np.nan, np.nan, np.nan]])


def test_what_is_not_seen_is_dropped():
    """Where the mask is 0, whatever the depth."""
    depth = np.array([[1.0, 1.0, 9.0], [2.0, 2.0, 2.0]], np.float32)
    seen = np.array([[255, 0, 255], [255, 255, 0]], np.uint8)
    assert filters.drop_outside(depth, 0.5, 5.0, seen) == 3
    np.testing.assert_array_equal(depth, [[1.0, np.nan, np.nan], [2.0, 2.0, np.nan]])


def test_drop():
    """The named pixels become NaN, the rest stays."""
    depth = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    filters.drop(depth, np.array([1, 2], np.int32))
    np.testing.assert_array_equal(depth, [[1.0, np.nan], [np.nan, 4.0]])


@pytest.mark.parametrize('shape', [(7, 11), (6, 9, 3)])
@pytest.mark.parametrize('n', [1, 2, 5, 64])
def test_every_nth(shape, n):
    """As slices, and contiguous."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    result = filters.every_nth(pixels, n)
    np.testing.assert_array_equal(result, pixels[::n, ::n])
    assert result.flags.c_contiguous


@pytest.mark.parametrize('max_incidence', [20.0, 75.0, 88.0, 89.9])
@pytest.mark.parametrize('lens', ['ideal', 'plumb_bob', 'equidistant'])
def test_flying_is_what_the_angles_say(lens, max_incidence):
    """On noisy slopes with holes, through lenses of which some pixels have no ray."""
    d = {'ideal': (), 'plumb_bob': (-0.4, 0.1, 0.001, 0.0, 0.0), 'equidistant': (0.01, 0, 0, 0)}
    f = 25.0 if lens == 'equidistant' else 60.0
    model = '' if lens == 'ideal' else lens
    camera = Camera(90, 70, f, 1.1 * f, 44.0, 36.5, model, d[lens])
    rng = np.random.default_rng(0)
    depth = np.exp(rng.normal(0.0, 0.6, (70, 90)).cumsum(axis=1) * 0.3).astype(np.float32)
    depth[rng.random(depth.shape) < 0.05] = np.nan
    expected = kept_by_angles(depth, camera, max_incidence)
    assert (~expected).any()
    found = kept(depth, camera, max_incidence)
    assert (found != expected).sum() <= 1  # one may be at the limit to the last bit


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


@pytest.mark.parametrize(('width', 'height'), [(1, 1), (2, 2), (1, 5), (5, 1), (2, 9), (4, 1)])
def test_tiny_pictures(width, height):
    """A picture without a pixel between two others has no ramps."""
    camera = Camera(width, height, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    depth = np.full((height, width), 2.0, np.float32)
    assert kept(depth, camera).all()


def test_each_camera_and_angle_is_judged_by_itself():
    """What is known of one is not taken for another, of equal size or of another angle."""
    depth = columns([1.0] * 20 + [1.02, 1.04] + [1.06])
    wide = Camera(64, 48, fx=55.4, fy=55.4, cx=31.5, cy=23.5)
    for camera, angle in [(CAMERA, 80.0), (wide, 80.0), (CAMERA, 88.0), (CAMERA, 80.0)]:
        expected = kept_by_angles(depth, camera, angle)
        np.testing.assert_array_equal(kept(depth, camera, angle), expected)
    assert not kept(depth, CAMERA, 80.0).all()
    assert kept(depth, wide, 80.0).all()


def test_depth_of_another_size_is_refused():
    """It would be read beyond its end."""
    with pytest.raises(ValueError, match=r'depth is \(47, 64\), expected .* \(48, 64\)'):
        filters.flying(np.ones((47, 64), np.float32), CAMERA, 88.0)
