# SPDX-License-Identifier: Apache-2.0
"""Without ROS 2, the tests in test/ros are left out, and the header of the run says so."""

import importlib.util

HAS_ROS = importlib.util.find_spec('rclpy') is not None
collect_ignore = [] if HAS_ROS else ['ros']


def pytest_report_header():
    """Say what is left out."""
    return None if HAS_ROS else 'ROS 2 is not installed: the tests in test/ros are left out'
