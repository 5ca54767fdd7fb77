# SPDX-License-Identifier: Apache-2.0
"""The topics that the node offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher

from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.results import Result, outputs
from depth_pcd_ros.ros import qos
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.ros.transforms import frame_advice
from depth_pcd_ros.settings import Settings


class Publishers:
    """A publisher for each topic of the results, until they are destroyed."""

    def __init__(self, node: Node, settings: Settings, prefix: str = '') -> None:
        self._node = node
        self._outputs = outputs(settings)
        self._publishers: dict[str, Publisher] = {}
        try:
            for topic, output in self._outputs.items():
                self._publishers[topic] = qos.create_publisher(
                    node, TYPES[output.type], prefix + topic, qos.OUTPUT_DEPTH[settings.frames]
                )
        except Exception:
            self.destroy()
            raise
        self._advised: set[str] = set()  # frame_ids that were warned of
        # Of the last messages: publish() has copied what is in it when it returns.
        self._buffers = {topic: Buffer() for topic in self._outputs}

    def wanted(self) -> list[str]:
        """Name the topics that have a subscriber."""
        return [
            topic
            for topic, publisher in self._publishers.items()
            if publisher.get_subscription_count()
        ]

    def publish(
        self,
        topics: Iterable[str],
        frame: Frame,
        header: Any,
        settings: Settings,
        points: Callable[[Frame, Buffer | None], Points],
    ) -> None:
        """Publish a frame on some of the topics; arguments as those of `Result`."""
        advice = frame_advice(header.frame_id)
        if advice and header.frame_id not in self._advised:
            self._advised.add(header.frame_id)
            self._node.get_logger().warning(advice)
        result = Result(frame, header, settings, points, TYPES)
        for topic in topics:
            message = self._outputs[topic].message(result, self._buffers[topic])
            self._publishers[topic].publish(message)

    def destroy(self) -> None:
        """Withdraw the topics."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
