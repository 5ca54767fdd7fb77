# SPDX-License-Identifier: Apache-2.0
"""Simulated time that stands still, starts, and jumps; the engine is a fake."""

import time

import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from .conftest import make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def replay(peer):
    """A function that publishes one step of a recording and waits for its cloud."""
    clouds = peer.subscribe('/points', PointCloud2)
    clock = peer.publisher('/clock', Clock)
    info = make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0)

    def step(second):
        clouds.clear()
        now = Clock()
        now.clock.sec = second
        clock.publish(now)
        image = make_image(WIDTH, HEIGHT, stamp=(second, 0))
        peer.show(image, info)
        assert wait_until(lambda: len(clouds) == 1), second
        assert clouds[0].header.stamp.sec == second

    return step


def test_time_jumps(run_node, request, peer):
    """No frame is lost over jumps, each of which is logged once, and the ages stay right."""
    node = run_node({'model': 'slow:0', 'use_sim_time': True}, fake=True)
    step = request.getfixturevalue('replay')
    # diagnostics come although the time stands still
    peer.wait_for_status('no image yet on /image')
    for second in (1000, 1001, 1002, 1002, 1001):  # one stamp twice, one before its time
        step(second)
    node.wait_for('time jumped by -1.000 s')
    time.sleep(1.1)  # jumps are logged once a second at most
    for second in (2000, 2001):
        step(second)
    node.wait_for('time jumped by +999.000 s')
    time.sleep(1.1)
    for second in (1000, 1001):  # a recording that starts again
        step(second)
    node.wait_for('time jumped by -1001.000 s')
    assert node.log.count('time jumped') == 3
    values = peer.wait_for_values(lambda v: v['frames processed'] == '9')
    assert values['frames received'] == '9'
    assert -100 < float(values['latency from stamp p50 [ms]']) < 1000
    assert -100 < float(values['latency from stamp p99 [ms]']) < 1100
    assert 'frame dropped' not in node.log
