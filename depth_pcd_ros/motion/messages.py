# SPDX-License-Identifier: Apache-2.0
"""What Odometry messages say; those of rclpy and of rosbags alike."""

from __future__ import annotations

import math
from typing import Any

from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.settings import NORM_TOLERANCE
from depth_pcd_ros.sync.odometry import OdometryReading

TOPIC, TYPE = 'odometry', 'nav_msgs/msg/Odometry'


def odometry_reading(msg: Any) -> OdometryReading | None:
    """A nav_msgs/Odometry; None where its pose is none."""
    return _reading(
        msg.header, msg.child_frame_id, msg.pose.pose.position, msg.pose.pose.orientation
    )


def transform_reading(msg: Any) -> OdometryReading | None:
    """A geometry_msgs/TransformStamped; None where it is none."""
    return _reading(
        msg.header, msg.child_frame_id, msg.transform.translation, msg.transform.rotation
    )


def _reading(header: Any, child: str, t: Any, r: Any) -> OdometryReading | None:
    values = (t.x, t.y, t.z, r.x, r.y, r.z, r.w)
    norm = math.hypot(r.x, r.y, r.z, r.w)
    if not all(map(math.isfinite, values)) or abs(norm - 1.0) > NORM_TOLERANCE:
        return None
    parent = header.frame_id.removeprefix('/')  # as ROS 1 once wrote it
    return OdometryReading(stamp_ns(header), parent, child.removeprefix('/'), values)
