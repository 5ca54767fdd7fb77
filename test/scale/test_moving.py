# SPDX-License-Identifier: Apache-2.0
"""The scale by the points that motion has measured."""

import numpy as np
import pytest

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.scale.moving import MovingPoints, MovingScale

CAMERA = Camera(320, 240, 260.0, 260.0, 160.0, 120.0)


def see(scale, first_id, count, factor, shared=0.0):
    """Add a picture with points whose depths are all off by a factor; the network says 1 to 3 m."""
    rng = np.random.default_rng(first_id)
    depth = np.broadcast_to(np.linspace(1.0, 3.0, 320, dtype=np.float32), (240, 320)).copy()
    u, v = rng.integers(10, 310, count), rng.integers(10, 230, count)
    z = depth[v, u] * factor
    xyz = np.stack([(u - 160) / 260 * z, (v - 120) / 260 * z, z], axis=1)
    errors = np.full(count, 0.04), np.full(count, shared)
    points = MovingPoints(np.arange(count) + first_id, xyz, *errors)
    return scale.measure(
        depth, CAMERA, points, stamp_ns=first_id * 10**6, kind='scale', max_depth=20.0
    )


def test_one_picture_does_not_outvote_several():
    """A pose that is wrong spoils all points of its picture: many are no more sure than a few."""
    scale = MovingScale()
    assert see(scale, 1000, 30, 0.88).scale == pytest.approx(0.88, rel=1e-3)
    for picture in range(3):
        measured = see(scale, 1100 + 100 * picture, 8, 1.0)
    assert measured.scale == pytest.approx(1.0, rel=1e-3)


def test_a_picture_whose_pose_is_uncertain_says_less():
    """Two pictures with a shared error of 10 % do not outvote a good one."""
    scale = MovingScale()
    see(scale, 1000, 30, 1.0)
    for picture in range(2):
        measured = see(scale, 1100 + 100 * picture, 30, 0.88, shared=0.1)
    assert measured.scale == pytest.approx(1.0, rel=1e-3)


def test_a_scale_that_is_uncertain_is_not_told():
    """Not by a picture with a shared error of 10 %, but for a good one, until it is forgotten."""
    scale = MovingScale()
    with pytest.raises(ScaleError, match=r'known to 10\.2%') as err:
        see(scale, 1000, 30, 0.88, shared=0.1)
    assert err.value.cause == 'uncertain'
    see(scale, 1100, 30, 1.0)
    with pytest.raises(ScaleError, match=r'known to 10\.2%'):
        see(scale, 7000, 30, 0.88, shared=0.1)
