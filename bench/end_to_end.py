# SPDX-License-Identifier: Apache-2.0
"""Measure from camera message to cloud in another process: delay, rate, CPU and memory.

Camera, node and subscriber are processes of their own (`bench.actors`), with the settings of
docs/transport.md in all of them or in none. The age of a cloud is taken in the subscriber's
callback, from the stamp that the camera took before it published.
"""

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from bench.measure import Row
from depth_pcd_ros.live.environment import MALLOC, PROFILE_VARIABLES
from scenes.isolation import isolate

RATES = (5, 10, 30)  # [Hz]
SIZE = '640x480'
# Of a GPU that is as fast as the host can serve it, and of one on a small computer.
STAND_INS = (2, 25)  # [ms]
STAND_IN_SIZES = {'640x480': 200, '1280x720': 150, '1920x1080': 150}  # and the camera's rate [Hz]
SETTLE = 2.0  # [s] that are not counted
NODES = {
    'demo model': ('depth_pcd_ros.ros.node', ('--ros-args', '-p', 'model:=demo')),
    'no network': ('bench.actors', ('node', '--ros-args', '-p', 'model:=none')),
}


class Process:
    """A process and the lines that it has printed so far."""

    def __init__(self, module: str, *arguments: str, tuned: bool) -> None:
        untuned = {*PROFILE_VARIABLES, *MALLOC}
        self.process = subprocess.Popen(
            [sys.executable, '-m', module, *arguments],
            env={k: v for k, v in os.environ.items() if tuned or k not in untuned},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str, timeout: float = 60.0) -> None:
        """Wait until a text was printed."""
        end = time.monotonic() + timeout
        while not any(text in line for line in self.lines):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f'{text!r} does not come, only:\n{"".join(self.lines)}')
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join()

    def cpu_seconds(self) -> float:
        """Return its processor time [s]."""
        with open(f'/proc/{self.process.pid}/stat') as file:
            fields = file.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def resident(self) -> float:
        """Return its resident memory, the shared one too [MB]."""
        with open(f'/proc/{self.process.pid}/status') as file:
            fields = dict(line.split(':', 1) for line in file)
        return int(fields['VmRSS'].split()[0]) / 1024

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


@contextlib.contextmanager
def running(*specs: tuple[str, ...], tuned: bool) -> Iterator[list[Process]]:
    """Start processes in order and end them."""
    processes = []
    try:
        for module, *arguments in specs:
            processes.append(Process(module, *arguments, tuned=tuned))
            if 'model:=' in ' '.join(arguments):
                processes[-1].wait_for('listening')
        yield processes
    finally:
        for process in processes:
            process.stop()


@dataclasses.dataclass
class Run:
    """The results of one run; several add up.

    Attributes:
        ages: of each cloud in the subscriber's callback [s].
        seconds: that were measured.
        busy: processor time of the node [s].
        resident: of the node at the end [MB].
        inside: from arrival to published, the node's own median [ms], of each run.
    """

    ages: list[float] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    busy: float = 0.0
    resident: float = 0.0
    inside: list[float] = dataclasses.field(default_factory=list)

    def quantile(self, q: float) -> float:
        """Return a quantile of the ages [ms]; infinite if nothing came."""
        if not self.ages:
            return float('inf')
        ordered = sorted(self.ages)
        return 1e3 * ordered[min(int(q * len(ordered)), len(ordered) - 1)]

    @property
    def rate(self) -> float:
        """Return the rate of the clouds that came [Hz]."""
        return len(self.ages) / self.seconds


def count(run: Run, subscriber: Process, start: float, end: float) -> None:
    """Add the clouds whose stamp is between two times of the clock [s]."""
    clouds = [json.loads(line) for line in subscriber.lines if line.startswith('{')]
    run.ages += [cloud['age'] for cloud in clouds if start <= cloud['stamp'] < end]
    run.seconds += end - start


def send(run: Run, hz: float, seconds: float, tuned: bool) -> None:
    """Measure clouds alone, from publish to callback."""
    subscriber, sender = ('bench.actors', 'subscriber'), ('bench.actors', 'sender', str(hz))
    with running(subscriber, sender, tuned=tuned) as processes:
        processes[0].wait_for('{') if tuned else time.sleep(2.0)
        time.sleep(SETTLE)
        start = time.time()
        time.sleep(seconds + 0.5)
        count(run, processes[0], start, start + seconds)


def run_node(run: Run, node: str, hz: float, seconds: float, tuned: bool) -> None:
    """Measure camera, node and subscriber."""
    module, arguments = NODES[node]
    specs = (
        (module, *arguments),
        ('bench.actors', 'subscriber'),
        ('bench.actors', 'camera', str(hz), 'reliable'),
    )
    with running(*specs, tuned=tuned) as (process, subscriber, _), Inside() as inside:
        time.sleep(1.0 + SETTLE)
        busy, start = process.cpu_seconds(), time.time()
        time.sleep(seconds)
        run.busy += process.cpu_seconds() - busy
        run.resident = process.resident()
        end = time.time()
        time.sleep(0.5)
        count(run, subscriber, start, end)
        run.inside += inside.latest()


