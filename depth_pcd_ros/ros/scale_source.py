# SPDX-License-Identifier: Apache-2.0
"""What a sensor says about the scale, from its topic."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2, Range

from depth_pcd_ros.ros import qos
from depth_pcd_ros.ros.subscription import AdaptiveSubscription
from depth_pcd_ros.scale.messages import READERS, TOPICS
from depth_pcd_ros.scale.tracker import ScaleState
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header, Reading, Readings

try:
    import tf2_ros
except ImportError:  # it is no dependency: scale_transform does without
    tf2_ros = None

MSG_TYPES = {'points': PointCloud2, 'range': Range}
# How long an image of a recording waits for the readings before it, and for how long readings
# wait for a live image [s].
PATIENCE, SPAN = 0.5, 10.0


class ScaleSource:
    """Collects the readings of `scale/points` or `scale/range` and finds an image's.

    Args:
        node: the node that subscribes.
        settings: `scale_source`, `frames`, `scale_transform`.

    Raises:
        SettingsError: a `qos_overrides` parameter has an unknown value.
    """

    def __init__(self, node: Node, settings: Settings) -> None:
        self.subscriptions: list[AdaptiveSubscription] = []
        self._node = node
        every = settings.frames == 'all'
        self._readings = Readings(PATIENCE) if every else Readings(span=SPAN)
        self._tf: Any = None
        source = settings.scale_source
        if source not in TOPICS:
            return
        read = READERS[source]
        self.subscriptions.append(
            AdaptiveSubscription(
                node,
                MSG_TYPES[source],
                TOPICS[source],
                lambda msg: self._readings.add(read(msg)),
                depth=qos.READINGS_DEPTH[settings.frames],
            )
        )
        node.get_logger().info(f'scale from {self.subscriptions[0].topic_name}')
        if settings.optical_from_sensor is not None:
            return
        if tf2_ros is None:
            node.get_logger().info(
                'tf2_ros is not installed: a sensor in another frame than the image needs '
                'scale_transform'
            )
            return
        self._tf = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._tf, node)

    def evidence(self, header: Header) -> Evidence:
        """What belongs to an image; with `frames: all`, once no older reading is on its way."""
        reading = self._readings.find(header.stamp_ns) if self.subscriptions else None
        transform = None
        if reading is not None and reading.frame_id != header.frame_id and self._tf is not None:
            transform = self._look_up(header.frame_id, reading)
        return Evidence(reading, transform)

    def who_publishes(self) -> str:
        """Say who publishes what this listens to; '' for a source without a topic."""
        return ', '.join(f'{one.topic_name}: {one.who_publishes()}' for one in self.subscriptions)

    def destroy(self) -> None:
        """End the subscriptions."""
        while self.subscriptions:
            self.subscriptions.pop().destroy()
        if self._tf is not None:
            self._listener.unregister()
            self._tf = None

    def _look_up(self, frame_id: str, reading: Reading) -> tuple[float, ...] | None:
        try:
            found = self._tf.lookup_transform(frame_id, reading.frame_id, Time())  # a static one
        except tf2_ros.TransformException:  # the stage tells what is missing
            return None
        t, r = found.transform.translation, found.transform.rotation
        return t.x, t.y, t.z, r.x, r.y, r.z, r.w


def diagnostic_values(state: ScaleState) -> dict[str, str]:
    """The correction under the names that a person reads."""
    return {
        'true scale': f'{state.scale:.4f}',
        'true scale shift [m]': f'{state.shift:.4f}',
        'true scale inliers': str(state.inliers),
        'true scale source age [s]': f'{state.age:.3f}',
        'true scale held for [s]': f'{state.held_for:.1f}',
        'true scale held because': state.reason,
    }
