# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one node that come and go: `python -m test.soak --cameras 4 --minutes 10`.

The first camera stays, the last one is a process of its own that is killed again and again, those
between withdraw their topics, come back, change their size, and send broken messages. Subscribers
of the clouds and of the merged cloud come and go, too. Afterwards every frame that a camera has
sent while the node certainly listened must have been published or counted, the first
camera has got its clouds, and memory and threads have not grown since the first minute.
"""

import contextlib
import random
import signal
import statistics
import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from sensor_msgs.msg import PointCloud2

from .ros.conftest import FRAME_ID, REAL_ENGINE, NodeProcess, Peer, wait_until
from .soak import (
    MAX_GROWTH,
    MINUTE,
    SIZES,
    Camera,
    each_second,
    memory,
    thread_names,
    total,
    uncounted,
)

PERIOD = 0.1  # [s] of each camera but the killed one, which has 1 / 30 s


def in_executor(peer, function, argument):
    """Call a function between two callbacks: rclpy's wait does not bear it that things go."""
    assert wait_until(peer._executor.create_task(function, argument).done)


class Visitor:
    """A camera that comes and goes.

    Attributes:
        heard, broken: as those of `Camera`, of all its visits.
    """

    def __init__(self, peer, rng, name):
        self.peer, self.rng, self.name = peer, rng, name
        self.heard = self.broken = 0
        self.camera = None

    def come(self):
        """Offer the topics and publish, once the node listens."""
        self.camera = Camera(self.peer, self.rng, f'/{self.name}', PERIOD)
        assert wait_until(lambda: self.camera.images.get_subscription_count() == 1)
        time.sleep(0.5)  # what is matched here must also be matched there
        self.camera.listening = True
        self.camera.start()

    def go(self):
        """Publish no more, and withdraw the topics."""
        self.camera.end()
        assert self.camera.images.wait_for_all_acked(Duration(seconds=20))
        self.heard += self.camera.heard
        self.broken += self.camera.broken
        self.camera = None
        for topic in ('image', 'camera_info'):
            publisher = self.peer._publishers.pop(f'/{self.name}/{topic}')
            in_executor(self.peer, self.peer.node.destroy_publisher, publisher)


class Killed:
    """A camera in a process of its own."""

    def __init__(self, name):
        self.name = name
        self.kills = 0
        self.come()

    def come(self):
        """Start it."""
        remapped = [f'{topic}:=/{self.name}/{topic}' for topic in ('image', 'camera_info')]
        rules = [part for rule in remapped for part in ('-r', rule)]
        self.process = NodeProcess(['camera', 'RELIABLE', '--ros-args', *rules], 'test.ros.stream')

    def go(self):
        """Kill it."""
        self.process.stop(signal.SIGKILL)
        self.process = None
        self.kills += 1


class Audience:
    """Subscribers of the topics with clouds."""

    def __init__(self, peer):
        self.peer, self.subscriptions = peer, {}

    def toggle(self, topic):
        """Come, or go."""
        if topic in self.subscriptions:
            gone = self.subscriptions.pop(topic)
            in_executor(self.peer, self.peer.node.destroy_subscription, gone)
        else:
            self.subscriptions[topic] = self.peer.node.create_subscription(
                PointCloud2, topic, lambda _: None, 1, raw=True
            )


def values_by_camera(peer):
    """The newest values of each camera's status."""
    newest = peer.received['/diagnostics'][-1].status
    return {
        status.name.rpartition(' ')[2]: {pair.key: pair.value for pair in status.values}
        for status in newest
    }


