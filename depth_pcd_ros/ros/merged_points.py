# SPDX-License-Identifier: Apache-2.0
"""The topic points of several cameras: one cloud of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from depth_pcd_ros.cloud.merging import Merging, valid_points_in
from depth_pcd_ros.frame import Points
from depth_pcd_ros.geometry.transform import IDENTITY
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.ros import qos, transforms
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.ros.transforms import Transforms
from depth_pcd_ros.settings import Settings

TOPIC = 'points'


class MergedPoints:
    """Publishes the newest points of all cameras in one frame, until it is destroyed."""

    def __init__(self, node: Node, cameras: Mapping[str, Settings]) -> None:
        common = next(iter(cameras.values()))
        self._node = node
        self._frame = common.merged_frame
        self._merging = Merging()
        self._problems: dict[str, str] = {}
        self._memory = Buffer()
        self._transforms: Transforms | None = None
        self._publisher = qos.create_publisher(
            node, PointCloud2, TOPIC, qos.OUTPUT_DEPTH[common.frames]
        )
        self.check(cameras)

    def check(self, cameras: Mapping[str, Settings]) -> None:
        """Begin to look up where cameras are if there is one of which the settings do not know."""
        unknown = any(one.merged_from_optical is None for one in cameras.values())
        if unknown and transforms.AVAILABLE and self._transforms is None:
            self._transforms = Transforms(self._node)

    def wanted(self) -> bool:
        """Return whether the topic has a subscriber."""
        return bool(self._publisher.get_subscription_count())

    def add(self, camera: str, header: Any, points: Points, settings: Settings) -> None:
        """Take the points of a camera, as `Pipeline.points` returns them; publish if it is due."""
        place = self._place(header.frame_id, settings)
        if place is None:
            why = f'tf2 does not connect {header.frame_id!r} with merged_frame {self._frame!r}'
            if not transforms.AVAILABLE:
                why = 'tf2_ros is not installed'
            self._problems[camera] = f'not merged: {camera}.frame_transform is not set, and {why}'
            return
        self._problems.pop(camera, None)
        merged = self._merging.add(
            camera,
            stamp_ns(header),
            valid_points_in(place, points),
            timeout=settings.merged_timeout,
            now_ns=self._node.get_clock().now().nanoseconds,
        )
        if merged is None:
            return
        stamp, parts = merged
        out = self._memory.array((sum(map(len, parts)), parts[0].shape[1]), np.float32)
        np.concatenate(parts, out=out)
        own_header = Header(frame_id=self._frame)
        own_header.stamp.sec, own_header.stamp.nanosec = divmod(stamp, 10**9)
        self._publisher.publish(cloud_message(TYPES, out, own_header, self._memory))

    def problem(self, camera: str) -> str:
        """Say why a camera's points are not among them; '' where they are."""
        return self._problems.get(camera, '')

    def destroy(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)
        if self._transforms is not None:
            self._transforms.destroy()

    def _place(self, frame_id: str, settings: Settings) -> tuple[float, ...] | None:
        """merged_from_optical of a camera; None where it is not known."""
        if settings.merged_from_optical is not None:
            return settings.merged_from_optical
        merged, camera = self._frame.removeprefix('/'), frame_id.removeprefix('/')
        if camera == merged:
            return IDENTITY
        return None if self._transforms is None else self._transforms.find(merged, camera)