def stand_in(run: Run, size: str, milliseconds: int, resolution: str, seconds: float) -> None:
    """Measure the node around a network that takes a fixed time of another device."""
    parameters = ('-p', 'model:=none', '-p', f'resolution:={resolution}')
    specs = (
        ('bench.actors', 'node', '--network-ms', str(milliseconds), '--ros-args', *parameters),
        ('bench.actors', 'subscriber'),
        ('bench.actors', 'camera', str(STAND_IN_SIZES[size]), 'reliable', '--size', size),
    )
    with running(*specs, tuned=True) as (_, subscriber, _):
        subscriber.wait_for('{')
        time.sleep(SETTLE)
        start = time.time()
        time.sleep(seconds)
        end = time.time()
        time.sleep(0.5)
        count(run, subscriber, start, end)


def stand_ins(seconds: float) -> list[Row]:
    """Measure what the host can do for a fast network, at both resolutions."""
    rows = []
    for size in STAND_IN_SIZES:
        for milliseconds in STAND_INS:
            runs = {resolution: Run() for resolution in ('image', 'network')}
            for _ in range(2):
                for resolution, run in runs.items():
                    stand_in(run, size, milliseconds, resolution, seconds)
            image, network = runs['image'], runs['network']
            name = f'stand-in of {milliseconds} ms, resolution network'
            rows.append(
                Row(
                    f'{name}: rate',
                    size,
                    network.rate,
                    'Hz',
                    note=f'{network.rate / max(image.rate, 1e-9):.1f}x that of resolution image, '
                    f'{image.rate:.1f}',
                )
            )
            rows.append(
                Row(
                    stage=f'{name}: age',
                    size=size,
                    value=network.quantile(0.5),
                    against='resolution image',
                    reference=image.quantile(0.5),
                    faster=True,
                )
            )
    return rows


class Inside:
    """A subscription to the node's diagnostics."""

    def __enter__(self) -> 'Inside':
        import rclpy  # after `isolate`
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.task import Future

        self._values: list[float] = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('bench', context=self._context)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._take, 10)
        self._ended = Future()
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        self._thread = threading.Thread(
            target=lambda: executor.spin_until_future_complete(self._ended)
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set_result(None)
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()

    def latest(self) -> list[float]:
        """Return the last reported median from arrival to published [ms], if any."""
        return self._values[-1:]

    def _take(self, message: object) -> None:
        values = {pair.key: pair.value for pair in message.status[0].values}  # type: ignore[attr-defined]
        value = float(values.get('latency from arrival p50 [ms]', 'nan'))
        if value == value:
            self._values.append(value)


def measure(repetitions: int) -> list[Row]:
    """Measure clouds alone, then the whole way; with the transport's settings and without."""
    isolate()
    seconds = min(max(repetitions / 10, 2.0), 4.0)  # each; most of the time is for the starts
    alone = {tuned: Run() for tuned in (True, False)}
    ways = {(node, hz, tuned): Run() for node in NODES for hz in RATES for tuned in (True, False)}
    for _ in range(3):
        for tuned, run in alone.items():
            send(run, 10.0, seconds, tuned)
    for turn in range(2):
        for (node, hz, tuned), run in ways.items():
            if tuned or turn == 0:
                run_node(run, node, hz, 1.5 * seconds, tuned)
    rows = [
        Row(
            stage='cloud to another process',
            size=SIZE,
            value=alone[True].quantile(0.5),
            against='default transport',
            reference=alone[False].quantile(0.5),
            faster=True,
            required=8.0,
            aim=20.0,
            note=f'at 10 Hz; arrived {alone[True].rate:.1f} and, by default, '
            f'{alone[False].rate:.1f} a second',
        )
    ]
    for node in NODES:
        for hz in RATES:
            rows += whole_way(node, hz, ways[node, hz, True], ways[node, hz, False])
    return rows + stand_ins(seconds)


def whole_way(node: str, hz: int, tuned: Run, default: Run) -> list[Row]:
    """Measure one node at one rate of the camera."""
    name = f'camera to cloud, {node}, {hz} Hz'
    rows = [
        Row(
            stage=name,
            size=SIZE,
            value=tuned.quantile(0.5),
            against='default transport',
            reference=default.quantile(0.5),
            faster=True,
            peers={'p95': tuned.quantile(0.95), 'p99': tuned.quantile(0.99)},
        )
    ]
    if node == 'no network':
        rows.append(
            Row(
                stage=f'{name}: arrival to published',
                size=SIZE,
                value=statistics.median(tuned.inside) if tuned.inside else float('inf'),
                required=8.0,
                aim=4.0,
            )
        )
    rows += [
        Row(f'{name}: rate', SIZE, tuned.rate, 'Hz', note=f'by default {default.rate:.1f}'),
        Row(f'{name}: CPU', SIZE, 100 * tuned.busy / tuned.seconds, '%'),
        Row(
            f'{name}: resident',
            SIZE,
            tuned.resident,
            'MB',
            note=f'by default {default.resident:.0f}: without the segment of 64 MB',
        ),
    ]
    return rows
