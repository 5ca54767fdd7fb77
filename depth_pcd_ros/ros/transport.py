# SPDX-License-Identifier: Apache-2.0
"""Advice about large messages that get lost; see docs/transport.md."""

from __future__ import annotations

import os

from rclpy.utilities import get_rmw_implementation_identifier

from depth_pcd_ros.live.environment import PROFILE_VARIABLES, profile_path, profile_variable


def advice() -> str:
    """Say what probably helps against images that are lost between the camera and this node."""
    if not get_rmw_implementation_identifier().startswith('rmw_fastrtps'):
        return 'see docs/transport.md'
    if any(os.environ.get(name) for name in PROFILE_VARIABLES):
        return 'is config/fastdds.xml also set for the camera? See docs/transport.md'
    profile = profile_path() or 'config/fastdds.xml'
    return (
        "Fast DDS's shared memory has room for 512 KB: start the camera and this node with "
        f'export {profile_variable()}={profile}, see docs/transport.md'
    )
