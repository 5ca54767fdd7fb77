# SPDX-License-Identifier: Apache-2.0
"""Camera, subscriber and node are killed, stopped and started again; the engine is a fake."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from scenes.isolation import remove_leftovers

from .conftest import FAKE_ENGINE, NodeProcess, wait_until

# From the moment that all are up to the first clouds. Nearly all of it is the middleware's, which
# takes up to 2.6 s to discover a newcomer on the loopback alone, with or without this node.
FLOW = 3.0  # [s]
THAW = 5.0  # [s], of a subscriber that was frozen


@pytest.fixture
def start(_isolated_ros):
    """A function that starts the node, a camera or a subscriber and waits until it is up."""
    running = []

    def run(what, *arguments):
        if what == 'node':
            process = NodeProcess(['--ros-args', '-p', 'model:=slow:0'], FAKE_ENGINE)
            process.wait_for('listening')
        else:
            process = NodeProcess([what, *arguments], 'test.ros.stream')
            process.wait_for('up')
        running.append(process)
        return process

    yield run
    for process in running:
        process.stop()


def test_what_the_killed_leave_is_removed(start):
    """A killed process leaves 64 MB of shared memory; those that live keep theirs."""
    node, camera = start('node'), start('camera', 'RELIABLE')
    assert clouds_flow_within(start('subscriber'), 10.0)
    remove_leftovers()
    assert own_segments(camera)
    left = own_segments(node)
    assert left
    node.process.kill()
    node.process.wait()
    assert all(Path('/dev/shm', name).exists() for name in left)
    assert remove_leftovers() >= 1
    assert not any(Path('/dev/shm', name).exists() for name in left)
    assert all(Path('/dev/shm', name).exists() for name in own_segments(camera))


def own_segments(process):
    """The names of the segments that a process holds the lock of."""
    links = [os.readlink(fd) for fd in Path(f'/proc/{process.process.pid}/fd').iterdir()]
    found = [re.fullmatch('/dev/shm/(fast(?:dds|rtps)_[0-9a-f]{16})_el', link) for link in links]
    return [match[1] for match in found if match]


def clouds_flow_within(subscriber, seconds):
    """Whether two more clouds arrive in time."""
    before = subscriber.log.count('cloud')
    return wait_until(lambda: subscriber.log.count('cloud') >= before + 2, seconds)


def test_killed_and_restarted_in_any_order(start):
    """After kill -9 of any of the three, clouds flow soon after all are up again."""
    node, camera, subscriber = start('node'), start('camera', 'RELIABLE'), start('subscriber')
    assert clouds_flow_within(subscriber, FLOW)
    for reliability in ('BEST_EFFORT', 'RELIABLE'):
        camera.process.kill()
        camera = start('camera', reliability)
        assert clouds_flow_within(subscriber, FLOW), reliability
    subscriber.process.kill()
    subscriber = start('subscriber')
    assert clouds_flow_within(subscriber, FLOW)
    node.process.kill()
    node = start('node')
    assert clouds_flow_within(subscriber, FLOW)
    node.process.kill()
    camera.process.kill()
    camera = start('camera', 'BEST_EFFORT')
    node = start('node')
    assert clouds_flow_within(subscriber, FLOW)


def test_subscriber_that_stops_reading(start):
    """A frozen subscriber, neither gone nor reading, holds up neither the node nor the others."""
    start('node')
    start('camera', 'RELIABLE')
    frozen, subscriber = start('subscriber'), start('subscriber')
    assert clouds_flow_within(frozen, THAW)
    assert clouds_flow_within(subscriber, THAW)
    frozen.process.send_signal(signal.SIGSTOP)
    before = subscriber.log.count('cloud')
    time.sleep(3.0)
    assert subscriber.log.count('cloud') - before > 15
    frozen.process.send_signal(signal.SIGCONT)
    assert clouds_flow_within(frozen, THAW)
