# SPDX-License-Identifier: Apache-2.0
"""Tests; test/ros/ needs ROS 2, the rest does not."""
