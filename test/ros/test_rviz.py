# SPDX-License-Identifier: Apache-2.0
"""The RViz configuration against the node's topics, and the program that starts RViz (a fake)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from depth_pcd_ros.results import OUTPUTS
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.ros.rviz import TOPICS
from scenes.rviz_picture import ros1_config

from .conftest import ROOT, ctrl_c_in_init, make_info, wait_until
from .installation import environment, fake_rviz

CONFIG = ROOT / 'rviz' / 'depth_pcd.rviz'
SHOWS = {'rviz_default_plugins/PointCloud2': PointCloud2, 'rviz_default_plugins/Image': Image}


def displays():
    """The displays of the configuration that have a topic."""
    found = yaml.safe_load(CONFIG.read_text())['Visualization Manager']['Displays']
    return [display for display in found if 'Topic' in display]


def test_displays_show_what_the_node_has():
    """Each display is for the type of its topic, the image or a result, and takes its QoS."""
    types = {f'/{topic}': TYPES[output.type] for topic, output in OUTPUTS.items()}
    types['/image'] = Image
    for display in displays():
        assert types[display['Topic']['Value']] is SHOWS[display['Class']]
        assert display['Topic']['Durability Policy'] == 'Volatile'
    assert sorted(d['Topic']['Value'] for d in displays()) == sorted(f'/{t}' for t in TOPICS)
    # any camera's publisher is at least best effort
    (image,) = (d for d in displays() if d['Topic']['Value'] == '/image')
    assert image['Topic']['Reliability Policy'] == 'Best Effort'


def test_the_cloud_is_shown_in_its_colours():
    """From the field rgb, which the node's default has."""
    (cloud,) = (d for d in displays() if d['Class'].endswith('PointCloud2'))
    assert (cloud['Color Transformer'], cloud['Position Transformer']) == ('RGB8', 'XYZ')


def test_every_panel_has_its_place():
    """The window's layout, which Qt writes as UTF-16 names in hex, knows all docked displays."""
    config = yaml.safe_load(CONFIG.read_text())
    layout = bytes.fromhex(config['Window Geometry']['QMainWindow State'])
    for name in ('Displays', *(d['Name'] for d in displays() if d['Class'].endswith('Image'))):
        assert name.encode('utf-16-be') in layout, name


def test_for_the_rviz_of_ros_1():
    """The same displays, by its names, for the picture in the README."""
    found = ros1_config(CONFIG)['Visualization Manager']
    assert {d['Class'].split('/')[0] for d in found['Displays']} == {'rviz'}
    topics = [d.get('Topic') or d.get('Image Topic') for d in found['Displays'][2:]]
    assert topics == ['/points', '/camera/image_raw', '/depth/color']
    assert found['Views']['Current']['Class'] == 'rviz/Orbit'


@pytest.fixture
def start(tmp_path, _isolated_ros):
    """Start the program with arguments; returns the process and the file of RViz's arguments."""
    folder, told = fake_rviz(tmp_path / 'bin')
    env = dict(environment(tmp_path / 'prefix'))
    env['PATH'] = os.pathsep.join([str(folder), env['PATH']])
    running = []

    def run(*arguments):
        command = [sys.executable, '-m', 'depth_pcd_ros.ros.rviz', *arguments]
        running.append(subprocess.Popen(command, env=env, cwd=ROOT))
        return running[-1], told

    yield run
    for process in running:
        process.kill()
        process.wait()


def test_rviz_gets_the_frame_of_the_camera(start, peer):
    """Its frame_id and the remapped topics; RViz takes the place of the program."""
    remaps = ['__ns:=/robot', 'image:=/cam/image_raw', 'camera_info:=/cam/camera_info']
    process, told = start('--ros-args', *(p for r in remaps for p in ('-r', r)))
    info = make_info(4, 3, 5.0, 5.0, 2.0, 1.0)
    info.header.frame_id = 'eye_optical_frame'
    publisher = peer.publisher('/cam/camera_info', CameraInfo)
    assert wait_until(lambda: publisher.publish(info) or told.exists(), 10.0)
    assert process.wait(5.0) == 0
    config, *rest = told.read_text().splitlines()[1:]
    assert Path(config).read_text() == CONFIG.read_text()
    assert rest == [
        *('-f', 'eye_optical_frame', '--ros-args'),
        *('-r', '/image:=/cam/image_raw'),
        *('-r', '/points:=/robot/points'),
        *('-r', '/depth/color:=/robot/depth/color'),
        *('-p', 'use_sim_time:=false'),
    ]


