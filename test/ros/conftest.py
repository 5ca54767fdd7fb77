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

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParametersAtomically  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.task import Future  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from depth_pcd_ros.live.environment import PROFILE_VARIABLES  # noqa: E402
from scenes.isolation import isolate, remove_leftovers  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CONSTANT_DEPTH = 2.0  # [m] of the checkpoint that `constant_checkpoint` writes
FRAME_ID = 'camera_optical_frame'
REAL_ENGINE, FAKE_ENGINE = 'depth_pcd_ros.ros.node', 'test.ros.fake_engine'  # to be run


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker where its plugin is not installed."""
    config.addinivalue_line('markers', 'flaky(reruns): run again if it fails')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a test between processes once more: discovery on a busy machine keeps no promise.

    A test that needed it is counted as rerun in the last line.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope='session', autouse=True)
def _isolated_ros() -> Iterator[None]:
    """Keep the tests' topics on this machine and apart from those of other programs."""
    isolate()
    yield
    remove_leftovers()


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


@pytest.fixture(scope='session')
def constant_params(constant_checkpoint: Path) -> dict[str, Any]:
    """Parameters of a node whose network is fast and gives `CONSTANT_DEPTH`."""
    return {
        'model': str(constant_checkpoint),
        'max_depth': 2 * CONSTANT_DEPTH,
        'input_size': 28,
        'device': 'openvino',
    }


class NodeProcess:
    """A running node; `log` is what it has printed so far.

    With `profile` False, Fast DDS is as it is by default.
    """

    def __init__(self, arguments: list[str], module: str, profile: bool = True) -> None:
        command = [sys.executable, '-m', module, *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if profile or k not in PROFILE_VARIABLES},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        """What the node has printed."""
        return ''.join(self._lines)

    def wait_for(self, text: str, timeout: float = 30.0, times: int = 1) -> None:
        """Wait until the node has printed a text so many times."""
        wait_until(
            lambda: self.log.count(text) >= times or self.process.poll() is not None, timeout
        )
        assert self.log.count(text) >= times, self.log

    def count_threads(self) -> int:
        """How many threads the process has."""
        return len(os.listdir(f'/proc/{self.process.pid}/task'))

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
        with self.process.stdout as lines:
            for line in lines:
                self._lines.append(line)


def _runner() -> Iterator[Callable[..., NodeProcess]]:
    running: list[NodeProcess] = []

    def run(
        params: dict[str, Any], *arguments: str, ready: str = 'listening', fake: bool = False
    ) -> NodeProcess:
        options = [f'{name}:={value}' for name, value in params.items()]
        node = NodeProcess(
            ['--ros-args', *(part for option in options for part in ('-p', option)), *arguments],
            FAKE_ENGINE if fake else REAL_ENGINE,
        )
        running.append(node)
        if ready:
            node.wait_for(ready, timeout=60.0)  # the first of all converts its network
        return node

    yield run
    for node in running:
        node.stop()
        print(node.log)  # which pytest shows where the test has failed


@pytest.fixture
def run_node(_isolated_ros: None) -> Iterator[Callable[..., NodeProcess]]:
    """Start a node with parameters and, by default, wait until it listens.

    With `fake`, its engine is the one of fake_engine.py.
    """
    yield from _runner()


@pytest.fixture(scope='module')
def run_shared_node(_isolated_ros: None) -> Iterator[Callable[..., NodeProcess]]:
    """As `run_node`, for a node that several tests of a module use one after another."""
    yield from _runner()


