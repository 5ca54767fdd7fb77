# SPDX-License-Identifier: Apache-2.0
"""Every transition of the managed node, by its services, and the end from every state."""

import shutil
import signal
import subprocess
import sys
import time

import pytest
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import PointCloud2

from .conftest import (
    REAL_ENGINE,
    ROOT,
    NodeProcess,
    ctrl_c_in_init,
    make_image,
    make_info,
    wait_until,
)

WIDTH, HEIGHT = 64, 48
END = 2.0  # [s] from the order to the exit


def show(peer, second):
    """Publish an image with its CameraInfo."""
    peer.show(
        make_image(WIDTH, HEIGHT, stamp=(second, 0)),
        make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0),
    )


def assert_clean_end(node, start):
    """The node ends in time, with code 0 and without a traceback."""
    assert node.process.wait(10) == 0
    assert time.monotonic() - start < END
    node.stop()
    assert 'Traceback' not in node.log
    assert 'rror' not in node.log.replace('internal_error', ''), node.log


def test_there_and_back(run_node, peer, constant_params):
    """Each transition does its work, twice, without a thread left over; shutdown ends the node."""
    node = run_node({**constant_params, 'autostart': False}, ready='')
    assert peer.state() == 'unconfigured'
    assert not peer.change_state('activate')
    threads = []
    for second in (1, 2):
        assert peer.change_state('configure')
        assert peer.state() == 'inactive'
        clouds = peer.subscribe('/points', PointCloud2)
        for _ in range(2):
            assert peer.change_state('activate')
            clouds.clear()
            show(peer, second)
            assert wait_until(lambda: len(clouds) == 1)  # noqa: B023
            threads.append(node.count_threads())
            assert peer.change_state('deactivate')
            show_unheard(peer)
            assert len(clouds) == 1
        assert peer.change_state('cleanup')
        assert peer.state() == 'unconfigured'
        assert wait_until(lambda: peer.node.count_publishers('/points') == 0)
    # torch starts its own few with the first frames
    assert threads[-1] == threads[1], threads
    start = time.monotonic()
    assert peer.change_state('shutdown')
    assert_clean_end(node, start)


def show_unheard(peer):
    """Publish an image that nobody subscribes to."""
    publisher = peer.publisher('/image', None, wait=False)
    assert wait_until(lambda: publisher.get_subscription_count() == 0)
    publisher.publish(make_image(WIDTH, HEIGHT, stamp=(9, 0)))
    time.sleep(0.2)


def test_model_file_comes_changes_and_goes(
    run_node, peer, constant_params, constant_checkpoint, tmp_path
):
    """A failed configure tells why and can be repeated; a loaded model does not need its file."""
    path = tmp_path / 'metric.pth'
    node = run_node({**constant_params, 'model': path}, ready='cannot configure')
    assert node.process.poll() is None
    status = peer.wait_for_status(f'there is no file {path}')
    assert status.level == status.ERROR
    assert not peer.change_state('configure')
    assert peer.state() == 'unconfigured'

    shutil.copy(constant_checkpoint, path)
    assert peer.change_state('configure')
    assert peer.change_state('activate')
    clouds = peer.subscribe('/points', PointCloud2)
    show(peer, 1)
    assert wait_until(lambda: len(clouds) == 1)
    path.write_bytes(b'half a download')  # in place, as a careless copy does it
    show(peer, 2)
    assert wait_until(lambda: len(clouds) == 2)
    assert clouds[0].data == clouds[1].data or len(clouds[0].data) == len(clouds[1].data)

    assert peer.change_state('deactivate')
    assert peer.change_state('cleanup')
    assert not peer.change_state('configure')
    node.wait_for('is damaged, cut short')
    shutil.copy(constant_checkpoint, path)
    assert peer.change_state('configure')


def test_full_disk_fails_the_configuration(run_node, peer):
    """Any error while loading is a failed transition with its reason (fake engine)."""
    node = run_node(
        {'model': 'unloadable'}, ready='cannot configure: OSError: [Errno 28] No space', fake=True
    )
    assert peer.wait_for_status('No space left on device').level == b'\x02'
    assert peer.state() == 'unconfigured'
    assert 'Traceback' not in node.log


@pytest.mark.parametrize('order', ['shutdown', 'SIGINT', 'SIGTERM'])
@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active', 'in the network'])
def test_ends_from_every_state(run_node, peer, state, order):
    """The end takes 2 s at most, with code 0, whatever the node does (fake engine)."""
    model = 'slow:30' if state == 'in the network' else 'slow:0'
    node = run_node({'model': model, 'autostart': False}, ready='', fake=True)
    if state != 'unconfigured':
        assert peer.change_state('configure')
    if state in ('active', 'in the network'):
        assert peer.change_state('activate')
        clouds = peer.subscribe('/points', PointCloud2)
        show(peer, 1)
        if state == 'active':
            assert wait_until(lambda: len(clouds) == 1)
        time.sleep(0.2)
    assert peer.state() == {'in the network': 'active'}.get(state, state)
    start = time.monotonic()
    if order == 'shutdown':
        assert peer.change_state('shutdown')
    else:
        node.process.send_signal(getattr(signal, order))
    assert_clean_end(node, start)
    assert ('fake engine closed' in node.log) == (state in ('inactive', 'active'))


