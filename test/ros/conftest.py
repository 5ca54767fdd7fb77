# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run the real node in a process of its own, and talk to it over the middleware."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CONSTANT_DEPTH = 2.0  # [m] of the checkpoint that `constant_checkpoint` writes
FRAME_ID = 'camera_optical_frame'


@pytest.fixture(scope='session', autouse=True)
def _isolated_ros() -> None:
    """Keep the tests' topics on this machine and apart from those of other programs."""
    os.environ['FASTDDS_DEFAULT_PROFILES_FILE'] = str(ROOT / 'config' / 'fastdds.xml')
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)


@pytest.fixture(scope='session')
def constant_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official-format ViT-S checkpoint that gives the same depth everywhere.

    With all weights zero, the output is sigmoid(0) = 1/2 of max_depth.
    """
    import json

    import torch

    shapes = json.loads((ROOT / 'test/data/golden/dav2_vits_keys.json').read_text())
    path = tmp_path_factory.mktemp('checkpoint') / 'constant.pth'
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
    return path


@pytest.fixture
def constant_params(constant_checkpoint: Path) -> dict[str, Any]:
    """Parameters of a node whose network is fast and gives `CONSTANT_DEPTH`."""
    return {
        'model': str(constant_checkpoint),
        'max_depth': 2 * CONSTANT_DEPTH,
        'input_size': 28,
        'device': 'cpu',
    }


class NodeProcess:
    """A running node; `log` is what it has printed so far."""

    def __init__(self, arguments: list[str]) -> None:
        command = [sys.executable, '-m', 'depth_pcd_ros.ros.node', '--ros-args', *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        """What the node has printed."""
        return ''.join(self._lines)

    def wait_for(self, text: str, timeout: float = 30.0) -> None:
        """Wait until the node has printed a text."""
        wait_until(lambda: text in self.log or self.process.poll() is not None, timeout)
        assert text in self.log, self.log

    def stop(self, signal_number: int = signal.SIGINT, timeout: float = 10.0) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()
            self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)


@pytest.fixture
def run_node(_isolated_ros: None) -> Iterator[Callable[..., NodeProcess]]:
    """Start a node with parameters and, by default, wait until it listens."""
    running: list[NodeProcess] = []

    def run(params: dict[str, Any], *arguments: str, ready: str = 'listening') -> NodeProcess:
        options = [f'{name}:={value}' for name, value in params.items()]
        node = NodeProcess([part for option in options for part in ('-p', option)] + [*arguments])
        running.append(node)
        if ready:
            node.wait_for(ready)
        return node

    yield run
    for node in running:
        node.stop()


class Peer:
    """A camera and a subscriber in the tests' own process."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('peer', context=self.context)
        self.received: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def subscribe(self, topic: str, msg_type: type[Any]) -> list[Any]:
        """Collect the messages of a topic in the list returned; wait for its publisher."""
        messages: list[Any] = []
        self.received[topic] = messages
        subscription = self.node.create_subscription(
            msg_type, topic, messages.append, QoSProfile(depth=100)
        )
        wait_until(lambda: self.node.count_publishers(topic) > 0, 10.0)
        del subscription
        return messages

    def publisher(
        self,
        topic: str,
        msg_type: type[Any],
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        wait: bool = True,
    ) -> Any:
        """Offer a topic and wait until somebody listens."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(
                msg_type, topic, QoSProfile(depth=100, reliability=reliability)
            )
        if wait:
            wait_until(lambda: self._publishers[topic].get_subscription_count() > 0, 10.0)
        return self._publishers[topic]

    def show(self, image: Image, info: CameraInfo | None = None) -> None:
        """Publish an image, after its CameraInfo if there is one."""
        if info is not None:
            info.header = image.header
            self.publisher('/camera_info', CameraInfo).publish(info)
        self.publisher('/image', Image).publish(image)

    def close(self) -> None:
        """End."""
        rclpy.try_shutdown(context=self.context)
        self._thread.join()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return


@pytest.fixture
def peer(_isolated_ros: None) -> Iterator[Peer]:
    """A camera and a subscriber."""
    peer = Peer()
    yield peer
    peer.close()


def wait_until(condition: Callable[[], bool], timeout: float = 10.0) -> bool:
    """Wait for a condition; return whether it came true."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def make_image(
    width: int,
    height: int,
    *,
    stamp: tuple[int, int] = (1, 0),
    encoding: str = 'rgb8',
    pad: int = 0,
) -> Image:
    """An image of reproducible noise, its rows padded by some bytes."""
    channels = {'mono8': 1, 'rgba8': 4, 'bgra8': 4}.get(encoding, 3)
    rng = np.random.default_rng(stamp[0])
    image = Image(width=width, height=height, encoding=encoding, step=width * channels + pad)
    image.header.frame_id = FRAME_ID
    image.header.stamp.sec, image.header.stamp.nanosec = stamp
    image.data.frombytes(rng.integers(0, 256, height * image.step, np.uint8).tobytes())
    return image


def make_info(width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> CameraInfo:
    """The CameraInfo of an ideal lens."""
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return info
