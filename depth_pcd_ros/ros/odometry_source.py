# SPDX-License-Identifier: Apache-2.0
"""Poses of pictures by the topic odometry."""

from __future__ import annotations

import dataclasses
from typing import Any

from nav_msgs.msg import Odometry as OdometryMsg
from rclpy.node import Node

from depth_pcd_ros.motion.messages import TOPIC, odometry_reading
from depth_pcd_ros.ros import qos, transforms
from depth_pcd_ros.ros.subscription import AdaptiveSubscription, is_remapped
from depth_pcd_ros.ros.transforms import Transforms
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.odometry import Odometry, odom_from_camera
from depth_pcd_ros.sync.readings import Evidence, Header

PATIENCE = 0.5  # [s] that an image of a recording waits for the odometry after it


class OdometrySource:
    """Listens to the odometry for as long as the settings have a use for it.

    Args:
        settings: as they are when it begins.
        prefix: what precedes the names of the camera's topics. Its odometry may be remapped; where
            it is not, it is the one of all cameras, for a robot has one.

    Raises:
        SettingsError: a `qos_overrides` parameter has an unknown value.
    """

    def __init__(self, node: Node, settings: Settings, prefix: str = '') -> None:
        self._node = node
        self._topic = prefix + TOPIC if is_remapped(node, prefix + TOPIC) else TOPIC
        self._settings = settings
        self._odometry = Odometry(PATIENCE if settings.frames == 'all' else 0.0)
        self._subscription: AdaptiveSubscription | None = None
        self._transforms: Transforms | None = None
        self.check(settings)

    def check(self, settings: Settings) -> None:
        """Begin or end to listen as the settings ask for it, and adapt to the publishers."""
        self._settings = settings
        if not settings.needs_odometry:
            self.destroy()
            return
        if self._subscription is None:
            self._subscription = AdaptiveSubscription(
                self._node,
                OdometryMsg,
                self._topic,
                self._take,
                depth=qos.READINGS_DEPTH[settings.frames],
            )
            self._node.get_logger().info(f'motion from {self._subscription.topic_name}')
        self._subscription.check()
        if settings.optical_from_base is None and transforms.AVAILABLE and not self._transforms:
            self._transforms = Transforms(self._node)

    def add_to(self, evidence: Evidence, header: Header) -> Evidence:
        """Say where an image was taken from, or why that is not known."""
        subscription, found = self._subscription, self._transforms
        if subscription is None:  # or the executor has just ended it
            return evidence
        place, why = odom_from_camera(
            self._odometry.find(header.stamp_ns),
            header.frame_id,
            self._settings.optical_from_base,
            (lambda *_: None) if found is None else found.find,
        )
        return dataclasses.replace(evidence, odom_from_camera=place, no_odometry=why)

    def who_publishes(self) -> str:
        """Say who publishes what this listens to; '' where it does not, or where messages come."""
        if self._subscription is None or not self._subscription.is_silent:
            return ''
        return f'{self._subscription.topic_name}: {self._subscription.who_publishes()}'

    def destroy(self) -> None:
        """End the subscriptions."""
        if self._subscription is not None:
            self._subscription.destroy()
            self._subscription = None
        if self._transforms is not None:
            self._transforms.destroy()
            self._transforms = None

    def _take(self, msg: Any) -> None:
        reading = odometry_reading(msg)
        if reading is None:
            self._node.get_logger().warning(
                f'an Odometry of {msg.child_frame_id!r} has no pose: not finite, or its quaternion '
                'is not of length 1',
                throttle_duration_sec=30.0,
            )
            return
        self._odometry.add(reading)
