# SPDX-License-Identifier: Apache-2.0
"""Publishers that take `qos_overrides` parameters, and a warning where QoS does not match."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSPolicyKind, QoSProfile, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, UnsupportedEventTypeError

T = TypeVar('T')
Events = dict[str, Callable[[Any], None]]  # callbacks by their names in rclpy

# How many messages the middleware keeps, by `frames`: what a busy executor is late by. Of images,
# a few more than one: on Humble nobody counts what is replaced there.
INPUT_DEPTH = {'latest': 5, 'all': 100}
READINGS_DEPTH = {'latest': 10, 'all': 100}
OUTPUT_DEPTH = {'latest': 1, 'all': 100}
SILENCE = 2.0  # [s] since the last message of a sensor, after which its topic is called silent

OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


def create_publisher(node: Node, msg_type: type[Any], topic: str, depth: int) -> Publisher:
    """Offer a topic reliably, or as its `qos_overrides` say, and tell of subscribers left out."""
    name = node.resolve_topic_name(topic)
    profile = QoSProfile(depth=depth)  # rclpy writes the overrides into it

    def warn(event: Any) -> None:
        others = node.get_subscriptions_info_by_topic(name)
        node.get_logger().warning(
            incompatibility(name, 'publisher', event.last_policy_kind, profile, others)
        )

    return with_events(
        lambda callbacks: node.create_publisher(
            msg_type,
            topic,
            profile,
            event_callbacks=PublisherEventCallbacks(**callbacks),
            qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
        ),
        incompatible_qos=warn,
    )


def with_events(create: Callable[[Events], T], **callbacks: Callable[[Any], None]) -> T:
    """Create something with as many of the event callbacks as the middleware knows."""
    for count in range(len(callbacks), 0, -1):
        for some in itertools.combinations(callbacks.items(), count):
            with contextlib.suppress(UnsupportedEventTypeError):
                return create(dict(some))
    return create({})


def incompatibility(
    topic: str, role: str, policy_kind: int, own: QoSProfile, others: Iterable[Any]
) -> str:
    """Say what does not match and which parameter would help.

    The role of this node is `publisher` or `subscription`, the kind of policy that of the event
    (rmw_qos_policy_kind_t), and the other sides are as rclpy has them (TopicEndpointInfo).
    """
    policy = qos_policy_name_from_kind(policy_kind).lower()
    ours = value(own, policy)
    theirs = sorted({value(other.qos_profile, policy) for other in others} - {ours})
    named = ' or '.join(theirs) or 'another'
    if role == 'publisher':
        what = f'a subscriber gets nothing: it asks for {policy} {named}, offered is {ours}'
    else:
        what = f'a publisher is not received: it offers {policy} {named}, asked for is {ours}'
    return f'{topic}: {what}; set the parameter qos_overrides.{topic}.{role}.{policy} to {named}'


def value(profile: QoSProfile, policy: str) -> str:
    """Return the value of a policy as it is written in a parameter."""
    setting = getattr(profile, policy)
    return getattr(setting, 'name', str(setting)).lower()
