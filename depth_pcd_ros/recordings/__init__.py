# SPDX-License-Identifier: Apache-2.0
"""Recordings of topics, read and written without ROS: topics, messages, calibrations."""
