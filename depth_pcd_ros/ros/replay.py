# SPDX-License-Identifier: Apache-2.0
"""Publish a rosbag2 recording at its own pace, where there is no `ros2 bag play`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from depth_pcd_ros.errors import DepthPcdError

CLOCK_PERIOD = 0.025  # [s], the 40 Hz of ros2 bag play --clock
# Messages that may be on their way to a slow subscriber.
DEPTH = 100
ACK_TIMEOUT = 10.0  # [s]
# [s] without another topic gaining its first subscriber. Those have to find this publisher, and
# whoever wants their results has to find them: a frame that comes earlier may be lost.
SETTLED = 1.0


class ReplayError(DepthPcdError):
    """A recording cannot be replayed as asked; the message says why."""


class Replayer:
    """Publishes the messages of a recording, as they were serialized, on their topics.

    Topics whose message package is not installed are left out, with a warning.

    Args:
        node: publishes; it need not be spinning.
        recording: folder (or file) of a rosbag2 recording, mcap or sqlite3.
        topics: the topics to publish, all if empty.

    Raises:
        ReplayError: no such recording, not a recording, a topic that is not in it, or nothing in
            it that can be published here.
    """

    def __init__(self, node: Node, recording: Path, topics: Collection[str] = ()) -> None:
        self._node = node
        if not recording.exists():
            raise ReplayError(f'there is no recording {recording}')
        try:
            self._reader = AnyReader(
                [recording], default_typestore=get_typestore(Stores.ROS2_HUMBLE)
            )
            self._reader.open()
        except (AnyReaderError, OSError) as err:
            raise ReplayError(f'{recording} cannot be read as a rosbag2 recording: {err}') from err
        if not self._reader.is2:
            raise ReplayError(
                f'{recording} is a ROS 1 recording; convert it with rosbags-convert first'
            )
        known = {connection.topic for connection in self._reader.connections}
        missing = sorted(set(topics) - known)
        if missing:
            raise ReplayError(
                f'no topic {", ".join(missing)} in {recording}, '
                f'which has {", ".join(sorted(known))}'
            )
        self._publishers: dict[str, Publisher] = {}
        for connection in self._reader.connections:
            if not topics or connection.topic in topics:
                self._offer(connection)
        if not self._publishers:
            types = sorted({connection.msgtype for connection in self._reader.connections})
            raise ReplayError(f'nothing to publish: not installed are {", ".join(types)}')
        self._clock: Publisher | None = None

    @property
    def publishers(self) -> dict[str, Publisher]:
        """The publisher of each topic."""
        return self._publishers

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
        unknown = sorted(set(needed) - self._publishers.keys())
        if unknown:
            raise ReplayError(
                f'no subscriber can be waited for on {", ".join(unknown)}; '
                f'published are {", ".join(sorted(self._publishers))}'
            )
        start = changed = time.monotonic()
        before = sorted(self._publishers)
        while True:
            lonely = sorted(
                t for t, p in self._publishers.items() if not p.get_subscription_count()
            )
            now = time.monotonic()
            if lonely != before:
                before, changed = lonely, now
            some = len(lonely) < len(self._publishers) and not set(needed) & set(lonely)
            settled = some and now - changed >= SETTLED
            if settled or now - start >= timeout or not self._node.context.ok():
                return lonely
            time.sleep(0.05)

    def play(
        self,
        *,
        rate: float = 1.0,
        clock: bool = False,
        on_publish: Callable[[str, bytes], None] | None = None,
    ) -> int:
        """Publish every message once.

        Args:
            rate: factor on the pace.
            clock: publish the recording's time on /clock.
            on_publish: called with the topic and the serialized message before each publishing.

        Returns:
            The number of messages published; fewer than recorded only if ROS was shut down.
        """
        if clock and self._clock is None:
            self._clock = self._node.create_publisher(Clock, '/clock', 10)
        connections = [c for c in self._reader.connections if c.topic in self._publishers]
        total = sum(connection.msgcount for connection in connections)
        count = 0
        start, first_ns = time.monotonic(), None
        with tqdm(total=total, unit='msg', desc='replay', mininterval=1.0) as progress:
            for connection, stamp_ns, data in self._reader.messages(connections):
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
                self._publishers[connection.topic].publish(data)
                count += 1
                progress.update()
        for publisher in self._publishers.values():
            if self._node.context.ok():
                publisher.wait_for_all_acked(Duration(seconds=ACK_TIMEOUT))
        return count

    def close(self) -> None:
        """Close the recording."""
        self._reader.close()

    def _offer(self, connection: Connection) -> None:
        if connection.topic in self._publishers:
            return
        msg_type = message_class(connection.msgtype)
        if msg_type is None:
            self._node.get_logger().warning(
                f'{connection.topic} is left out: {connection.msgtype} is not installed'
            )
            return
        recorded = getattr(connection.ext, 'offered_qos_profiles', [])
        qos = QoSProfile(depth=DEPTH)  # reliable and volatile
        if any(offered.reliability.name == 'BEST_EFFORT' for offered in recorded):
            qos.reliability = ReliabilityPolicy.BEST_EFFORT
        if recorded and all(offered.durability.name == 'TRANSIENT_LOCAL' for offered in recorded):
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL  # as of maps and /tf_static
        self._publishers[connection.topic] = self._node.create_publisher(
            msg_type, connection.topic, qos
        )


def message_class(name: str) -> type[Any] | None:
    """Import the class of a message type such as `sensor_msgs/msg/Image`, None if not there."""
    package, _, message = name.split('/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), message, None)
    except ImportError:
        return None


def main(args: argparse.Namespace) -> int:
    """Run `depth-pcd replay`; return the exit code."""
    rclpy.init()
    node = rclpy.create_node('depth_pcd_replay')
    try:
        replayer = Replayer(node, args.recording, args.topics or ())
        lonely = replayer.wait_for_subscribers(args.wait, args.wait_for or ())
        if len(lonely) == len(replayer.publishers):
            print(f'nobody subscribes to {", ".join(lonely)}', file=sys.stderr)
        while True:
            replayer.play(rate=args.rate, clock=args.clock)
            if not args.loop or not rclpy.ok():
                break
        replayer.close()
    except ReplayError as err:
        print(f'depth-pcd replay: {err}', file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
