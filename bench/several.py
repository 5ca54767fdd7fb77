# SPDX-License-Identifier: Apache-2.0
"""Measure one node with four cameras beside four nodes with one: memory and clouds.

Cameras, nodes and the subscriber are processes of their own. The cameras are of different sizes;
the topics are the same in both cases. It starts `python -m bench.several cameras 10`, at that rate
[Hz], and `python -m bench.several subscriber`.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import sys
import time
from pathlib import Path

from bench.end_to_end import SETTLE, Process, running
from bench.measure import Row
from scenes.isolation import isolate

CAMERAS = {'front': (640, 480), 'left': (640, 360), 'right': (424, 240), 'rear': (320, 240)}
RATES = (10, 30)  # [Hz] of each camera
NODE = 'depth_pcd_ros.ros.node'
DEMO = ('--ros-args', '-p', 'model:=demo')
ONE = ((NODE, *DEMO, '-p', f'cameras:=[{",".join(CAMERAS)}]'),)
MANY = tuple((NODE, *DEMO, '-r', f'__ns:=/{name}') for name in CAMERAS)


class Run:
    """What was measured of one way; several runs add up.

    Attributes:
        clouds: how many came of each camera.
        seconds: that were measured.
        busy: processor time of the nodes [s].
        memory: of all nodes at the end, what they share counted once [MB].
    """

    def __init__(self) -> None:
        self.clouds: collections.Counter[str] = collections.Counter()
        self.seconds = self.busy = self.memory = 0.0

    @property
    def rate(self) -> float:
        """Clouds of all cameras a second [Hz]."""
        return self.clouds.total() / self.seconds

    @property
    def fairness(self) -> float:
        """Clouds of the camera that got fewest, as a share of the one that got most."""
        counts = [self.clouds[name] for name in CAMERAS]
        return min(counts) / max(*counts, 1)


def memory(process: Process) -> float:
    """Return the memory of a process, its share of what it shares [MB]: PSS of proc(5)."""
    text = Path(f'/proc/{process.process.pid}/smaps_rollup').read_text()
    return (
        int(next(line for line in text.splitlines() if line.startswith('Pss:')).split()[1]) / 1024
    )


def run_nodes(run: Run, nodes: tuple[tuple[str, ...], ...], hz: float, seconds: float) -> None:
    """Measure cameras, nodes and subscriber."""
    specs = (
        *nodes,
        ('bench.several', 'subscriber'),
        ('bench.several', 'cameras', str(hz)),
    )
    with running(*specs, tuned=True) as processes:
        of_nodes, subscriber = processes[: len(nodes)], processes[-2]
        for name in CAMERAS:  # each has found its node, and the network is compiled for its size
            subscriber.wait_for(f'{{"camera": "{name}"')
        time.sleep(SETTLE)
        busy, start = sum(one.cpu_seconds() for one in of_nodes), time.time()
        time.sleep(seconds)
        run.busy += sum(one.cpu_seconds() for one in of_nodes) - busy
        end = time.time()
        run.memory = sum(memory(one) for one in of_nodes)
        time.sleep(0.5)
        run.seconds += end - start
        for line in subscriber.lines:
            if line.startswith('{'):
                cloud = json.loads(line)
                if start <= cloud['stamp'] < end:
                    run.clouds[cloud['camera']] += 1


def measure(repetitions: int) -> list[Row]:
    """Measure both ways in turns."""
    isolate()
    seconds = min(max(repetitions / 5, 4.0), 20.0)
    rows = []
    for hz in RATES:
        one, many = Run(), Run()
        for _ in range(2):
            run_nodes(one, ONE, hz, seconds)
            run_nodes(many, MANY, hz, seconds)
        of = f'4 cameras of different sizes at {hz} Hz, demo model'
        each = ', '.join(f'{one.clouds[name]} {name}' for name in CAMERAS)
        rows += [
            Row(f'{of}: memory', '', one.memory, 'MB', 'four nodes', many.memory, required=0.45),
            Row(
                f'{of}: time for a cloud',
                '',
                1e3 / max(one.rate, 1e-3),
                'ms',
                'four nodes',
                1e3 / max(many.rate, 1e-3),
                faster=True,
                required=1.0,
                note=f'{one.rate:.1f} and {many.rate:.1f} clouds/s in all; {each}',
            ),
            Row(
                f'{of}: CPU',
                '',
                100 * one.busy / one.seconds,
                '%',
                'four nodes',
                100 * many.busy / many.seconds,
            ),
            Row(f'{of}: fewest / most clouds of a camera', '', one.fairness, ''),
        ]
    return rows


def main() -> int:
    """Be the cameras or the subscriber."""
    parser = argparse.ArgumentParser(prog='python -m bench.several', description=__doc__)
    parser.add_argument('role', choices=('cameras', 'subscriber'))
    parser.add_argument('rate', nargs='?', type=float, default=10.0, help='of each camera [Hz]')
    args = parser.parse_args()

    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import PointCloud2

    from bench.actors import camera

    def take(cloud: PointCloud2) -> None:
        stamp = cloud.header.stamp.sec + cloud.header.stamp.nanosec * 1e-9
        print(json.dumps({'camera': cloud.header.frame_id, 'stamp': stamp}), flush=True)

    rclpy.init()
    node = rclpy.create_node(f'bench_{args.role}')
    for name in CAMERAS:
        if args.role == 'cameras':
            camera(node, args.rate, QoSProfile(depth=1), CAMERAS[name], name)
        else:
            node.create_subscription(PointCloud2, f'{name}/points', take, QoSProfile(depth=5))
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    return 0


if __name__ == '__main__':
    sys.exit(main())