class Peer:
    """A camera and a subscriber in the tests' own process."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('peer', context=self.context)
        self.received: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._end = Future()
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

    def withdraw(self) -> None:
        """Withdraw all topics that were offered."""
        for publisher in self._publishers.values():
            self.node.destroy_publisher(publisher)
        self._publishers.clear()

    def show(self, image: Image, info: CameraInfo | None = None) -> None:
        """Publish an image, after its CameraInfo if there is one."""
        if info is not None:
            info.header = image.header
            self.publisher('/camera_info', CameraInfo).publish(info)
        self.publisher('/image', Image).publish(image)

    def call(self, srv_type: type[Any], name: str, request: Any) -> Any:
        """Call a service of the node and return its answer.

        Fast DDS loses the answer if the node's side has not discovered the client yet, which on a
        busy machine may be after the client has discovered the service. So a question is asked
        again; a transition is not, for it may have happened.
        """
        if name not in self._clients:
            self._clients[name] = self.node.create_client(srv_type, f'/depth_pcd/{name}')
        client = self._clients[name]
        assert client.wait_for_service(20.0), f'there is no {name}'
        for patience in (40.0,) if srv_type is ChangeState else (5.0, 10.0, 25.0):
            answer = client.call_async(request)
            if wait_until(answer.done, patience):
                return answer.result()
        pytest.fail(f'no answer from {name}')

    def state(self) -> str:
        """The lifecycle state of the node."""
        return self.call(GetState, 'get_state', GetState.Request()).current_state.label

    def change_state(self, label: str, number: int = 0) -> bool:
        """Ask for a transition, such as `configure`, or by number; return whether it succeeded."""
        request = ChangeState.Request(transition=Transition(label=label, id=number))
        success = self.call(ChangeState, 'change_state', request).success
        if label == 'activate':
            time.sleep(0.5)  # until the publishers here know the new subscriptions
        return success

    def set_parameters(self, **values: Any) -> str:
        """Set parameters of the node together; return the reason why not, '' if they were."""
        request = SetParametersAtomically.Request()
        request.parameters = [Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        name = 'set_parameters_atomically'
        result = self.call(SetParametersAtomically, name, request).result
        assert result.successful == (not result.reason)
        return result.reason

    def wait_for_status(
        self, sentence: str, level: bytes | None = None, timeout: float = 10.0
    ) -> DiagnosticStatus:
        """Wait for a status from now on whose message has a text, and return it."""
        if '/diagnostics' not in self.received:
            self.subscribe('/diagnostics', DiagnosticArray)
        arrays = self.received['/diagnostics']
        arrays.clear()

        def matching() -> list[DiagnosticStatus]:
            statuses = [array.status[0] for array in arrays]
            return [s for s in statuses if sentence in s.message and level in (None, s.level)]

        told = lambda: {array.status[0].message for array in arrays}  # noqa: E731
        assert wait_until(lambda: bool(matching()), timeout), (sentence, level, told())
        return matching()[0]

    def wait_for_values(
        self, condition: Callable[[dict[str, str]], bool], timeout: float = 10.0
    ) -> dict[str, str]:
        """Wait for a status whose values satisfy a condition, and return them."""
        end = time.monotonic() + timeout
        while True:
            values = {pair.key: pair.value for pair in self.wait_for_status('').values}
            if condition(values):
                return values
            assert time.monotonic() < end, values

    def close(self) -> None:
        """End."""
        self._end.set_result(None)
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def _spin(self) -> None:
        try:
            self._executor.spin_until_future_complete(self._end)
        except ExternalShutdownException:
            return


@pytest.fixture
def peer(_isolated_ros: None) -> Iterator[Peer]:
    """A camera and a subscriber."""
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture(scope='module')
def shared_peer(_isolated_ros: None) -> Iterator[Peer]:
    """As `peer`, for several tests of a module, with what they have subscribed to and offered."""
    peer = Peer()
    yield peer
    peer.close()


class FakeTransforms:
    """Stands for `Transforms`, as tf2 has no wheel: a sensor is ahead of all else by 1 m.

    It refuses what tf2 does, a slash before a frame.
    """

    def __init__(self, node: Any) -> None:
        pass

    def find(self, target: str, source: str) -> tuple[float, ...] | None:
        """A place, or none."""
        refused = target.startswith('/') or source.startswith('/')
        return None if refused else (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def destroy(self) -> None:
        """End."""


def wait_until(condition: Callable[[], bool], timeout: float = 10.0) -> bool:
    """Wait for a condition; return whether it came true."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def ctrl_c_in_init(module: str) -> str:
    """A program that runs the `main` of a module of ros/, and is sent SIGINT before rclpy.init."""
    return f"""
import os, signal
import rclpy
from depth_pcd_ros.ros import {module}

init = rclpy.init

def slow(args=None):
    os.kill(os.getpid(), signal.SIGINT)
    init(args=args)

rclpy.init = slow
raise SystemExit({module}.main([]))
"""


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
