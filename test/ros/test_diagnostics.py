# SPDX-License-Identifier: Apache-2.0
"""What a person reads on /diagnostics, for both kinds of camera; the engine is a fake."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from depth_pcd_ros.live.frame_statistics import Published, Statistics
from depth_pcd_ros.ros import diagnostics
from depth_pcd_ros.show.colorize import SKY

from .conftest import make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48
OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
VALUES = {
    'model',
    'device',
    'precision',
    'GPU memory [MiB]',
    'depth scale',
    'input rate [Hz]',
    'output rate [Hz]',
    'frames lost on the way',
    'frames received',
    'frames processed',
    'frames superseded',
    'frames nobody subscribed to',
    'latency from arrival p50 [ms]',
    'latency from arrival p99 [ms]',
    'latency from stamp p50 [ms]',
    'latency from stamp p99 [ms]',
    'network time [ms]',
    'valid fraction',
}


def info(**changes):
    """A CameraInfo that fits the images here, changed."""
    message = make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('reliability', [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_each_sentence(run_node, peer, reliability):
    """From no publisher to clouds: each state has its own level and sentence."""
    remap = ('-r', 'image:=/cam/image_raw', '-r', 'camera_info:=/cam/camera_info')
    run_node({'model': 'slow:0'}, *remap, fake=True)

    def show_until(sentence, level, camera_info=None):
        arrays = peer.received['/diagnostics']
        arrays.clear()

        def told():
            image = make_image(WIDTH, HEIGHT, stamp=(int(time.time()), 0))
            if camera_info is not None:
                camera_info.header = image.header
                infos.publish(camera_info)
            images.publish(image)
            time.sleep(0.05)
            statuses = [array.status[0] for array in arrays]
            return any(sentence in s.message and s.level == level for s in statuses)

        assert wait_until(told), (sentence, {array.status[0].message for array in arrays})

    status = peer.wait_for_status('no image yet on /cam/image_raw: no publisher', STALE)
    assert (status.name, status.hardware_id) == ('depth_pcd: depth camera', '/cam/image_raw')
    images = peer.publisher('/cam/image_raw', Image, reliability, wait=False)
    peer.wait_for_status('no image yet on /cam/image_raw: 1 publisher, ', STALE)
    show_until('no CameraInfo yet on /cam/camera_info: no publisher', ERROR)
    infos = peer.publisher('/cam/camera_info', CameraInfo, reliability, wait=False)
    show_until('no CameraInfo yet on /cam/camera_info: 1 publisher, ', ERROR)
    show_until('no subscriber', OK, info())
    clouds = peer.subscribe('/points', PointCloud2)
    show_until('results/s', OK, info())
    assert wait_until(lambda: bool(clouds))
    values = peer.wait_for_values(lambda v: float(v['output rate [Hz]']) > 0)
    assert set(values) >= VALUES
    assert values['valid fraction'] == '1.000'
    peer.wait_for_status('no image for 3.', STALE)

    assert peer.change_state('deactivate')
    peer.wait_for_status('not active', WARN)
    assert peer.change_state('activate')  # and no CameraInfo that fits is known any more
    wrong_size = info(width=1280, height=720)
    show_until(f'image {WIDTH}x{HEIGHT} but CameraInfo 1280x720', ERROR, wrong_size)
    uncalibrated = info(width=0, height=0, k=[0.0] * 9)  # as gscam sends it
    show_until('K is all zero: the camera is not calibrated', ERROR, uncalibrated)
    show_until('dropped in the last 10 s, the last: K is all zero', WARN, info())


@pytest.mark.parametrize(
    ('shift', 'told'), [(-5, '5.0 s old'), (5, 's in the future'), (0, 'results/s')]
)
def test_old_stamps_are_told(run_node, peer, shift, told):
    """A camera whose clock differs; each whole second stands for itself."""
    run_node({'model': 'slow:0'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    for _ in range(10):
        seconds, nanoseconds = divmod(time.time_ns() + shift * 10**9, 10**9)
        peer.show(make_image(WIDTH, HEIGHT, stamp=(seconds, nanoseconds)), info())
        time.sleep(0.02)
    assert wait_until(lambda: bool(clouds))
    status = peer.wait_for_status(told)
    assert ('do the clocks of camera and node differ?' in status.message) == bool(shift)
    assert status.level == (WARN if shift else OK)


def test_a_frame_that_tf_refuses_is_told(run_node, peer):
    """The cloud has the frame_id of its image, and RViz cannot place it; each is told once."""
    node = run_node({'model': 'slow:0'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    for frame in ('', '/camera', 'camera', '', '/camera'):
        before = len(clouds)
        image = make_image(WIDTH, HEIGHT)
        image.header.frame_id = frame

        def shown(image=image, before=before):
            peer.show(image, info())
            time.sleep(0.1)
            return len(clouds) > before

        assert wait_until(shown)
        assert wait_until(lambda frame=frame: clouds[-1].header.frame_id == frame)
    node.wait_for("the images have the frame_id '/camera', with a slash that tf2 refuses")
    assert node.log.count('the images have') == 2
    assert node.log.count('the images have no frame_id: RViz and tf cannot place') == 1


@pytest.mark.parametrize('min_confidence', [0.0, 0.5])
def test_what_may_leave_no_point_is_named(min_confidence):
    """Confidence, too, where points are asked to have one."""
    statistics = Statistics()
    statistics.received(9.0)
    statistics.published(Published(9.0, 0.1, 0.1, 0.0, network_time=0.1, valid_fraction=0.0))
    _, sentence = diagnostics.judge(
        statistics.summary(9.5),
        image=None,
        calibrations=SimpleNamespace(known=True),
        active_for=9.0,
        busy_for=0.0,
        min_confidence=min_confidence,
    )
    named = 'min_depth, max_range, edge_filter' + ', min_confidence' * (min_confidence > 0)
    assert sentence.endswith(f'without a valid point: see {named}')


def test_a_picture_of_nothing_but_sky_is_told(run_node, peer):
    """It is no fault: its cloud has no point, its colour is that of sky, and both say why."""
    node = run_node({'model': 'sky'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    colours = peer.subscribe('/depth/color', Image)

    def told():
        peer.show(make_image(WIDTH, HEIGHT, stamp=(int(time.time()), 0)), info())
        statuses = [array.status[0] for array in peer.received['/diagnostics']]
        return any('the last is all sky' in s.message and s.level == OK for s in statuses)

    peer.subscribe('/diagnostics', DiagnosticArray)
    assert wait_until(told), node.log
    assert peer.wait_for_values(lambda v: v['sky fraction'] == '1.000')
    points = np.frombuffer(clouds[-1].data, np.float32).reshape(-1, 4)
    assert np.isnan(points[:, :3]).all()
    assert {tuple(colours[-1].data[i : i + 3]) for i in range(0, 99, 3)} == {SKY}
    assert 'depth without an end' in node.log
