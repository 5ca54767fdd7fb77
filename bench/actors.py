# SPDX-License-Identifier: Apache-2.0
"""The processes of `bench.end_to_end`: `python -m bench.actors camera 30`, and so on.

camera HZ [--size WxH]: publishes images and their CameraInfo, the clock's time as stamp.
sender HZ: publishes clouds of 640x480 points on their own, the time of publishing as stamp.
subscriber: prints one line of JSON for each cloud, its stamp and its age in the callback.
node [--network-ms T]: the real node around a network that takes no time, or a fixed one.
"""

import argparse
import array
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.settings import EngineSettings
from test.support.fake_engine import FakeEngine

WIDTH, HEIGHT = 640, 480
QOS = QoSProfile(depth=1)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class StandIn(FakeEngine):
    """An engine that takes a fixed time of another device: a wavy depth map with a step."""

    seconds = 0.0

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(model=settings.model)
        self._out: dict[tuple[int, int], np.ndarray] = {}

    def infer_batch(
        self, pictures: Sequence[np.ndarray], cameras: Any, size: tuple[int, int] | None = None
    ) -> list[np.ndarray]:
        """Return the same depth each time, (H, W) float32; only the first time costs anything."""
        height, width = size or pictures[0].shape[:2]
        if (height, width) not in self._out:
            v, u = np.mgrid[:height, :width]
            depth = 3.0 + 0.5 * np.sin(u / 40.0) + 0.3 * np.cos(v / 30.0) + (u > width // 2)
            self._out[height, width] = depth.astype(np.float32)
        time.sleep(self.seconds)
        return [self._out[height, width].copy() for _ in pictures]


def stamp_now(header: Header) -> None:
    """Write the clock's time into a header."""
    header.stamp.sec, header.stamp.nanosec = divmod(time.time_ns(), 10**9)


def camera(
    node: Node, hz: float, reliability: QoSProfile, size: tuple[int, int], name: str = ''
) -> None:
    """Publish images of (width, height) and their CameraInfo, of one of several below its name."""
    width, height = size
    prefix = f'{name}/' if name else ''
    images = node.create_publisher(Image, f'{prefix}image', reliability)
    infos = node.create_publisher(CameraInfo, f'{prefix}camera_info', reliability)
    image = Image(width=width, height=height, encoding='rgb8', step=3 * width)
    image.header.frame_id = name or 'camera'
    pixels = np.random.default_rng(1).integers(0, 256, 3 * width * height, np.uint8)
    image.data = array.array('B', pixels.tobytes())
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    focal = 500.0 * width / WIDTH
    info.k = [focal, 0.0, (width - 1) / 2, 0.0, focal, (height - 1) / 2, 0.0, 0.0, 1.0]
    info.header = image.header

    def show() -> None:
        stamp_now(image.header)
        infos.publish(info)
        images.publish(image)

    node.create_timer(1.0 / hz, show)


def sender(node: Node, hz: float) -> None:
    """Publish clouds."""
    clouds = node.create_publisher(PointCloud2, 'points', QOS)
    cloud = cloud_message(TYPES, np.ones((HEIGHT, WIDTH, 4), np.float32), Header(frame_id='camera'))

    def show() -> None:
        stamp_now(cloud.header)
        clouds.publish(cloud)

    node.create_timer(1.0 / hz, show)


def subscriber(node: Node) -> None:
    """Print a line for each cloud."""

    def take(cloud: PointCloud2) -> None:
        now = time.time_ns()
        stamp_ns = cloud.header.stamp.sec * 10**9 + cloud.header.stamp.nanosec
        age = (now - stamp_ns) * 1e-9
        line = {'stamp': stamp_ns * 1e-9, 'age': age, 'points': cloud.width * cloud.height}
        print(json.dumps(line), flush=True)

    node.create_subscription(PointCloud2, 'points', take, QOS)


def main() -> int:
    """Run as the first argument says."""
    parser = argparse.ArgumentParser(prog='python -m bench.actors', description=__doc__)
    parser.add_argument('role', choices=('camera', 'sender', 'subscriber', 'node'))
    parser.add_argument('hz', nargs='?', type=float, default=30.0)
    parser.add_argument('reliability', nargs='?', choices=('reliable', 'best_effort'))
    parser.add_argument('--size', default=f'{WIDTH}x{HEIGHT}')
    parser.add_argument('--network-ms', type=float, default=0.0)
    args, others = parser.parse_known_args()
    if args.role == 'node':
        from depth_pcd_ros import engine
        from depth_pcd_ros.ros import node as depth_node

        StandIn.seconds = args.network_ms * 1e-3
        engine.create = StandIn
        return depth_node.main(others)
    rclpy.init()
    actor = rclpy.create_node(args.role)
    if args.role == 'camera':
        qos = BEST_EFFORT if args.reliability == 'best_effort' else QOS
        width, height = map(int, args.size.split('x'))
        camera(actor, args.hz, qos, (width, height))
    elif args.role == 'sender':
        sender(actor, args.hz)
    else:
        subscriber(actor)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(actor)
    return 0


if __name__ == '__main__':
    sys.exit(main())
