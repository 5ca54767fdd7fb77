# SPDX-License-Identifier: Apache-2.0
"""Twenty minutes of a hard life for the node: `make soak`, or `python -m test.soak --minutes 2`.

With `--cameras 4`, as many cameras that come and go: see soak_cameras.py. Else:

A 30 Hz camera whose size and calibration change and of whose messages 1 % are broken, subscribers
that come, go and are killed, parameters that change, now and then a deactivation. Afterwards every
frame that was sent while the node was active must have arrived and been published or counted, and
neither memory nor threads have grown since the first minute. In that minute all that costs memory
is done once, size by size: libraries start their threads, and buffers take their full size, when
they are first needed.
"""

import argparse
import collections
import contextlib
import itertools
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from depth_pcd_ros.pipeline import VIEWS
from scenes.isolation import isolate, remove_leftovers

from .ros.conftest import (
    REAL_ENGINE,
    NodeProcess,
    Peer,
    make_image,
    make_info,
    wait_until,
)

PERIOD = 1 / 30  # [s]
SIZES = ((640, 480), (424, 240), (320, 240))
BROKEN = 0.01  # of the messages
MAX_GROWTH = 20.0  # [MB]
MINUTE = 60  # [s] that the first minute has
STALLS = (30, 50, 55)  # [s] at which node and subscribers stand still, each for `STALL` [s]
STALL = 2.0
# What needs most memory, each once for each size in the first minute. The largest size comes last,
# with as many calibrations as the pipeline keeps views of.
PLAIN = {
    'stride': 1,
    'depth_scale': 2.0,
    'edge_filter': 88.0,
    'voxel_size': 0.0,
    'organized': True,
    'cloud_fields': 'xyzrgb',
    'depth_encoding': '32FC1',
}
HUNGRY = (
    {**PLAIN, 'voxel_size': 0.05},
    {**PLAIN, 'organized': False, 'stride': 2},
    {**PLAIN, 'organized': False, 'depth_encoding': '16UC1'},
    PLAIN,
)
ENDS = ('frames processed', 'frames superseded', 'frames nobody subscribed to', 'frames dropped')


class Camera:
    """Publishes an image and a CameraInfo in a thread of its own, some of them broken.

    Attributes:
        sent, broken: how many images were published, and how many of them were no good.
        heard: how many were published while the node certainly listened.
        listening: whether it does; to be set from outside.
    """

    def __init__(self, peer, rng, name='', period=PERIOD):
        self.images = peer.publisher(f'{name}/image', Image)
        self.infos = peer.publisher(f'{name}/camera_info', CameraInfo)
        self.period = period
        self.pictures = [make_image(*size) for size in SIZES]
        self.rng = rng
        self.sent = self.heard = self.broken = 0
        self.listening = False
        self.change()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        """Begin to publish."""
        self._thread.start()

    def end(self):
        """Publish no more."""
        self._ended.set()
        self._thread.join()

    def change(self, size=None):
        """Take another size and another calibration."""
        image = self.pictures[SIZES.index(size)] if size else self.rng.choice(self.pictures)
        width, height = image.width, image.height
        focal = self.rng.uniform(0.5, 1.2) * width
        info = make_info(width, height, focal, focal, width / 2, height / 2)
        info.d = [self.rng.uniform(-0.1, 0.1), 0.01, 0.0, 0.0, 0.0]
        self.now_showing = image, info

    def _run(self):
        due = time.monotonic()
        while not self._ended.wait(max(due - time.monotonic(), 0.0)):
            self._show()
            due = max(due + self.period, time.monotonic())  # no burst after a pause

    def _show(self):
        good, info = self.now_showing
        image = good
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        if self.rng.random() < BROKEN:
            self.broken += 1
            image = Image(header=image.header, encoding=image.encoding, step=image.step)
            image.width, image.height = good.width, good.height
            fault = self.rng.choice(['encoding', 'size', 'data', 'step', 'frame', 'stamp'])
            if fault == 'encoding':
                image.encoding = 'rgb9'
            elif fault == 'size':
                image.width, image.data = 2**31, good.data
            elif fault == 'data':
                image.data = good.data[: self.rng.randrange(1000)]
            elif fault == 'step':
                image.step, image.data = 1, good.data
            elif fault == 'frame':
                image.data = good.data
                image.header = type(image.header)(frame_id='elsewhere', stamp=image.header.stamp)
            else:
                image.header = type(image.header)(frame_id=image.header.frame_id)
                image.header.stamp.sec = -1
                image.data = good.data[:-1]
        info.header = good.header
        self.infos.publish(info)
        self.heard += self.listening
        self.images.publish(image)
        self.sent += 1


