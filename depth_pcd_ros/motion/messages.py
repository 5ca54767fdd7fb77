# SPDX-License-Identifier: Apache-2.0
"""Read poses from Odometry and transforms, of rclpy and of rosbags alike."""

from __future__ import annotations

import math
from typing import Any

from depth_pcd_ros.messages.decode import numbers_of, stamp_ns
from depth_pcd_ros.settings import NORM_TOLERANCE
from depth_pcd_ros.sync.odometry import OdometryReading

TOPIC, TYPE = 'odometry', 'nav_msgs/msg/Odometry'


def odometry_reading(msg: Any) -> OdometryReading | None:
    """Read a nav_msgs/Odometry; None where its pose is none."""
    t, r = msg.pose.pose.position, msg.pose.pose.orientation
    return _reading(msg, (t.x, t.y, t.z, r.x, r.y, r.z, r.w))


def transform_reading(msg: Any) -> OdometryReading | None:
    """Read a geometry_msgs/TransformStamped; None where it is none."""
    return _reading(msg, numbers_of(msg.transform))


def _reading(msg: Any, values: tuple[float, ...]) -> OdometryReading | None:
    norm = math.hypot(*values[3:])
    if not all(map(math.isfinite, values)) or abs(norm - 1.0) > NORM_TOLERANCE:
        return None
    parent = msg.header.frame_id.removeprefix('/')  # as ROS 1 once wrote it
    child = msg.child_frame_id.removeprefix('/')
    return OdometryReading(stamp_ns(msg.header), parent, child, values)
