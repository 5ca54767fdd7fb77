# SPDX-License-Identifier: Apache-2.0
"""The environment in which images and clouds pass quickly between processes; docs/transport.md."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

from depth_pcd_ros.bundled import bundled

# Fast DDS takes its profiles from one of these: the first since Kilted, the second until Jazzy.
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
# glibc returns the memory of each message to the system and gets the next one page by page, which
# takes longer than the message. 32 MiB is the most that it allows as the first of these, and as
# much as a cloud of 1920x1080. One arena for all threads, or each keeps what it has freed.
MALLOC = {
    'MALLOC_ARENA_MAX': '1',
    'MALLOC_MMAP_THRESHOLD_': str(32 << 20),
    'MALLOC_TRIM_THRESHOLD_': str(128 << 20),
    'MALLOC_TOP_PAD_': str(16 << 20),
}


def profile_variable() -> str:
    """Name the one of `PROFILE_VARIABLES` that the ROS at hand wants; the newer warns of both."""
    try:
        older = int(importlib.metadata.version('ros-rclpy').split('.')[0]) < 9
    except importlib.metadata.PackageNotFoundError:  # ROS is installed, not from wheels
        older = os.environ.get('ROS_DISTRO', '') in ('humble', 'iron', 'jazzy')
    return PROFILE_VARIABLES[older]


def profile_path() -> Path | None:
    """Find config/fastdds.xml."""
    return bundled('config/fastdds.xml')


def for_large_messages(profile: str) -> dict[str, str]:
    """Return what is to be set, beside what is set already, for a process that is to be started.

    Args:
        profile: path of the XML profiles of Fast DDS, such as config/fastdds.xml.
    """
    wanted = dict(MALLOC)
    if not any(name in os.environ for name in PROFILE_VARIABLES):
        wanted[profile_variable()] = profile
    return {name: value for name, value in wanted.items() if name not in os.environ}