@pytest.mark.parametrize('order', ['SIGINT', 'SIGTERM'])
def test_ends_while_loading(run_node, peer, order):
    """A model that takes long to load does not hold up the end, and is told of (fake engine)."""
    node = run_node({'model': 'loading:60'}, ready='loading model', fake=True)
    assert peer.wait_for_status('loading model loading:60').level == b'\x00'
    start = time.monotonic()
    node.process.send_signal(getattr(signal, order))
    assert_clean_end(node, start)


def assert_silent_end(code):
    """Run a program; it ends by itself with code 0 and says nothing."""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_ctrl_c_in_the_end_itself():
    """The second one comes just before signals are ignored: no traceback, the exit code is 0."""
    code = """
import os, signal
from rclpy.executors import ExternalShutdownException
from depth_pcd_ros.ros import node

class Ended:
    def __init__(self):
        raise ExternalShutdownException

ignore = node._ignore_signals

def late():
    os.kill(os.getpid(), signal.SIGINT)
    ignore()

node.DepthPcdNode, node._ignore_signals = Ended, late
raise SystemExit(node.main([]))
"""
    assert_silent_end(code)


def test_sigterm_while_the_node_is_made():
    """It takes the middleware away, at which rclpy fails: an end like any other."""
    code = """
import rclpy
from depth_pcd_ros.ros import node

class Late:
    def __init__(self):
        rclpy.shutdown()
        raise RuntimeError('context is invalid')

node.DepthPcdNode = Late
raise SystemExit(node.main([]))
"""
    assert_silent_end(code)


def test_ctrl_c_before_rclpy_listens():
    """It comes while the middleware is made, and is not forgotten."""
    assert_silent_end(ctrl_c_in_init('node'))


def test_second_ctrl_c_does_no_harm(run_node):
    """Ctrl-C reaches a launched node twice, from the terminal and from launch (fake engine)."""
    node = run_node({'model': 'slow:0'}, fake=True)
    start = time.monotonic()
    for _ in range(20):
        node.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert_clean_end(node, start)


def test_frame_in_the_network_outlives_no_transition(run_node, peer):
    """Deactivated with a frame at work: it is not published, and the next start waits (fake)."""
    node = run_node({'model': 'slow:3'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    show(peer, 1)
    peer.wait_for_values(lambda values: values['frames received'] == '1')
    assert peer.change_state('deactivate')
    assert peer.change_state('activate')
    show(peer, 2)
    assert wait_until(lambda: len(clouds) == 1)
    time.sleep(0.3)
    assert [cloud.header.stamp.sec for cloud in clouds] == [2]
    values = peer.wait_for_values(lambda values: values['frames processed'] == '1')
    assert values['frames dropped: deactivated'] == '1'
    assert 'frame dropped' not in node.log


def test_forbidden_transitions_are_answered(run_node, peer):
    """Over the service they fail, by label or by number, and the node goes on as it was (fake)."""
    node = run_node({'model': 'slow:0'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    for number in (
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CALLBACK_SUCCESS,
        99,
    ):
        assert not peer.change_state('', number)
    assert not peer.change_state('activate')
    assert not peer.change_state('no such transition')
    assert peer.state() == 'active'
    show(peer, 1)
    assert wait_until(lambda: len(clouds) == 1)
    assert 'Traceback' not in node.log


def test_no_engine_is_closed_under_a_frame(run_node, peer):
    """Cleaned up with a frame in the network, it is closed once the frame has left it (fake)."""
    node = run_node({'model': 'slow:3'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    show(peer, 1)
    peer.wait_for_values(lambda values: values['frames received'] == '1')
    assert peer.change_state('deactivate')
    assert peer.change_state('cleanup')
    assert 'fake engine closed' not in node.log
    assert peer.change_state('configure')  # with an engine of its own
    assert peer.change_state('activate')
    node.wait_for('fake engine closed')
    assert 'under a frame' not in node.log
    show(peer, 2)
    assert wait_until(lambda: len(clouds) == 1)
    assert clouds[0].header.stamp.sec == 2


def test_a_failed_first_run_frees_the_engine(run_node):
    """Else the next `configure` would have less memory (fake engine)."""
    node = run_node(
        {'model': 'cold'}, ready='cannot configure: RuntimeError: CUDA error', fake=True
    )
    node.wait_for('fake engine closed')


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--help'], 'usage: depth_pcd_node'),
        (['-h', '--ros-args', '-p', 'model:=demo'], 'Topics and parameters are set after'),
        (['--version'], 'depth_pcd_ros 0.1.0'),
    ],
)
def test_help_says_what_it_is_and_ends(arguments, told):
    """Without starting a node."""
    node = NodeProcess(arguments, REAL_ENGINE)
    assert node.process.wait(20) == 0
    node.stop()
    assert told in node.log
    assert 'loading model' not in node.log
