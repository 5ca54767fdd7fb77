# SPDX-License-Identifier: Apache-2.0
"""Turn any ROS 2 camera into a metric depth camera with Depth Anything."""

__version__ = '0.1.0'
