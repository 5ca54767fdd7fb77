# SPDX-License-Identifier: Apache-2.0
"""Publish a rosbag2 recording at its own pace, where there is no `ros2 bag play`."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rclpy.validate_full_topic_name import validate_full_topic_name
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.recordings.connection import Connection, is_latched
from depth_pcd_ros.recordings.reader import Recording, RecordingError

CLOCK_TOPIC = '/clock'
CLOCK_PERIOD = 0.025  # [s], the 40 Hz of ros2 bag play --clock
# Messages that may be on their way to a slow subscriber.
DEPTH = 100
ACK_TIMEOUT = 10.0  # [s]
# [s] without another topic gaining its first subscriber. Those have to find this publisher, and
# whoever wants their results has to find them: a frame that comes earlier may be lost.
SETTLED = 1.0
PATIENCE = 2.0  # [s] before a person learns which topics it waits for


class ReplayError(DepthPcdError):
    """A recording cannot be replayed as asked; the message says why."""


class Replayer:
    """Publishes the messages of a recording, as they were serialized, on their topics.

    Topics that cannot be published here (their package is not installed, or ROS 2 does not allow
    their name) are left out with a warning, and so are messages that cannot be read.

    Args:
        node: publishes; it need not be spinning.
        recording: folder (or file) of a rosbag2 recording, mcap or sqlite3.
        topics: the topics to publish, all if empty.
        clock: publish the recording's time on /clock, in place of one that is recorded.

    Raises:
        ReplayError: no such recording, not a recording, a topic that is not in it, or nothing in
            it that can be published here.
    """

    def __init__(
        self, node: Node, recording: Path, topics: Collection[str] = (), *, clock: bool = False
    ) -> None:
        self._node = node
        say = node.get_logger().warning
        try:
            self.recording = Recording(recording, lambda sentence: say(f'{recording}: {sentence}'))
        except RecordingError as err:
            raise ReplayError(f'{recording}: {err}') from err
        if not self.recording.is2:
            raise ReplayError(
                f'{recording} is a ROS 1 recording; convert it with rosbags-convert first'
            )
        known = {connection.topic for connection in self.recording.connections}
        missing = sorted(set(topics) - known)
        if missing:
            raise ReplayError(
                f'no topic {", ".join(missing)} in {recording}, '
                f'which has {", ".join(sorted(known))}'
            )
        self.publishers: dict[str, Publisher] = {}
        self._played: list[Connection] = []
        self._left_out: dict[str, str] = dict(self.recording.unreadable)
        for connection in self.recording.connections:
            if topics and connection.topic not in topics:
                continue
            if clock and connection.topic == CLOCK_TOPIC:
                self._leave_out(CLOCK_TOPIC, '--clock publishes another one')
            else:
                self._offer(connection)
        if not self.publishers:
            reasons = '; '.join(f'{topic}: {why}' for topic, why in self._left_out.items())
            raise ReplayError(f'{recording}: nothing to publish: {reasons or "it has no topic"}')
        self._clock = node.create_publisher(Clock, CLOCK_TOPIC, 10) if clock else None

    def wait_for_subscribers(self, timeout: float, needed: Collection[str] = ()) -> list[str]:
        """Wait until topics have subscribers and no more join.

        Args:
            timeout: how long to wait at most [s].
            needed: topics that are among those that have.

        Returns:
            The topics without one.

        Raises:
            ReplayError: a needed topic is not published.
        """
        unknown = sorted(set(needed) - self.publishers.keys())
        if unknown:
            raise ReplayError(
                f'no subscriber can be waited for on {", ".join(unknown)}; '
                f'published are {", ".join(sorted(self.publishers))}'
            )
        start = changed = said = time.monotonic()
        before = sorted(self.publishers)
        while True:
            lonely = sorted(t for t, p in self.publishers.items() if not p.get_subscription_count())
            now = time.monotonic()
            if lonely != before:
                before, changed = lonely, now
            some = len(lonely) < len(self.publishers) and not set(needed) & set(lonely)
            settled = some and now - changed >= SETTLED
            if settled or now - start >= timeout or not self._node.context.ok():
                return lonely
            waiting = sorted(set(needed) & set(lonely)) or lonely
            if waiting and now - said >= PATIENCE:  # once: whoever subscribes may take his time
                said = math.inf
                self._node.get_logger().info(
                    f'waiting for subscribers, {timeout:g} s at most, on {", ".join(waiting)}'
                )
            time.sleep(0.05)

    def play(
        self,
        *,
        rate: float = 1.0,
        on_publish: Callable[[str, bytes], None] | None = None,
    ) -> int:
        """Publish every message once.

        Args:
            rate: factor on the pace.
            on_publish: called with the topic and the serialized message before each publishing.

        Returns:
            The number of messages published; fewer than recorded only if ROS was shut down.
        """
        total = sum(connection.msgcount for connection in self._played)
        count = 0
        start, first_ns = time.monotonic(), None
        with tqdm(total=total, unit='msg', desc='replay', mininterval=1.0) as progress:
            for connection, stamp_ns, data in self.recording.messages(self._played):
                first_ns = stamp_ns if first_ns is None else first_ns
                due = start + (stamp_ns - first_ns) * 1e-9 / rate
                while True:
                    wait = due - time.monotonic()
                    if self._clock is not None:
                        now_ns = stamp_ns - int(max(wait, 0.0) * rate * 1e9)
                        self._clock.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))
                    if wait <= 0 or not self._node.context.ok():
                        break
                    time.sleep(min(wait, CLOCK_PERIOD))
                if not self._node.context.ok():
                    break
                data = bytes(data)
                if on_publish is not None:
                    on_publish(connection.topic, data)
                self.publishers[connection.topic].publish(data)
                count += 1
                progress.update()
        for publisher in self.publishers.values():
            if self._node.context.ok():
                publisher.wait_for_all_acked(Duration(seconds=ACK_TIMEOUT))
        return count

    def close(self) -> None:
        """Close the recording."""
        self.recording.close()

    def _offer(self, connection: Connection) -> None:
        topic = connection.topic
        try:
            validate_full_topic_name(topic)
            msg_type = message_class(connection.msgtype)
            self.publishers[topic] = self._node.create_publisher(msg_type, topic, _qos(connection))
            self._played.append(connection)
        except Exception as err:  # whatever one topic does, the others are published
            # rclpy's second line repeats the name and points to what it does not like
            self._leave_out(topic, (str(err) or repr(err)).splitlines()[0].rstrip(':'))

    def _leave_out(self, topic: str, why: str) -> None:
        self._left_out[topic] = why
        self._node.get_logger().warning(f'{topic} is left out: {why}')


def _qos(connection: Connection) -> QoSProfile:
    qos = QoSProfile(depth=DEPTH)  # reliable and volatile
    offered = connection.qos
    if any(one.reliability.name == 'BEST_EFFORT' for one in offered):
        qos.reliability = ReliabilityPolicy.BEST_EFFORT
    if is_latched(connection):
        qos.durability = DurabilityPolicy.TRANSIENT_LOCAL  # as of maps and /tf_static
    return qos


def message_class(name: str) -> type[Any]:
    """Import the class of a message type such as `sensor_msgs/msg/Image`.

    Raises:
        ReplayError: it is not installed.
    """
    package, _, message = name.rpartition('/')
    try:
        found: type[Any] = getattr(importlib.import_module(package.replace('/', '.')), message)
    except (ImportError, AttributeError, ValueError) as err:
        raise ReplayError(f'its type {name} is not installed') from err
    return found


def main(args: argparse.Namespace) -> int:
    """Run `depth-pcd replay`; return the exit code: 0 done, 1 failed."""
    # not rclpy's handlers, which shut ROS down while something is being published
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('depth_pcd_replay')
    try:
        replayer = Replayer(node, args.recording, args.topics or (), clock=args.clock)
        lonely = replayer.wait_for_subscribers(args.wait, args.wait_for or ())
        if len(lonely) == len(replayer.publishers):
            print(f'nobody subscribes to {", ".join(lonely)}', file=sys.stderr)
        while True:
            replayer.play(rate=args.rate)
            if not args.loop:
                break
        replayer.close()
        for problem in replayer.recording.damage:
            print(f'depth-pcd replay: {args.recording}: {problem}', file=sys.stderr)
        return 1 if replayer.recording.damage else 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
