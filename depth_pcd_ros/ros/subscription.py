# SPDX-License-Identifier: Apache-2.0
"""A subscription that takes what is published, as rosbag2 does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from depth_pcd_ros.ros import qos
from depth_pcd_ros.settings import SettingsError

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

# What is asked for where every publisher offers it, and what takes all publishers.
POLICIES: dict[str, tuple[Any, Any]] = {
    'reliability': (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT),
    'durability': (DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE),
}


class AdaptiveSubscription:
    """Subscribes reliably where every publisher of the topic is reliable, else best effort.

    A reliable subscription gets nothing from a best-effort publisher, and a best-effort one loses
    large messages of a reliable publisher. The parameter
    `qos_overrides.<topic>.subscription.reliability` wins, as do those for the other policies.

    With `latched`, durability adapts in the same way: what every publisher keeps for those who come
    later, such as a CameraInfo that is published once, is asked for. Where it does not matter that
    the last message may come twice.

    Args:
        node: the node; `check` is to be called now and then by its executor.
        msg_type: message class.
        topic: topic name, relative and before remapping.
        callback: gets each message.
        depth: how many messages the middleware keeps.
        on_lost: gets the number of messages of which the middleware has just noticed that they
            were lost on the way; not those that a newer one has replaced here. Fast DDS notices
            it of best-effort messages.
        latched: whether durability adapts.

    Raises:
        SettingsError: the parameter of a policy that adapts has an unknown value.
    """

    def __init__(
        self,
        node: Node,
        msg_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        *,
        depth: int,
        on_lost: Callable[[int], None] = lambda count: None,
        latched: bool = False,
    ) -> None:
        self._node = node
        self._on_lost = on_lost
        self._arguments = (msg_type, topic, callback)
        self._depth = depth
        self.topic_name: str = node.resolve_topic_name(topic)
        adaptive = POLICIES if latched else ('reliability',)
        self._forced = {policy: self._declare(policy) for policy in adaptive}
        at_first = {  # what drivers mostly have
            'reliability': ReliabilityPolicy.RELIABLE,
            'durability': DurabilityPolicy.VOLATILE,
        }
        self._qos = {policy: self._forced[policy] or at_first[policy] for policy in adaptive}
        self._subscription = self._subscribe()

    def check(self) -> None:
        """Subscribe anew where the publishers now ask for another quality of service."""
        publishers = self._publishers()
        if not publishers:
            return
        wanted = {
            policy: forced or _suited(policy, publishers) for policy, forced in self._forced.items()
        }
        if wanted != self._qos:
            news = [value.name.lower() for p, value in wanted.items() if value != self._qos[p]]
            self._node.get_logger().info(
                f'{self.topic_name}: subscribing {" and ".join(news)}, as it is published'
            )
            self._qos = wanted
            self.destroy()
            self._subscription = self._subscribe()

    def who_publishes(self) -> str:
        """Say how many publishers there are and why nothing may come from them."""
        publishers = self._publishers()
        if not publishers:
            topic = self.topic_name
            for other in (f'{topic}/compressed', topic.removesuffix('/compressed')):
                if self._node.count_publishers(other):
                    return f'no publisher, but there is one of {other}: see image_transport'
            return 'no publisher'
        count = f'{len(publishers)} publisher{"s" if len(publishers) > 1 else ""}'
        own_type = _type_name(self._arguments[0])
        if other_types := {publisher.topic_type for publisher in publishers} - {own_type}:
            return f'{count} of {", ".join(sorted(other_types))}, expected {own_type}'
        profiles = [publisher.qos_profile for publisher in publishers]
        own = self._subscription.qos_profile
        for policy, (strict, _) in POLICIES.items():
            asked = getattr(own, policy) == strict
            if asked and all(getattr(profile, policy) != strict for profile in profiles):
                return f'{count}, incompatible {policy}'
        return f'{count}, which send{"s" if len(publishers) == 1 else ""} nothing'

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic_name))

    def _declare(self, policy: str) -> Any:
        """Declare the parameter of a policy that adapts; return what it says, None for `adapt`."""
        values = {'adapt': None, **{value.name.lower(): value for value in POLICIES[policy]}}
        name = f'qos_overrides.{self.topic_name}.subscription.{policy}'
        if not self._node.has_parameter(name):
            description = f'{policy} of the subscription: {", ".join(values)}'
            self._node.declare_parameter(
                name, 'adapt', ParameterDescriptor(description=description, read_only=True)
            )
        value = self._node.get_parameter(name).value
        if value not in values:
            raise SettingsError(f'{name} is {value!r}, expected one of {", ".join(values)}')
        return values[value]

    def _subscribe(self) -> Any:
        return qos.with_events(
            lambda callbacks: self._node.create_subscription(
                *self._arguments,
                QoSProfile(depth=self._depth, **self._qos),
                event_callbacks=SubscriptionEventCallbacks(**callbacks),
                qos_overriding_options=QoSOverridingOptions(
                    [kind for kind in qos.OVERRIDABLE if kind.name.lower() not in self._forced]
                ),
            ),
            incompatible_qos=self._on_incompatible,
            message_lost=lambda event: self._on_lost(event.total_count_change),
        )

    def _on_incompatible(self, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        if policy in self._forced and self._forced[policy] is None:
            self.check()
            return
        self._node.get_logger().warning(
            qos.incompatibility(
                self.topic_name,
                'subscription',
                event.last_policy_kind,
                self._subscription.qos_profile,
                self._publishers(),
            )
        )


def image_topic(node: Node, transport: str) -> tuple[type[Any], str]:
    """The message class and the topic of the images with an `image_transport`."""
    if transport == 'raw':
        return Image, 'image'
    # beside the image wherever that is remapped to, as image_transport has it
    return CompressedImage, node.resolve_topic_name('image') + '/compressed'


def is_remapped(node: Node, topic: str) -> bool:
    """Whether a person has named another topic for this one."""
    return node.resolve_topic_name(topic) != node.resolve_topic_name(topic, only_expand=True)


def _suited(policy: str, publishers: Collection[Any]) -> Any:
    """What to ask for, so that all publishers are received and nothing they offer is missed."""
    strict, lax = POLICIES[policy]
    offered = [getattr(publisher.qos_profile, policy) for publisher in publishers]
    return strict if all(value == strict for value in offered) else lax


def _type_name(msg_type: type[Any]) -> str:
    return f'{msg_type.__module__.partition(".")[0]}/msg/{msg_type.__name__}'
