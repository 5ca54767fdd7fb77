# SPDX-License-Identifier: Apache-2.0
"""depth-pcd doctor and set, with several cameras and a real node over the middleware."""

import os
import shlex
import signal
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from depth_pcd_ros.arguments import value_of
from depth_pcd_ros.cli import main
from depth_pcd_ros.live.environment import PROFILE_VARIABLES, profile_path
from depth_pcd_ros.ros import doctor

from .conftest import ROOT, make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def info(width=WIDTH, height=HEIGHT, focal=50.0, frame='cam'):
    """A CameraInfo for pictures of that size."""
    msg = make_info(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    msg.header.frame_id = frame
    return msg


def picture(frame='cam', encoding='rgb8'):
    """A picture with the time as stamp still to be set."""
    msg = make_image(WIDTH, HEIGHT, encoding=encoding)
    msg.header.frame_id = frame
    return msg


def jpeg(frame='cam'):
    """The same as JPEG."""
    msg = CompressedImage(format='jpeg')
    msg.header.frame_id = frame
    coded = cv2.imencode('.jpg', np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1]
    msg.data.frombytes(coded.tobytes())
    return msg


@pytest.fixture
def cameras(peer):
    """Publish messages by topic, at 20 Hz, until the test ends; some with another QoS."""
    stop = threading.Event()
    threads = []

    def run(messages, profiles):
        publishers = {
            topic: peer.node.create_publisher(type(msg), topic, profiles.get(topic, 10))
            for topic, msg in messages.items()
        }
        for topic, msg in messages.items():
            if profiles.get(topic) is LATCHED:
                publishers[topic].publish(msg)

        def show():
            while not stop.wait(0.05):
                for topic, msg in messages.items():
                    if profiles.get(topic) is not LATCHED:
                        msg.header.stamp = peer.node.get_clock().now().to_msg()
                        publishers[topic].publish(msg)

        threads.append(threading.Thread(target=show))
        threads[0].start()

    yield run
    stop.set()
    for thread in threads:
        thread.join()


def blocks(text):
    """The lines about each topic, by its name."""
    found = [block for block in text.split('\n\n') if block.startswith('/')]
    return {block.partition(':')[0]: block for block in found}


def start_of(block):
    """The words of the command, without the program."""
    (line,) = (line for line in block.splitlines() if line.startswith('  start: '))
    words = shlex.split(line.removeprefix('  start: '))
    return words[words.index('--ros-args') + 1 :]


def test_the_cameras_that_are_there(cameras, capsys):
    """Each is named with what the node would say of it, and usable ones have their command."""
    zero, other = info(focal=0.0, frame='zero'), info(width=32, height=24, frame='small')
    bent = info(frame='bent')
    bent.distortion_model, bent.d = 'fov', [0.9]
    depth = make_image(WIDTH, HEIGHT, encoding='mono8')
    depth.encoding, depth.step = '16UC1', 2 * WIDTH
    depth.data.frombytes(bytes(WIDTH * HEIGHT))
    cameras(
        {
            '/raw/image': picture(),
            '/raw/camera_info': info(),
            '/jpeg/image/compressed': jpeg('front'),
            '/jpeg/camera_info': info(frame='front'),
            '/alone/image': picture('alone'),
            '/zero/image': picture('zero'),
            '/zero/camera_info': zero,
            '/small/image': picture('small'),
            '/small/camera_info': other,
            '/bent/image': picture('bent'),
            '/bent/camera_info': bent,
            '/lossy/image_rect': picture('lossy'),
            '/lossy/camera_info': info(frame='lossy'),
            '/far/image': picture('far'),
            '/elsewhere/info': info(frame='far'),
            '/raw/depth/image': depth,
            '/odd/image': picture('odd', encoding='mono8'),
            '/twin/image': picture(),  # of the frame and size of /raw
        },
        {'/lossy/image_rect': BEST_EFFORT, '/jpeg/camera_info': LATCHED},
    )
    assert main(['doctor', '--seconds', '5', '--model', 'demo']) == 0
    text = capsys.readouterr().out
    assert text.index('device: ') < text.index('model: ') < text.index('ROS: rmw_')
    found = blocks(text)

    assert '64x48 rgb8' in found['/raw/image']
    assert 'reliable' in found['/raw/image']
    rate = float(found['/raw/image'].partition(' Hz')[0].split()[-1])
    assert 10.0 < rate < 22.0  # 20 Hz, on a busy machine
    assert '/raw/camera_info, usable: fx 50.0 px, plumb_bob' in found['/raw/image']
    expected = ['-r', 'image:=/raw/image', '-r', 'camera_info:=/raw/camera_info']
    assert start_of(found['/raw/image']) == [*expected, '-p', 'model:=demo']

    compressed = found['/jpeg/image/compressed']
    assert 'usable' in compressed
    assert 'image:=/jpeg/image' in start_of(compressed)
    assert 'image_transport:=compressed' in start_of(compressed)

    assert 'best effort' in found['/lossy/image_rect']
    assert 'rectified:=true' in start_of(found['/lossy/image_rect'])

    assert 'camera_info:=/elsewhere/info' in start_of(found['/far/image'])

    assert 'none on /alone/camera_info' in found['/alone/image']
    assert 'not usable' in found['/zero/image']
    assert 'none on /twin/camera_info' in found['/twin/image']  # another camera's is not its own
    for topic in ('/alone/image', '/zero/image', '/twin/image'):
        assert 'hfov:=60.0' in start_of(found[topic])
    assert 'image 64x48 but CameraInfo 32x24' in found['/small/image']
    assert "not usable: distortion_model 'fov' is unknown" in found['/bent/image']
    for topic in ('/small/image', '/bent/image'):  # hfov would not go before what they have
        assert 'start: ' not in found[topic]
        assert 'hfov' not in found[topic]
    assert 'depth, no picture' in found['/raw/depth/image']

    (several,) = (line for line in text.splitlines() if line.startswith('all '))
    assert several.startswith('all 8 on one model: ')
    words = shlex.split(several)
    names = 'alone, far, jpeg, lossy, odd, raw, twin, zero'
    for word in (f'cameras:=[{names}]', 'jpeg.image_transport:=compressed', 'model:=demo'):
        assert words[words.index(word) - 1] == '-p'
    assert words[words.index('far/camera_info:=/elsewhere/info') - 1] == '-r'


def test_the_command_for_several(peer, cameras, capsys):
    """Each of those that are there has its clouds; set tells which parameters they have."""
    pictures = {'/cam/image': picture(), '/cam/camera_info': info()}
    of_side = {'/side/image/compressed': jpeg('side'), '/side/camera_info': info(frame='side')}
    cameras({**pictures, **of_side}, {})
    assert main(['doctor', '--seconds', '3', '--model', 'demo']) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith('all 2 '))
    command = shlex.split(line.partition(': ')[2])
    node = subprocess.Popen([*command, '-p', 'device:=openvino'], cwd=ROOT)
    try:
        for name in ('cam', 'side'):
            clouds = peer.subscribe(f'/{name}/points', PointCloud2)
            assert wait_until(lambda clouds=clouds: bool(clouds), 60.0)
        assert main(['set', 'side.stride', '2']) == 0
        for name, told in {
            'side.strid': 'is it side.stride?',
            'sied.stride': 'sied is none of its cameras',
            'side.model': 'model is of all cameras',
        }.items():
            assert main(['set', name, '2']) == 1
            assert f'no parameter {name}: {told}' in capsys.readouterr().err
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(20.0)


