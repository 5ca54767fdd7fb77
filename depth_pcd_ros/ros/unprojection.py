# SPDX-License-Identifier: Apache-2.0
"""A word to those who make points of depth/image themselves: they know of no distortion."""

from __future__ import annotations

from rclpy.node import Node

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.settings import Settings

LISTENERS = ('rosbag2', 'depth_pcd_doctor')  # subscribe to everything, and unproject nothing


class UnprojectionAdvice:
    """Logs once who unprojects the depth of a distorted lens along straight rays.

    depth_image_proc, rtabmap and nvblox take depth/image and depth/camera_info and know of no D;
    whoever subscribes to both is taken for one of them.
    """

    def __init__(self, node: Node, settings: Settings, prefix: str = '') -> None:
        self._node = node
        self._prefix = prefix
        self._due = settings.distortion == 'rays' and not settings.rectified

    def check(self, calibration: Calibration | None) -> None:
        """Look who subscribes; to be called now and then, with the newest calibration."""
        if not self._due or calibration is None or not any(calibration.d):
            return
        names = self._subscribers('depth/image') & self._subscribers('depth/camera_info')
        if names:
            self._due = False
            self._node.get_logger().warning(
                f'{", ".join(sorted(names))} gets {self._prefix}depth/image of a distorted lens: '
                'points that are made of it by its CameraInfo are off towards the border, unless '
                f'distortion is rectify; those on {self._prefix}points are right (docs/cameras.md)'
            )

    def _subscribers(self, topic: str) -> set[str]:
        name = self._node.resolve_topic_name(self._prefix + topic)
        return {
            f'{info.node_namespace.rstrip("/")}/{info.node_name}'
            for info in self._node.get_subscriptions_info_by_topic(name)
            if not info.node_name.startswith(LISTENERS)
        }
