# SPDX-License-Identifier: Apache-2.0
"""Image, CompressedImage and CameraInfo, of rclpy and of rosbags alike, as arrays."""
