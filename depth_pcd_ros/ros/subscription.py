# SPDX-License-Identifier: Apache-2.0
"""A subscription that takes what is published, as rosbag2 does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from depth_pcd_ros.ros import qos
from depth_pcd_ros.settings import SettingsError

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

# What is asked for where every publisher offers it, and what takes all publishers.
ADAPTIVE: dict[str, tuple[Any, Any]] = {
    'reliability': (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT),
    'durability': (DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE),
}
ADAPT = 'adapt'
RELIABILITIES, DURABILITIES, HISTORIES = (
    {value.name.lower(): value for value in values}
    for values in (*ADAPTIVE.values(), (HistoryPolicy.KEEP_LAST, HistoryPolicy.KEEP_ALL))
)
MAX_DEPTH = 2**31 - 1  # that DDS has a number for
LOOK_PERIOD = 0.1  # [s] between two looks for the first publisher
STEADY = ClockType.STEADY_TIME  # simulated time may stand still
TELLS_NUMBERS = hasattr(Subscription, 'CallbackType')  # rclpy of Humble: only the message


class Gaps:
    """The messages that are missing by the numbers that their publisher gives them.

    Attributes:
        lost: how many the middleware has told of since the last `replaced`.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._found = 0
        self._early = 0  # were lost, and the message after them had not come yet
        self._last: tuple[Any, int] = (None, 0)  # publisher and number of the last message

    def add(self, publisher: Any, number: int) -> None:
        """Take the number of the next message."""
        before, self._last = self._last, (publisher, number)
        if publisher == before[0]:
            self._found += max(number - before[1] - 1, 0)

    def replaced(self) -> int:
        """Return how many that were not lost have been found missing since the last call."""
        replaced = self._found - self.lost - self._early
        self._early = min(self.lost, max(-replaced, 0))
        self._found = self.lost = 0
        return max(replaced, 0)


