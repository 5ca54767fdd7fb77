# SPDX-License-Identifier: Apache-2.0
"""Twenty minutes of a hard life for the node: `make soak`, or `python -m test.soak --minutes 2`.

A 30 Hz camera whose size and calibration change and of whose messages 1 % are broken, subscribers
that come, go and are killed, parameters that change, now and then a deactivation. Afterwards every
frame that was received must have been published or counted, and neither memory nor threads have
grown.
"""

import argparse
import collections
import contextlib
import random
import signal
import statistics
import sys
import time
from pathlib import Path

from sensor_msgs.msg import CameraInfo, Image

from scenes.isolation import isolate

from .ros.conftest import (
    REAL_ENGINE,
    NodeProcess,
    Peer,
    make_image,
    make_info,
)

PERIOD = 1 / 30  # [s]
SIZES = ((640, 480), (320, 240), (424, 240))
BROKEN = 0.01  # of the messages
MAX_GROWTH = 20.0  # [MB]
MAX_LOST = 0.03  # on the way to the node, which listens to nothing while it is not active
ENDS = ('frames processed', 'frames superseded', 'frames nobody subscribed to', 'frames dropped')


class Camera:
    """Publishes an image and a CameraInfo every 33 ms, some of them broken."""

    def __init__(self, peer, rng):
        self.images = peer.publisher('/image', Image)
        self.infos = peer.publisher('/camera_info', CameraInfo)
        self.pictures = [make_image(*size) for size in SIZES]
        self.rng = rng
        self.sent = self.broken = 0
        self.change()

    def change(self):
        """Take another size and another calibration."""
        self.image = self.rng.choice(self.pictures)
        width, height = self.image.width, self.image.height
        focal = self.rng.uniform(0.5, 1.2) * width
        self.info = make_info(width, height, focal, focal, width / 2, height / 2)
        self.info.d = [self.rng.uniform(-0.1, 0.1), 0.01, 0.0, 0.0, 0.0]

    def show(self):
        """Publish one of each."""
        image, info = self.image, self.info
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        if self.rng.random() < BROKEN:
            self.broken += 1
            image = Image(header=image.header, encoding=image.encoding, step=image.step)
            image.width, image.height = self.image.width, self.image.height
            fault = self.rng.choice(['encoding', 'size', 'data', 'step', 'frame', 'stamp'])
            if fault == 'encoding':
                image.encoding = 'rgb9'
            elif fault == 'size':
                image.width, image.data = 2**31, self.image.data
            elif fault == 'data':
                image.data = self.image.data[: self.rng.randrange(1000)]
            elif fault == 'step':
                image.step, image.data = 1, self.image.data
            elif fault == 'frame':
                image.data = self.image.data
                image.header = type(image.header)(frame_id='elsewhere', stamp=image.header.stamp)
            else:
                image.header = type(image.header)(frame_id=image.header.frame_id)
                image.header.stamp.sec = -1
                image.data = self.image.data[:-1]
        info.header = self.image.header
        self.infos.publish(info)
        self.images.publish(image)
        self.sent += 1


class Life:
    """What happens around the node, by the second."""

    def __init__(self, peer, camera, rng):
        self.peer, self.camera, self.rng = peer, camera, rng
        self.subscribers = []
        self.subscriptions = []
        self.changes = 0
        self.deactivations = 0

    def happen(self, second):
        """Let one second's events happen."""
        if second % 3 == 0:
            self.change_parameters()
        if second % 10 == 0:
            self.camera.change()
        if second % 7 == 0:
            self.toggle_subscription()
        if second % 20 == 0:
            self.subscribers.append(NodeProcess(['subscriber'], 'test.ros.stream'))
            if len(self.subscribers) > 2:
                how = self.rng.choice([signal.SIGKILL, signal.SIGINT])
                self.subscribers.pop(0).stop(how)
        if second % 120 == 40:  # the first within the first minute
            assert self.peer.change_state('deactivate')
            assert self.peer.change_state('activate')
            self.deactivations += 1

    def change_parameters(self):
        """Set some parameters, now and then to what is not allowed."""
        rng = self.rng
        values = {
            'stride': rng.choice([1, 1, 2, 4]),
            'depth_scale': rng.uniform(0.5, 2.0),
            'edge_filter': rng.choice([0.0, 88.0]),
            'voxel_size': rng.choice([0.0, 0.0, 0.05]),
            'organized': rng.random() < 0.7,
            'cloud_fields': rng.choice(['xyz', 'xyzrgb']),
            'depth_encoding': rng.choice(['32FC1', '16UC1']),
        }
        if rng.random() < 0.1:
            assert self.peer.set_parameters(**{**values, 'stride': 1000})
        else:
            assert self.peer.set_parameters(**values) == ''
        self.changes += 1

    def toggle_subscription(self):
        """Subscribe to another result, or to none."""
        while self.subscriptions:
            self.peer.node.destroy_subscription(self.subscriptions.pop())
        topic = self.rng.choice(['/depth/image', '/depth/color', None])
        if topic is not None:
            self.subscriptions.append(
                self.peer.node.create_subscription(Image, topic, lambda _: None, 1)
            )

    def end(self):
        """Let everybody go."""
        for process in self.subscribers:
            process.stop()