@pytest.mark.usefixtures('_isolated_ros')
def test_nothing_there(capsys):
    """Then it says what to look at, and the exit code is 1."""
    assert main(['doctor', '--seconds', '1']) == 1
    assert 'No topic with pictures' in capsys.readouterr().out
    assert main(['doctor', '--seconds', '1', '--model', 'nothing']) == 1
    assert "depth-pcd doctor: unknown model 'nothing'" in capsys.readouterr().err


def test_the_command_starts_the_node(peer, cameras, capsys, tmp_path):
    """The line that is printed makes clouds of that camera; doctor and set then find the node."""
    cameras({'/cam/image': picture(), '/cam/camera_info': info()}, {})
    assert main(['doctor', '--seconds', '3', '--model', 'demo']) == 0
    (line,) = (
        line.removeprefix('  start: ')
        for line in capsys.readouterr().out.splitlines()
        if line.startswith('  start: ')
    )
    node = subprocess.Popen([*shlex.split(line), '-p', 'device:=openvino'], cwd=ROOT)
    try:
        clouds = peer.subscribe('/points', PointCloud2)
        assert wait_until(lambda: bool(clouds), 60.0)
        assert main(['doctor', '--seconds', '3', '--model', 'demo']) == 0
        assert 'depth_pcd: depth camera: ' in capsys.readouterr().out

        assert main(['set', 'edge_filter', '84']) == 0
        assert 'edge_filter is 84.0 now' in capsys.readouterr().out
        assert main(['set', 'edge_filter', '184']) == 1
        assert 'edge_filter' in capsys.readouterr().err
        assert main(['set', 'edge_filte', '84']) == 1
        assert 'no parameter edge_filte: is it edge_filter?' in capsys.readouterr().err
        for nothing in ('', '~', 'null'):
            assert main(['set', 'edge_filter', nothing]) == 1
            assert f'{nothing!r} is no value of a parameter' in capsys.readouterr().err
        assert main(['set', 'edge_filter', '84', '--node', 'other']) == 1
        assert 'lifecycle nodes: /depth_pcd' in capsys.readouterr().err

        watch = subprocess.Popen(
            [sys.executable, '-m', 'depth_pcd_ros.cli', 'doctor', '--watch'],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [watch.stdout.readline() for _ in range(6)]
        watch.send_signal(signal.SIGINT)
        assert watch.wait(10.0) == 130
        assert lines[0].startswith(('OK ', 'WARN '))
        assert any('model' in line and 'demo' in line for line in lines)
        piped = f'{sys.executable} -m depth_pcd_ros.cli doctor --watch | head -n 3'
        done = subprocess.run(
            piped, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        assert (len(done.stdout.splitlines()), done.stderr) == (3, '')
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(10.0)


@pytest.mark.usefixtures('_isolated_ros')
def test_images_that_get_lost():
    """By the defaults of Fast DDS, most of a best-effort camera's: it says so, and what to set."""
    env = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
    camera = subprocess.Popen(
        [sys.executable, '-m', 'test.ros.stream', 'camera', 'BEST_EFFORT'], cwd=ROOT, env=env
    )
    try:
        done = subprocess.run(
            [sys.executable, '-m', 'depth_pcd_ros.cli', 'doctor', '--seconds', '8'],
            cwd=ROOT,
            env=env,
            check=False,
            capture_output=True,
            text=True,
        )
    finally:
        camera.kill()
        camera.wait()
    found = blocks(done.stdout)['/image']
    assert 'lost on the way' in found
    assert f'={profile_path()}' in found


def test_values_are_read_as_the_parameter_has_them():
    """Whole numbers become floats, alone and in lists; texts stay texts."""
    assert (value_of('edge_filter', '84'), value_of('stride', '2')) == (84.0, 2)
    assert isinstance(value_of('edge_filter', '84'), float)
    assert value_of('scale_bounds', '[1, 2.5]') == [1.0, 2.5]
    assert value_of('cloud_fields', 'xyz') == 'xyz'
    assert value_of('organized', 'false') is False
    assert value_of('front.depth_scale', '2') == 2.0


def test_tf(monkeypatch):
    """The way from the root to the frame; a frame that nothing publishes; no tf2."""

    class Buffer:
        def all_frames_as_yaml(self):
            return 'cam:\n  parent: base_link\nbase_link:\n  parent: odom\n'

    assert doctor._place(Buffer(), 'cam') == 'odom > base_link > cam'
    assert "nothing publishes the frame 'lens'" in doctor._place(Buffer(), 'lens')
    assert 'not installed' in doctor._place(None, 'cam')


def test_types_are_those_of_the_messages():
    """The names that the graph uses."""
    assert set(doctor.TYPES.values()) == {Image, CompressedImage, CameraInfo}