def soak_cameras(seconds, seed, device, count):
    """Run; return the findings that should not be, by name."""
    rng = random.Random(seed)
    names = [f'camera_{number}' for number in range(count)]
    parameters = {
        'model': 'demo',
        'device': device,
        'cameras': f'[{", ".join(names)}]',
        'merged_points': True,
        'merged_frame': FRAME_ID,  # that of all of them
        'merged_timeout': 10.0,  # so that all are in it in the first minute, on a busy machine too
    }
    options = [part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')]
    used, threads = [], []
    with contextlib.ExitStack() as ends:
        node = NodeProcess(['--ros-args', *options], REAL_ENGINE)
        ends.callback(node.stop)
        node.wait_for('listening', 120.0, times=count)
        peer = Peer()
        ends.callback(peer.close)
        peer.subscribe('/diagnostics', DiagnosticArray)
        audience = Audience(peer)
        topics = ['/points', *(f'/{name}/points' for name in names)]
        for topic in topics:
            audience.toggle(topic)
        visitors = [Visitor(peer, rng, name) for name in names[:-1]]
        ends.callback(lambda: [visitor.go() for visitor in visitors if visitor.camera])
        for visitor in visitors:
            visitor.come()
        killed = Killed(names[-1])
        ends.callback(lambda: killed.process and killed.go())
        for second in each_second(seconds, node):
            if second < MINUTE:  # each size of each camera once, the largest last
                sizes = SIZES[::-1]
                for visitor in filter(lambda one: one.camera, visitors):
                    visitor.camera.change(sizes[min(second // 5, len(sizes) - 1)])
            elif second % 10 == 0:
                here = [visitor for visitor in visitors if visitor.camera]
                rng.choice(here).camera.change()
            if second > 30 and second % 7 == 3 and len(visitors) > 1:
                visitor = rng.choice(visitors[1:])
                visitor.go() if visitor.camera else visitor.come()
            if second > 30 and second % 11 == 5:
                killed.go() if killed.process else killed.come()
            if second >= MINUTE and second % 5 == 2:
                audience.toggle(rng.choice([topics[0], *topics[2:]]))
            used.append(memory(node.process.pid))
            threads.append(thread_names(node.process.pid))
            peer.received['/diagnostics'][:-5] = []
            if second % MINUTE == 0:
                print(f'{second:5d} s: {used[-1][0]:.1f} MB, {threads[-1].total()} threads')
        for visitor in visitors:
            if visitor.camera:
                visitor.go()
        if killed.process:
            killed.go()
        peer.wait_for_status('')  # one from before the last image
        peer.wait_for_status('')
        wait_until(
            lambda: all(
                total(v) == int(v['frames received']) for v in values_by_camera(peer).values()
            ),
            10.0,
        )
        values = values_by_camera(peer)
        threads.append(thread_names(node.process.pid))
        exit_code = node.stop()
    for name, of_camera in values.items():
        counts = {key: value for key, value in of_camera.items() if key.startswith('frames')}
        print(f'  {name}: {counts}')
    minute = min(MINUTE, len(used) // 2)
    growths = [
        statistics.median(sample[kind] for sample in used[-minute:]) - used[minute][kind]
        for kind in (0, 1)
    ]
    heard = {visitor.name: visitor.heard for visitor in visitors}
    broken = sum(visitor.broken for visitor in visitors)
    lost = {name: uncounted(n, values[name]) for name, n in heard.items()}
    dropped = sum(
        int(value)
        for of_camera in values.values()
        for key, value in of_camera.items()
        if key.startswith('frames dropped')
    )
    more = threads[-1] - threads[minute]
    first = values[names[0]]
    share = int(first['frames processed']) / max(int(first['frames received']), 1)
    print(
        f'sent while it certainly listened {heard}, lost uncounted {lost}; broken {broken}, '
        f'dropped {dropped}; {names[-1]} was killed {killed.kills} times'
    )
    print(
        f'  {names[0]}, which stays: {share:.3f} of its frames processed; memory '
        f'{used[minute][0]:.1f} MB after the first minute, the median of the last is '
        f'{growths[0]:+.1f}, of unshared memory {growths[1]:+.1f}; new threads {dict(more)}'
    )
    findings = {
        'the node ended': exit_code != 0,
        'a traceback': 'Traceback' in node.log,
        'frames neither published nor counted': any(
            total(v) != int(v['frames received']) for v in values.values()
        ),
        'frames lost that nobody counted': any(lost.values()),
        'more drops than broken messages explain': dropped > 2 * broken + 100,
        'internal errors': any('internal' in key for v in values.values() for key in v),
        'few clouds of the camera that stays': share < 0.1,
        'memory': growths[0] > MAX_GROWTH,
        'threads': bool(more),
    }
    return [name for name, found in findings.items() if found]
