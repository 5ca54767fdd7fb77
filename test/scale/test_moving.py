# SPDX-License-Identifier: Apache-2.0
"""The scale by the points that motion has measured."""

import numpy as np
import pytest

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.moving import MovingPoints, MovingScale

CAMERA = Camera(320, 240, 260.0, 260.0, 160.0, 120.0)


def see(scale, first_id, count, factor):
    """Add a picture with points whose depths are all off by a factor; the network says 1 to 3 m."""
    rng = np.random.default_rng(first_id)
    depth = np.broadcast_to(np.linspace(1.0, 3.0, 320, dtype=np.float32), (240, 320)).copy()
    u, v = rng.integers(10, 310, count), rng.integers(10, 230, count)
    z = depth[v, u] * factor
    xyz = np.stack([(u - 160) / 260 * z, (v - 120) / 260 * z, z], axis=1)
    points = MovingPoints(np.arange(count) + first_id, xyz, np.full(count, 0.04))
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
