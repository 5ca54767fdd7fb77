# SPDX-License-Identifier: Apache-2.0
"""Everything that imports rclpy or a message package."""
