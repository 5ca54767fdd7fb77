# SPDX-License-Identifier: Apache-2.0
"""Parts of a running node without rclpy: frame queue, working threads, statistics, environment."""
