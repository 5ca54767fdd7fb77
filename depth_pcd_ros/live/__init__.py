# SPDX-License-Identifier: Apache-2.0
"""For a running node, without rclpy: the queue of frames, statistics, environment variables."""
