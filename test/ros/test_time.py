# SPDX-License-Identifier: Apache-2.0
"""Simulated time that stands still, starts, and jumps; the engine is a fake."""

import time

import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from depth_pcd_ros.ros import time_jumps

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


def test_what_came_before_time_began_has_no_age(peer, capfd):
    """It is forgotten as at a jump, but nothing has jumped."""
    always = [Parameter('use_sim_time', value=True)]
    node = rclpy.create_node('timed', context=peer.context, parameter_overrides=always)
    jumps = []
    handle = time_jumps.watch(node, jumps.append)
    executor = SingleThreadedExecutor(context=peer.context)
    executor.add_node(node)
    peer.publisher('/clock', Clock).publish(Clock(clock=Time(sec=1000)))

    def begun():
        executor.spin_once(timeout_sec=0.1)
        return node.get_clock().now().nanoseconds == 1000 * 10**9

    assert wait_until(begun)
    assert len(jumps) == 1
    assert 'time jumped' not in capfd.readouterr().err
    handle.unregister()
    executor.shutdown()
    node.destroy_node()


def test_a_fast_recording_has_no_old_stamps(run_node, peer):
    """They are those of the simulated time at which the images arrive."""
    node = run_node({'model': 'slow:0.5', 'use_sim_time': True}, fake=True)
    peer.subscribe('/points', PointCloud2)
    arrays = peer.subscribe('/diagnostics', DiagnosticArray)
    clock = peer.publisher('/clock', Clock)
    info = make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0)
    start = time.monotonic()

    def told():
        nanoseconds = 1000 * 10**9 + int(4e9 * (time.monotonic() - start))
        stamp = divmod(nanoseconds, 10**9)
        clock.publish(Clock(clock=Time(sec=stamp[0], nanosec=stamp[1])))
        peer.show(make_image(WIDTH, HEIGHT, stamp=stamp), info)
        time.sleep(0.02)
        found = [array.status[0].message for array in arrays]
        return [sentence for sentence in found if 'results/s' in sentence]

    assert wait_until(lambda: len(told()) > 2), node.log
    assert not any('stamps are' in sentence for sentence in told()), told()