class Life:
    """What happens around the node, by the second."""

    def __init__(self, node, peer, camera, rng):
        self.node, self.peer, self.camera, self.rng = node, peer, camera, rng
        self.subscribers = []
        self.subscriptions = []
        self.changes = 0
        self.deactivations = 0
        self.hungry = [*itertools.product(SIZES[::-1], HUNGRY), *[(SIZES[0], PLAIN)] * VIEWS]

    def happen(self, second):
        """Let one second's events happen."""
        if second % 120 == 40:  # the first within the first minute
            self.restart()
        if second in STALLS:
            self.stall()
        if second % 20 == 0:
            self.subscribers.append(NodeProcess(['subscriber'], 'test.ros.stream'))
            if len(self.subscribers) > 2:
                how = self.rng.choice([signal.SIGKILL, signal.SIGINT])
                with contextlib.suppress(subprocess.TimeoutExpired):  # it is killed then
                    self.subscribers.pop(0).stop(how)
        if second < MINUTE:
            if second == 0:
                self.subscribe('/points', '/depth/image', '/depth/color')
            if second % 2 == 1 and self.hungry:
                size, values = self.hungry.pop(0)
                self.camera.change(size)
                assert self.peer.set_parameters(**values) == ''
                self.changes += 1
            return
        if second % 3 == 0:
            self.change_parameters()
        if second % 10 == 0:
            self.camera.change()
        if second % 7 == 0:
            topic = self.rng.choice(['/depth/image', '/depth/color', None])
            self.subscribe(*([topic] if topic else []))

    def restart(self):
        """Deactivate and activate; the camera goes on."""
        self.camera.listening = False
        assert self.peer.change_state('deactivate')
        assert self.peer.change_state('activate')
        self.wait_for_ears()
        self.deactivations += 1

    def stall(self):
        """Let the node stand still, and then those that it sends to: what waits fills all buffers.

        Else it would on some later day, when the cores have much else to do for a moment.
        """
        self.camera.listening = False
        for process in (self.node, *self.subscribers):
            process.process.send_signal(signal.SIGSTOP)
            time.sleep(STALL)
            process.process.send_signal(signal.SIGCONT)
        self.wait_for_ears()

    def wait_for_ears(self):
        """Wait until what the camera publishes certainly arrives."""
        images = self.camera.images
        assert wait_until(lambda: images.get_subscription_count() == 1)
        time.sleep(0.5)  # what is matched here must also be matched there
        self.camera.listening = True

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

    def subscribe(self, *topics):
        """Subscribe to these results and to no others."""
        while self.subscriptions:
            self.peer.node.destroy_subscription(self.subscriptions.pop())
        for topic in topics:
            msg_type = PointCloud2 if topic == '/points' else Image
            self.subscriptions.append(
                self.peer.node.create_subscription(msg_type, topic, lambda _: None, 1, raw=True)
            )

    def end(self):
        """Let everybody go."""
        while self.subscribers:
            self.subscribers.pop().stop(signal.SIGKILL)


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


def each_second(seconds, node):
    """Count the seconds as they pass, while the node is there."""
    due = time.monotonic()
    for second in range(int(seconds)):
        time.sleep(max(due - time.monotonic(), 0.0))
        due = max(due + 1.0, time.monotonic() + 0.5)  # what took long is not made up for
        if node.process.poll() is not None:
            return
        yield second


