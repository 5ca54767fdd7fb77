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
    try:
        return scale.measure(
            depth, CAMERA, points, stamp_ns=first_id * 10**6, kind='scale', max_depth=20.0
        )
    except ScaleError as err:
        return err


def test_one_picture_does_not_outvote_several():
    """A pose that is wrong spoils all points of its picture: many are no more sure than a few."""
    scale = MovingScale()
    see(scale, 1000, 200, 0.88)
    for picture in range(4):
        measured = see(scale, 1200 + 100 * picture, 8, 1.0)
    assert measured.scale == pytest.approx(1.0, rel=1e-3)
    for picture in range(5):
        measured = see(scale, 1600 + 100 * picture, 8, 0.88)
    assert measured.scale == pytest.approx(0.88, rel=1e-3)


def test_a_picture_whose_pose_is_uncertain_says_less():
    """Six pictures with a shared error of 10 % do not outvote four good ones."""
    scale = MovingScale()
    for picture in range(10):
        good = picture < 4
        factor, shared = (1.0, 0.0) if good else (0.88, 0.1)
        measured = see(scale, 1000 + 100 * picture, 30, factor, shared)
    assert measured.scale == pytest.approx(1.0, rel=1e-3)


def test_a_scale_that_is_uncertain_is_not_told():
    """Not by a picture with a shared error of 10 %, but for good ones, until they are forgotten."""
    scale = MovingScale()
    # by hand: sqrt(0.04^2 / 30 + 0.05^2 + 0.1^2)
    error = see(scale, 1000, 30, 0.88, shared=0.1)
    assert error.cause == 'uncertain'
    assert 'known to 11.2%' in str(error)
    causes = [getattr(see(scale, 1100 + 100 * i, 30, 1.0), 'cause', '') for i in range(5)]
    assert causes == [*['uncertain'] * 3, '', '']
    assert 'known to 11.2%' in str(see(scale, 12000, 30, 0.88, shared=0.1))
