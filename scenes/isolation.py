# SPDX-License-Identifier: Apache-2.0
"""Keep the demo's and the tests' topics on this machine, apart from those of other programs."""

import os
from pathlib import Path

from depth_pcd_ros.environment import PROFILE_VARIABLES, for_large_messages

PROFILE = Path(__file__).resolve().parent.parent / 'config' / 'fastdds.xml'


def isolate() -> None:
    """Set the environment of ROS for this process and its children; before rclpy.init.

    What it sets for malloc reaches the children only.
    """
    for name in PROFILE_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(for_large_messages(str(PROFILE)))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
