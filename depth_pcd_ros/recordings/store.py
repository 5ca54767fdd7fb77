# SPDX-License-Identifier: Apache-2.0
"""The message types that rosbags knows by itself."""

from __future__ import annotations

from typing import Any

from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
TYPES: Any = STORE.types  # as `messages.encode` wants them


def header_of(header: Any) -> Any:
    """Make a ROS 2 Header of that of any message, also of ROS 1."""
    stamp = TYPES['builtin_interfaces/msg/Time'](header.stamp.sec, header.stamp.nanosec)
    return TYPES['std_msgs/msg/Header'](stamp, header.frame_id)
