# SPDX-License-Identifier: Apache-2.0
"""Readings of a sensor about the scale, from its topic."""

from __future__ import annotations

import time
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import PointCloud2, Range

from depth_pcd_ros.ros import qos, transforms
from depth_pcd_ros.ros.subscription import AdaptiveSubscription
from depth_pcd_ros.ros.transforms import Transforms
from depth_pcd_ros.scale.messages import READERS, TOPICS
from depth_pcd_ros.scale.tracker import ScaleState
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header, RangeReading, Readings

MSG_TYPES = {'points': PointCloud2, 'range': Range}
# How long an image of a recording waits for the readings before it, and for how long readings
# wait for a live image [s].
READING_WAIT, READING_SPAN = 0.5, 10.0


class ScaleSource:
    """Collects the readings of `scale/points` or `scale/range` and finds an image's.

    Raises:
        SettingsError: a `qos_overrides` parameter has an unknown value.
    """

    def __init__(self, node: Node, settings: Settings, prefix: str = '') -> None:
        self.subscriptions: list[AdaptiveSubscription] = []
        self._node = node
        every = settings.frames == 'all'
        self._readings = Readings(READING_WAIT) if every else Readings(span=READING_SPAN)
        self._settings = settings
        self._clocks_differ = (
            False  # the last message came after its stamp by more than a picture does
        )
        self._transforms: Transforms | None = None
        source = settings.scale_source
        if source not in TOPICS:
            return
        self.subscriptions.append(
            AdaptiveSubscription(
                node,
                MSG_TYPES[source],
                prefix + TOPICS[source],
                self._take,
                depth=qos.READINGS_DEPTH[settings.frames],
            )
        )
        node.get_logger().info(f'scale from {self.subscriptions[0].topic_name}')
        if settings.optical_from_sensor is None and not transforms.AVAILABLE:
            node.get_logger().info(
                'tf2_ros is not installed: a sensor in another frame than the image needs '
                'scale_transform'
            )
        self.check(settings)

    def check(self, settings: Settings) -> None:
        """Adapt to the publishers, and to settings that do not have the sensor's place any more."""
        self._settings = settings
        for subscription in self.subscriptions:
            subscription.check()
        unknown = self.subscriptions and settings.optical_from_sensor is None
        if unknown and transforms.AVAILABLE and self._transforms is None:
            self._transforms = Transforms(self._node)

    def evidence(self, header: Header) -> Evidence:
        """Return the evidence for an image; with `frames: all`, once no older one can come."""
        subscriptions = tuple(self.subscriptions)  # `destroy` may end them meanwhile
        reading = self._readings.find(header.stamp_ns) if subscriptions else None
        if reading is not None:
            lag = (header.stamp_ns - reading.stamp_ns) * 1e-9
            self._clocks_differ = lag > time.monotonic() - subscriptions[0].came + qos.SILENCE
        if reading is None or reading.frame_id == header.frame_id:
            return Evidence(reading)
        transform = None
        if self._transforms is not None:
            transform = self._transforms.find(header.frame_id, reading.frame_id)
        if transform is None and isinstance(reading, RangeReading):
            self._say_what_is_assumed(reading)
        return Evidence(reading, transform)

    def who_publishes(self) -> str:
        """Say who publishes what this listens to; '' without a topic, or where messages come."""
        if self._clocks_differ:
            return 'messages come: its stamps are by another clock'
        if not all(one.is_silent for one in self.subscriptions):
            return ''
        return ', '.join(f'{one.topic_name}: {one.who_publishes()}' for one in self.subscriptions)

    def destroy(self) -> None:
        """End the subscriptions."""
        while self.subscriptions:
            self.subscriptions.pop().destroy()
        if self._transforms is not None:
            self._transforms.destroy()
            self._transforms = None

    def _take(self, msg: Any) -> None:
        self._readings.add(READERS[self._settings.scale_source](msg))

    def _say_what_is_assumed(self, reading: RangeReading) -> None:
        direction = self._settings.beam_direction
        if direction is not None and self._settings.optical_from_sensor is None:
            self._node.get_logger().warning(
                f'the range is in frame {reading.frame_id!r}, and no transform to it is known: it '
                f'is taken as measured from the camera along range_direction, {list(direction)}; '
                'set that or scale_transform',
                once=True,
            )


def diagnostic_values(state: ScaleState) -> dict[str, str]:
    """Return the correction under the names that a person reads."""
    return {
        'true scale': f'{state.scale:.4f}',
        'true scale shift [m]': f'{state.shift:.4f}',
        'true scale inliers': str(state.inliers),
        'true scale source age [s]': f'{state.age:.3f}',
        'true scale held for [s]': f'{state.held_for:.1f}',
        'true scale held because': state.reason,
    }