def memory(pid):
    """Resident memory of a process, all of it and without what it shares [MB]."""
    with open(f'/proc/{pid}/status') as file:
        fields = dict(line.split(':', 1) for line in file)
    return tuple(int(fields[name].split()[0]) / 1024 for name in ('VmRSS', 'RssAnon'))


def thread_names(pid):
    """How many threads of each name a process has."""
    names = collections.Counter()
    for task in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            names[(task / 'comm').read_text().strip()] += 1
    return names


def soak(seconds, seed):
    """Run; return the findings that should not be, by name."""
    rng = random.Random(seed)
    node = NodeProcess(['--ros-args', '-p', 'model:=demo', '-p', 'device:=cpu'], REAL_ENGINE)
    node.wait_for('listening')
    peer = Peer()
    peer.wait_for_status('')
    camera = Camera(peer, rng)
    life = Life(peer, camera, rng)
    used, threads = [], []
    start = due = time.monotonic()
    seen = -1
    while (now := time.monotonic()) - start < seconds and node.process.poll() is None:
        camera.show()
        if int(now - start) > seen:
            seen = int(now - start)
            life.happen(seen)
            used.append(memory(node.process.pid))
            threads.append(thread_names(node.process.pid))
            peer.received['/diagnostics'][:-5] = []
            if seen % 60 == 0:
                print(
                    f'{seen:5d} s: {used[-1][0]:.1f} MB, {threads[-1].total()} threads', flush=True
                )
        due = max(due + PERIOD, time.monotonic() - 1.0)
        time.sleep(max(due - time.monotonic(), 0.0))
    life.end()
    values = peer.wait_for_values(lambda v: total(v) == int(v['frames received']), 20.0)
    threads.append(thread_names(node.process.pid))
    exit_code = node.stop()
    peer.close()
    return report(camera, life, values, used, threads, node, exit_code)


def total(values):
    """The frames whose end was counted."""
    return sum(int(value) for name, value in values.items() if name.startswith(ENDS))


def report(camera, life, values, used, threads, node, exit_code):
    """Print what was seen; return what should not be."""
    minute = min(60, len(used) // 3)
    growths = [
        statistics.median(sample[kind] for sample in used[-minute:])
        - statistics.median(sample[kind] for sample in used[minute : 2 * minute])
        for kind in (0, 1)
    ]
    print(
        f'sent {camera.sent}, of which broken {camera.broken}; parameters set '
        f'{life.changes} times, deactivated {life.deactivations} times'
    )
    for name, value in values.items():
        print(f'  {name}: {value}')
    resident = [sample[0] for sample in used[minute:]]
    print(
        f'  memory [MB]: {resident[0]:.1f} after the first minute, {resident[-1]:.1f} at the end, '
        f'at most {max(resident):.1f} since; medians of a minute have grown by {growths[0]:+.1f}, '
        f'unshared by {growths[1]:+.1f}'
    )
    half_way = threads[len(threads) // 2]  # libraries start threads when they first need them
    more, fewer = threads[-1] - half_way, half_way - threads[-1]
    print(
        f'  threads: {threads[-1].total()} at the end; since half-time new {dict(more)}, '
        f'gone {dict(fewer)}'
    )
    dropped = sum(int(v) for k, v in values.items() if k.startswith('frames dropped'))
    unexpected = [k for k in values if k.startswith('frames dropped') and 'internal' in k]
    findings = {
        'the node ended': exit_code != 0,
        'a traceback': 'Traceback' in node.log,
        'frames neither published nor counted': total(values) != int(values['frames received']),
        'frames lost on the way': camera.sent - int(values['frames received'])
        > MAX_LOST * camera.sent,
        'more drops than broken messages explain': dropped > 2 * camera.broken + 100,
        'internal errors': bool(unexpected),
        'few results': int(values['frames processed']) < 0.1 * camera.sent,
        'memory': growths[0] > MAX_GROWTH,
        'threads': threads[-1].total() > half_way.total(),
    }
    return [name for name, found in findings.items() if found]


def main():
    """Run the soak; the exit code is 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=20.0)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    isolate()
    findings = soak(60.0 * args.minutes, args.seed)
    print('FOUND: ' + ', '.join(findings) if findings else 'nothing found')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
