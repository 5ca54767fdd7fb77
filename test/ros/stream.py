# SPDX-License-Identifier: Apache-2.0
"""A camera or a subscriber in a process of its own, to be killed: `stream.py camera`.

The camera publishes 640x480 at 30 Hz, the subscriber prints a line for each cloud.
"""

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from .conftest import make_image, make_info

WIDTH, HEIGHT = 640, 480


def run_camera(node, reliability):
    """Publish images with the time as stamp."""
    qos = QoSProfile(depth=1, reliability=reliability)
    images = node.create_publisher(Image, 'image', qos)
    infos = node.create_publisher(CameraInfo, 'camera_info', qos)
    image, info = make_image(WIDTH, HEIGHT), make_info(WIDTH, HEIGHT, 500.0, 500.0, 319.5, 239.5)

    def show():
        info.header = image.header
        image.header.stamp = node.get_clock().now().to_msg()
        infos.publish(info)
        images.publish(image)

    return node.create_timer(1 / 30, show)


def run_subscriber(node):
    """Print a line for each cloud."""
    return node.create_subscription(
        PointCloud2, 'points', lambda _: print('cloud', flush=True), QoSProfile(depth=1)
    )


def main():
    """Run as the first argument says."""
    rclpy.init()
    node = rclpy.create_node(sys.argv[1])
    if sys.argv[1] == 'subscriber':
        entity = run_subscriber(node)
    else:
        entity = run_camera(node, ReliabilityPolicy[sys.argv[2]])
    print('up', flush=True)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        del entity


if __name__ == '__main__':
    main()