def test_several_cameras(start, peer):
    """Each has its displays on its topics; the frame is that of the first that speaks."""
    words = [
        '-p',
        'cameras:=[front, rear]',
        '-r',
        'front/image:=/cam/image_raw',
        '-r',
        '__ns:=/rig',
    ]
    process, told = start('--ros-args', *words)
    info = make_info(4, 3, 5.0, 5.0, 2.0, 1.0)
    info.header.frame_id = 'rear_optical'
    publisher = peer.publisher('/rig/rear/camera_info', CameraInfo)
    assert wait_until(lambda: publisher.publish(info) or told.exists(), 10.0)
    assert process.wait(5.0) == 0
    _, config, *rest = told.read_text().splitlines()
    assert rest[:2] == ['-f', 'rear_optical']
    remaps = dict(line.split(':=') for line in rest if line.startswith('/'))
    assert remaps['/front/image'] == '/cam/image_raw'
    assert remaps['/rear/points'] == '/rig/rear/points'
    found = yaml.safe_load(Path(config).read_text())
    Path(config).unlink()
    shown = {
        d['Topic']['Value']: d for d in found['Visualization Manager']['Displays'] if 'Topic' in d
    }
    assert shown.keys() == remaps.keys()
    assert len({display['Name'] for display in shown.values()}) == len(shown) == 6
    (alone,) = (d for d in displays() if d['Topic']['Value'] == '/points')
    cloud = shown['/rear/points']
    assert {**cloud, 'Name': 0, 'Topic': 0} == {**alone, 'Name': 0, 'Topic': 0}
    assert {**cloud['Topic'], 'Value': '/points'} == alone['Topic']


def test_rviz_after_a_latched_camera_info(start, peer):
    """It was published once, before this started."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    info = make_info(4, 3, 5.0, 5.0, 2.0, 1.0)
    info.header.frame_id = 'eye_optical_frame'
    peer.node.create_publisher(CameraInfo, '/camera_info', latched).publish(info)
    _, told = start()
    assert wait_until(told.exists, 10.0)
    assert told.read_text().splitlines()[2:4] == ['-f', 'eye_optical_frame']


def test_a_camera_without_camera_info(start, peer):
    """With hfov, there is only the node's own, of the depth."""
    _, told = start('--ros-args', '-r', '__ns:=/robot')
    info = make_info(4, 3, 5.0, 5.0, 2.0, 1.0)
    info.header.frame_id = 'usb_camera'
    publisher = peer.publisher('/robot/depth/camera_info', CameraInfo)
    assert wait_until(lambda: publisher.publish(info) or told.exists(), 10.0)
    assert told.read_text().splitlines()[2:4] == ['-f', 'usb_camera']


def test_the_frame_can_be_named(start):
    """Then no camera is waited for."""
    _, told = start('map', '--ros-args', '-p', 'use_sim_time:=true')
    assert wait_until(told.exists, 10.0)
    assert told.read_text().splitlines()[2:4] == ['-f', 'map']
    assert told.read_text().endswith('use_sim_time:=true\n')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_while_it_waits(start, peer, number):
    """With a signal, quietly."""
    process, told = start()
    peer.publisher('/camera_info', CameraInfo)
    process.send_signal(number)
    assert process.wait(10.0) == 0
    assert not told.exists()


def test_ctrl_c_before_rclpy_listens(tmp_path):
    """It comes while the middleware is made, and is not forgotten."""
    folder, told = fake_rviz(tmp_path / 'bin')
    env = {**os.environ, 'PATH': os.pathsep.join([str(folder), os.environ['PATH']])}
    done = subprocess.run(
        [sys.executable, '-c', ctrl_c_in_init('rviz')],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, told.exists()) == (0, '', False)


def test_without_rviz(tmp_path):
    """It says what to install."""
    command = [sys.executable, '-m', 'depth_pcd_ros.ros.rviz']
    env = {**os.environ, 'PATH': str(tmp_path), 'ROS_DISTRO': 'jazzy'}
    process = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT)
    assert process.returncode == 1
    assert 'apt install ros-jazzy-rviz2' in process.stderr
