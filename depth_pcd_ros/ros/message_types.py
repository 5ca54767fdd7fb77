# SPDX-License-Identifier: Apache-2.0
"""The classes of rclpy for the messages that `messages.encode` and `scale.messages` make."""

from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout

TYPES = {
    'sensor_msgs/msg/CameraInfo': CameraInfo,
    'sensor_msgs/msg/Image': Image,
    'sensor_msgs/msg/PointCloud2': PointCloud2,
    'sensor_msgs/msg/PointField': PointField,
    'sensor_msgs/msg/RegionOfInterest': RegionOfInterest,
    'std_msgs/msg/Float64MultiArray': Float64MultiArray,
    'std_msgs/msg/MultiArrayDimension': MultiArrayDimension,
    'std_msgs/msg/MultiArrayLayout': MultiArrayLayout,
}
