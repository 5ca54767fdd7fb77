# SPDX-License-Identifier: Apache-2.0
"""Tests of depth_pcd_ros/work/."""
