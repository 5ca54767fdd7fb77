# SPDX-License-Identifier: Apache-2.0
"""Keep the demo's and the tests' topics on this machine, apart from those of other programs."""

import importlib.metadata
import os
from pathlib import Path

PROFILE = Path(__file__).resolve().parent.parent / 'config' / 'fastdds.xml'


def isolate() -> None:
    """Set the environment of ROS for this process and its children; before rclpy.init."""
    os.environ[_profile_variable()] = str(PROFILE)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)


def _profile_variable() -> str:
    """The variable that Fast DDS takes its profile from: named anew with Kilted."""
    old = 'FASTRTPS_DEFAULT_PROFILES_FILE'
    try:
        older_than_kilted = int(importlib.metadata.version('ros-rclpy').split('.')[0]) < 9
    except importlib.metadata.PackageNotFoundError:  # ROS is installed, not from wheels
        older_than_kilted = os.environ.get('ROS_DISTRO', '') in ('humble', 'iron', 'jazzy')
    return old if older_than_kilted else old.replace('FASTRTPS', 'FASTDDS')
