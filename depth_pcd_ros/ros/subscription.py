# SPDX-License-Identifier: Apache-2.0
"""A subscription that takes what is published, as rosbag2 does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from depth_pcd_ros.settings import SettingsError

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

RELIABILITIES = {
    'adapt': None,
    'reliable': ReliabilityPolicy.RELIABLE,
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
}


class AdaptiveSubscription:
    """Subscribes reliably where every publisher of the topic is reliable, else best effort.

    A reliable subscription gets nothing from a best-effort publisher, and a best-effort one loses
    large messages of a reliable publisher. The parameter
    `qos_overrides.<topic>.subscription.reliability` wins, as do those for history and depth.

    Args:
        node: the node; `check` is to be called now and then by its executor.
        msg_type: message class.
        topic: topic name, relative and before remapping.
        callback: gets each message.
        depth: how many messages the middleware keeps.

    Raises:
        SettingsError: the reliability parameter has an unknown value.
    """

    def __init__(
        self,
        node: Node,
        msg_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        depth: int,
    ) -> None:
        self._node = node
        self._arguments = (msg_type, topic, callback)
        self._depth = depth
        self.topic_name: str = node.resolve_topic_name(topic)
        self._forced = self._declare_reliability()
        self._reliability = self._forced or ReliabilityPolicy.RELIABLE
        self._subscription = self._subscribe()

    def publishers(self) -> list[Any]:
        """Return what is known about each publisher of the topic (rclpy's TopicEndpointInfo)."""
        return list(self._node.get_publishers_info_by_topic(self.topic_name))

    def incompatible(self, publishers: list[Any]) -> bool:
        """Tell whether none of some publishers can be received with the reliability chosen."""
        return self._reliability == ReliabilityPolicy.RELIABLE and not any(
            publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for publisher in publishers
        )

    def check(self) -> None:
        """Subscribe anew where the publishers now ask for another reliability."""
        if self._forced is not None:
            return
        all_reliable = all(
            publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for publisher in self.publishers()
        )
        wanted = ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT
        if wanted != self._reliability:
            self._node.get_logger().info(
                f'{self.topic_name}: subscribing {wanted.name.lower()}, as it is published'
            )
            self._reliability = wanted
            self.destroy()
            self._subscription = self._subscribe()

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _declare_reliability(self) -> ReliabilityPolicy | None:
        name = f'qos_overrides.{self.topic_name}.subscription.reliability'
        if not self._node.has_parameter(name):
            description = f'reliability of the subscription: {", ".join(RELIABILITIES)}'
            self._node.declare_parameter(
                name, 'adapt', ParameterDescriptor(description=description, read_only=True)
            )
        value = self._node.get_parameter(name).value
        if value not in RELIABILITIES:
            raise SettingsError(f'{name} is {value!r}, expected one of {list(RELIABILITIES)}')
        return RELIABILITIES[value]

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            *self._arguments,
            QoSProfile(depth=self._depth, reliability=self._reliability),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
            qos_overriding_options=QoSOverridingOptions(
                (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH)
            ),
        )

    def _on_incompatible(self, event: Any) -> None:
        self.check()
        if self._forced is not None:
            self._node.get_logger().warning(
                f'{self.topic_name}: a publisher is best effort but the subscription reliable; '
                f'nothing of it will be received; set the parameter '
                f'qos_overrides.{self.topic_name}.subscription.reliability to best_effort or adapt'
            )