class AdaptiveSubscription:
    """Subscribes reliably where every publisher of the topic is reliable, else best effort.

    A reliable subscription gets nothing from a best-effort publisher, and a best-effort one loses
    large messages of a reliable publisher. So it begins when there is a publisher to look at. The
    parameter `qos_overrides.<topic>.subscription.reliability` wins, as do those for the other
    policies.

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
            were lost on the way. Fast DDS notices it of best-effort messages.
        on_replaced: gets the number of messages that newer ones have replaced in the middleware
            before this process took them, as `check` finds them missing in the publisher's count.
            Not on Humble; and on Jazzy only while there is a single publisher.
        latched: whether durability adapts.

    Raises:
        SettingsError: the parameter of a policy has an unknown value, or one of another type.
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
        on_replaced: Callable[[int], None] | None = None,
        latched: bool = False,
    ) -> None:
        self._node = node
        self._on_lost = on_lost
        self._on_replaced = on_replaced
        self._callback = callback
        self._gaps = Gaps()
        counts = on_replaced is not None and TELLS_NUMBERS
        self._arguments = (msg_type, topic, self._count if counts else self._take)
        self.came = -math.inf  # when the last message did, monotonic [s]
        self.topic_name: str = node.resolve_topic_name(topic)
        self._asked = {  # None: it adapts
            'reliability': self._choice('reliability', ADAPT, RELIABILITIES),
            'durability': self._choice(
                'durability', ADAPT if latched else 'volatile', DURABILITIES
            ),
            'history': self._choice('history', 'keep_last', HISTORIES),
            'depth': self._depth(depth),
        }
        self._qos: dict[str, Any] = {}
        self._subscription: Any = None
        self._look = node.create_timer(LOOK_PERIOD, self.check, clock=Clock(clock_type=STEADY))
        self.check()

    def check(self) -> None:
        """Subscribe, or subscribe anew where the publishers ask for another quality of service."""
        replaced = self._gaps.replaced()
        if replaced and self._on_replaced is not None:
            self._on_replaced(replaced)
        publishers = self._publishers()
        if not publishers:
            return
        self._look.cancel()
        wanted = {
            policy: _suited(policy, publishers) if asked is None else asked
            for policy, asked in self._asked.items()
        }
        if wanted == self._qos:
            return
        if self._subscription is not None:
            news = [value.name.lower() for p, value in wanted.items() if value != self._qos[p]]
            self._node.get_logger().info(
                f'{self.topic_name}: subscribing {" and ".join(news)}, as it is published'
            )
            self._node.destroy_subscription(self._subscription)
        self._qos = wanted
        self._subscription = self._subscribe()

    @property
    def is_silent(self) -> bool:
        """Return whether no message has come lately."""
        return time.monotonic() - self.came >= qos.SILENCE

    def who_publishes(self) -> str:
        """Say how many publishers there are and why nothing may come from them."""
        publishers = self._publishers()
        if not publishers:
            topic = self.topic_name
            if topic.endswith('/compressed/compressed'):
                base = topic.removesuffix('/compressed/compressed')
                return f'no publisher: remap image to {base}, image_transport adds /compressed'
            for other in (f'{topic}/compressed', topic.removesuffix('/compressed')):
                if self._node.count_publishers(other):
                    return f'no publisher, but there is one of {other}: see image_transport'
            return 'no publisher'
        count = f'{len(publishers)} publisher{"s" if len(publishers) > 1 else ""}'
        own_type = _type_name(self._arguments[0])
        if other_types := {publisher.topic_type for publisher in publishers} - {own_type}:
            told = f'{count} of {", ".join(sorted(other_types))}, expected {own_type}'
            base = self.topic_name.removesuffix('/compressed')
            if base != self.topic_name and _type_name(CompressedImage) in other_types:
                told += f': remap image to {base} and set image_transport to compressed'
            return told
        profiles = [publisher.qos_profile for publisher in publishers]
        for policy, (strict, _) in ADAPTIVE.items():
            asked = self._qos.get(policy) == strict
            if asked and all(getattr(profile, policy) != strict for profile in profiles):
                return f'{count}, incompatible {policy}'
        if not self.is_silent:
            return count
        return f'{count}, which send{"s" if len(publishers) == 1 else ""} nothing'

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_timer(self._look)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic_name))

    def _choice(self, policy: str, default: str, values: Mapping[str, Any]) -> Any:
        """Return what the parameter of a policy says; None for `adapt`."""
        known = [ADAPT, *values] if policy in ADAPTIVE else [*values]
        description = f'{policy} of the subscription: {", ".join(known)}'
        value = self._parameter(policy, default, description)
        if value not in known:
            name = self._parameter_name(policy)
            raise SettingsError(f'{name} is {value!r}, expected one of {", ".join(known)}')
        return values.get(value)

    def _depth(self, default: int) -> Any:
        """Return what the parameter says of how many messages are kept."""
        value = self._parameter('depth', default, 'how many messages are kept')
        if not 0 <= value <= MAX_DEPTH:
            name = self._parameter_name('depth')
            raise SettingsError(f'{name} is {value}, expected 0 to {MAX_DEPTH}')
        return value

    def _parameter(self, policy: str, default: Any, description: str) -> Any:
        """Declare the parameter of a policy, as rclpy does for a subscription that is there."""
        name = self._parameter_name(policy)
        if not self._node.has_parameter(name):
            descriptor = ParameterDescriptor(description=description, read_only=True)
            try:
                self._node.declare_parameter(name, default, descriptor)
            except ParameterException as err:
                raise SettingsError(str(err)) from err
        return self._node.get_parameter(name).value

    def _parameter_name(self, policy: str) -> str:
        return f'qos_overrides.{self.topic_name}.subscription.{policy}'

    def _subscribe(self) -> Any:
        return qos.with_events(
            lambda callbacks: self._node.create_subscription(
                *self._arguments,
                QoSProfile(**self._qos),
                event_callbacks=SubscriptionEventCallbacks(**callbacks),
            ),
            incompatible_qos=self._on_incompatible,
            message_lost=self._on_message_lost,
        )

    def _count(self, msg: Any, info: Mapping[str, Any]) -> None:
        """Hand a message on, and count those of its publisher that are missing before it."""
        number = info['publication_sequence_number']
        publisher = info.get('publisher_gid') or self._subscription.get_publisher_count() == 1
        known = publisher and number is not None
        self._gaps.add(*((publisher, number) if known else (None, 0)))
        self._take(msg)

    def _take(self, msg: Any) -> None:
        self.came = time.monotonic()
        self._callback(msg)

    def _on_message_lost(self, event: Any) -> None:
        self._gaps.lost += event.total_count_change
        self._on_lost(event.total_count_change)

    def _on_incompatible(self, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        if self._asked.get(policy, '') is None:
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


def image_topic(node: Node, transport: str, prefix: str = '') -> tuple[type[Any], str]:
    """The message class and the topic of the images with an `image_transport`."""
    if transport == 'raw':
        return Image, f'{prefix}image'
    # beside the image wherever that is remapped to, as image_transport has it
    return CompressedImage, node.resolve_topic_name(f'{prefix}image') + '/compressed'


def is_remapped(node: Node, topic: str) -> bool:
    """Return whether a person has named another topic for this one."""
    return node.resolve_topic_name(topic) != node.resolve_topic_name(topic, only_expand=True)


def _suited(policy: str, publishers: Collection[Any]) -> Any:
    """Choose the QoS that receives all publishers and misses nothing that they offer."""
    strict, lax = ADAPTIVE[policy]
    offered = [getattr(publisher.qos_profile, policy) for publisher in publishers]
    return strict if all(value == strict for value in offered) else lax


def _type_name(msg_type: type[Any]) -> str:
    return f'{msg_type.__module__.partition(".")[0]}/msg/{msg_type.__name__}'