def soak(seconds, seed, device):
    """Run; return the findings that should not be, by name."""
    rng = random.Random(seed)
    parameters = ['--ros-args', '-p', 'model:=demo', '-p', f'device:={device}']
    used, threads = [], []
    with contextlib.ExitStack() as ends:
        node = NodeProcess(parameters, REAL_ENGINE)
        ends.callback(node.stop)
        node.wait_for('listening', 120.0)  # the first time, the network is converted
        peer = Peer()
        ends.callback(peer.close)
        peer.wait_for_status('')
        camera = Camera(peer, rng)
        life = Life(node, peer, camera, rng)
        ends.callback(life.end)
        camera.start()
        ends.callback(camera.end)
        life.wait_for_ears()
        for second in each_second(seconds, node):
            life.happen(second)
            used.append(memory(node.process.pid))
            threads.append(thread_names(node.process.pid))
            peer.received['/diagnostics'][:-5] = []
            if second % MINUTE == 0:
                megabytes, count = used[-1][0], threads[-1].total()
                print(f'{second:5d} s: {megabytes:.1f} MB, {count} threads', flush=True)
        camera.end()
        life.end()
        peer.wait_for_status('')  # one from before the last image
        values = peer.wait_for_values(lambda v: total(v) == int(v['frames received']), 20.0)
        threads.append(thread_names(node.process.pid))
        exit_code = node.stop()
    return report(camera, life, values, used, threads, node, exit_code)


def uncounted(heard, values):
    """How many of the images that certainly came near are neither received nor told as lost."""
    return max(heard - int(values['frames received']) - int(values['frames lost on the way']), 0)


def total(values):
    """The frames whose end was counted."""
    return sum(int(value) for name, value in values.items() if name.startswith(ENDS))


def report(camera, life, values, used, threads, node, exit_code):
    """Print what was seen; return what should not be."""
    minute = min(MINUTE, len(used) // 2)
    growths = [
        statistics.median(sample[kind] for sample in used[-minute:]) - used[minute][kind]
        for kind in (0, 1)
    ]
    lost = uncounted(camera.heard, values)
    print(
        f'sent {camera.sent}, {camera.heard} of them while it certainly listened, broken '
        f'{camera.broken}; parameters set {life.changes} times, deactivated '
        f'{life.deactivations} times; lost uncounted {lost}'
    )
    for name, value in values.items():
        print(f'  {name}: {value}')
    resident = [sample[0] for sample in used[minute:]]
    print(
        f'  memory [MB]: {resident[0]:.1f} after the first minute, {resident[-1]:.1f} at the end, '
        f'at most {max(resident):.1f} since; the median of the last minute is {growths[0]:+.1f}, '
        f'of unshared memory {growths[1]:+.1f}'
    )
    more, fewer = threads[-1] - threads[minute], threads[minute] - threads[-1]
    print(
        f'  threads: {threads[-1].total()} at the end; since the first minute new {dict(more)}, '
        f'gone {dict(fewer)}'
    )
    dropped = sum(int(v) for k, v in values.items() if k.startswith('frames dropped'))
    unexpected = [k for k in values if k.startswith('frames dropped') and 'internal' in k]
    findings = {
        'the node ended': exit_code != 0,
        'a traceback': 'Traceback' in node.log,
        'frames neither published nor counted': total(values) != int(values['frames received']),
        'frames lost that nobody counted': lost > 0,
        'more drops than broken messages explain': dropped > 2 * camera.broken + 100,
        'internal errors': bool(unexpected),
        'few results': int(values['frames processed']) < 0.1 * camera.sent,
        'memory': growths[0] > MAX_GROWTH,
        'threads': bool(more),
    }
    return [name for name, found in findings.items() if found]


def main():
    """Run the soak; the exit code is 1 where something was found."""
    parser = argparse.ArgumentParser(prog='python -m test.soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=20.0)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--cameras', type=int, default=0, help='how many; 0: one without a name')
    parser.add_argument('--device', default='auto', help='as the parameter of the node')
    args = parser.parse_args()
    isolate()
    try:
        if args.cameras:
            from .soak_cameras import soak_cameras  # it imports this file

            findings = soak_cameras(60.0 * args.minutes, args.seed, args.device, args.cameras)
        else:
            findings = soak(60.0 * args.minutes, args.seed, args.device)
    finally:
        remove_leftovers()
    print('FOUND: ' + ', '.join(findings) if findings else 'nothing found')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
