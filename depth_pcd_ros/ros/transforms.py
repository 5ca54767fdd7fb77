# SPDX-License-Identifier: Apache-2.0
"""Poses of sensors by tf2, or by /tf_static alone where that is enough."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time

from depth_pcd_ros.geometry.transform import StaticTransforms
from depth_pcd_ros.messages.decode import numbers_of

try:
    import tf2_ros
    from tf2_msgs.msg import TFMessage
except ImportError:  # optional: scale_transform does without
    tf2_ros = None

AVAILABLE = tf2_ros is not None


class Transforms:
    """Finds transforms between frames that do not move against each other.

    A robot publishes /tf hundreds of times a second, and each message costs the executor time. So
    it is read only once two frames are asked for that /tf_static does not connect.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._static = StaticTransforms()
        self._all: Any = None  # with /tf: a buffer of tf2
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscription = node.create_subscription(TFMessage, '/tf_static', self._take, latched)

    def find(self, target: str, source: str) -> tuple[float, ...] | None:
        """Return target_from_source, x y z [m] qx qy qz qw; None where they are not connected."""
        try:
            found = self._static.find(target, source)
        except ValueError as err:  # a quaternion that is none
            self._node.get_logger().warning(f'/tf_static: {err}', throttle_duration_sec=30.0)
            return None
        return found if found is not None else self._look_up(target, source)

    def destroy(self) -> None:
        """End the subscriptions."""
        self._node.destroy_subscription(self._subscription)
        if self._all is not None:
            self._listener.unregister()

    def _take(self, msg: Any) -> None:
        for one in msg.transforms:
            self._static.add(one.header.frame_id, one.child_frame_id, numbers_of(one.transform))

    def _look_up(self, target: str, source: str) -> tuple[float, ...] | None:
        if self._all is None:
            self._node.get_logger().info(
                f'/tf_static does not connect {source!r} with {target!r}: /tf is read, too'
            )
            self._all = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._all, self._node)
        try:
            newest = self._all.lookup_transform(target, source, Time())
        except tf2_ros.TransformException:  # the stage tells what is missing
            return None
        return numbers_of(newest.transform)


def frame_advice(frame_id: str) -> str:
    """Say what is wrong with the frame_id of images where tf2 does not take it; '' where it does.

    What is made of them has the same, and neither RViz nor Nav2 can place it.
    """
    if frame_id and not frame_id.startswith('/'):
        return ''
    what = (
        f'the frame_id {frame_id!r}, with a slash that tf2 refuses' if frame_id else 'no frame_id'
    )
    return f'the images have {what}: RViz and tf cannot place the results, name it in the driver'
