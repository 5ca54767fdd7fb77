# SPDX-License-Identifier: Apache-2.0
"""The launch files, run by the real `ros2 launch`; skipped where that is not installed."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip('launch_ros', reason='launch and launch_ros are not installed (no wheels)')
pytest.importorskip('ros2launch', reason='ros2launch is not installed (no wheels)')

from rcl_interfaces.srv import GetParameters
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from depth_pcd_ros.live.environment import MALLOC, PROFILE_VARIABLES, profile_variable

from ..support.recordings import START, compressed, image, info, record
from .conftest import ROOT, make_image, make_info, wait_until
from .installation import environment, fake_rviz

ROS2 = [sys.executable, '-c', 'import sys; from ros2cli.cli import main; sys.exit(main())']
CAMERA, REPLAY = 'depth_pcd.launch.py', 'replay.launch.py'
WIDTH, HEIGHT = 40, 30


class Launch:
    """A running `ros2 launch`; `log` is what it has printed."""

    def __init__(self, env, *arguments):
        command = [*ROS2, 'launch', *arguments]
        self.process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self):
        """What was printed."""
        return ''.join(self._lines)

    def wait_for(self, text, timeout=40.0):
        """Wait until a text was printed."""
        wait_until(lambda: text in self.log or self.process.poll() is not None, timeout)
        assert text in self.log, self.log

    def stop(self):
        """End it as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20.0)

    def close(self):
        """End it at any rate."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._reader.join()

    def _read(self):
        for line in self.process.stdout:
            self._lines.append(line)


@pytest.fixture
def env(tmp_path, _isolated_ros):
    """The environment with the package and a fake RViz, which writes down its arguments."""
    folder, _ = fake_rviz(tmp_path / 'bin')
    found = dict(environment(tmp_path / 'prefix'))
    found['PATH'] = os.pathsep.join([str(folder), found['PATH']])
    return {**found, 'ROS_LOG_DIR': str(tmp_path / 'log')}


@pytest.fixture
def launch(env):
    """Start `ros2 launch` with arguments."""
    running = []

    def run(*arguments):
        running.append(Launch(env, *arguments))
        return running[-1]

    yield run
    for one in running:
        one.close()


@pytest.fixture
def params_file(tmp_path, constant_params):
    """A parameter file for a node that is fast."""
    values = {**constant_params, 'stride': 2}
    lines = ''.join(f'    {name}: {value}\n' for name, value in values.items())
    path = tmp_path / 'params.yaml'
    path.write_text(f'/**:\n  ros__parameters:\n{lines}')
    return path


def parameters(peer, node, *names):
    """The values of parameters of a node."""
    client = peer.node.create_client(GetParameters, f'{node}/get_parameters')
    assert client.wait_for_service(10.0)
    answer = client.call_async(GetParameters.Request(names=list(names)))
    assert wait_until(answer.done, 10.0)
    values = answer.result().values
    return [v.bool_value if v.type == 1 else v.string_value or v.integer_value for v in values]


def arguments_shown(env, name):
    """The arguments of a launch file and how they are explained."""
    command = [*ROS2, 'launch', 'depth_pcd_ros', name, '--show-args']
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^    '(\w+)':\n        (.+)\n", shown, re.MULTILINE))


def test_every_argument_is_explained(env):
    """--show-args names them, with a sentence; those of the camera are there for a replay, too."""
    camera, replay = arguments_shown(env, CAMERA), arguments_shown(env, REPLAY)
    assert camera.keys() >= {
        *('image', 'camera_info', 'namespace', 'name', 'params_file', 'model', 'device'),
        *('rectified', 'image_transport', 'rviz', 'use_sim_time', 'log_level', 'respawn'),
        *('cameras', 'merged_frame', 'odometry', 'resolution'),
    }
    assert replay.keys() == camera.keys() | {'bag', 'rate', 'loop'}
    assert all('no description' not in text.lower() for text in replay.values())


def test_one_line_for_a_camera(launch, peer, params_file):
    """Remappings, name, namespace, params file and its overrides; Ctrl-C ends all cleanly."""
    running = launch(
        *('depth_pcd_ros', CAMERA, 'image:=/cam/image_raw', 'namespace:=robot', 'name:=eye'),
        *(f'params_file:={params_file}', 'rectified:=true', 'use_sim_time:=true'),
        'resolution:=network',  # of a picture that is smaller: the picture's
        f'fastdds_profile:={ROOT / "config" / "fastdds.xml"}',
    )
    running.wait_for('listening to /cam/image_raw and /cam/camera_info')
    clouds = peer.subscribe('/robot/points', PointCloud2)
    calibration, picture = (
        make_info(WIDTH, HEIGHT, 30.0, 30.0, 20.0, 15.0),
        make_image(WIDTH, HEIGHT),
    )
    calibration.header = picture.header
    send_info = peer.publisher('/cam/camera_info', type(calibration)).publish
    send = peer.publisher('/cam/image_raw', type(picture)).publish
    assert wait_until(lambda: send_info(calibration) or send(picture) or clouds, 10.0)
    assert (clouds[0].width, clouds[0].height) == (WIDTH // 2, HEIGHT // 2)
    names = ('use_sim_time', 'rectified', 'stride', 'frames', 'resolution')
    assert parameters(peer, '/robot/eye', *names) == [True, True, 2, 'latest', 'network']
    assert running.stop() == 0
    assert 'process has finished cleanly' in running.log
    assert "sending signal 'SIGTERM'" not in running.log


def test_a_file_of_ones_own_includes_it(launch, params_file, tmp_path):
    """As the comment in the launch file shows, for two cameras that do not share arguments."""
    comment = (ROOT / 'launch' / CAMERA).read_text().split('"""')[1]
    include = comment[comment.index('    GroupAction(') :]
    include = include.replace("'model': 'indoor-small'", f"'params_file': '{params_file}'")
    front = include.replace("'image'", "'namespace': 'front', 'camera_info': '/info', 'image'")
    rear = include.replace("'image': '/cam", "'namespace': 'rear', 'image': '/rear")
    own = tmp_path / 'own.launch.py'
    own.write_text(
        'from launch import LaunchDescription\n'
        'from launch.actions import GroupAction, IncludeLaunchDescription\n'
        'from launch.substitutions import PathJoinSubstitution\n'
        'from launch_ros.substitutions import FindPackageShare\n'
        f'def generate_launch_description():\n    return LaunchDescription([{front}, {rear}])\n'
    )
    running = launch(str(own))
    running.wait_for('listening to /cam/image_raw and /info')
    running.wait_for('listening to /rear/image_raw and /rear/camera_info')
    assert running.stop() == 0


def lines_of(log, text):
    """How often a text was printed."""
    return sum(text in line for line in log.splitlines())


@pytest.mark.parametrize(
    ('given', 'images'),
    [
        (['image:=/{camera}/image_raw'], ['/front/image_raw', '/rear/image_raw']),
        (['image:=[/a/rgb, /b/rgb]'], ['/a/rgb', '/b/rgb']),
        ([], ['/rig/front/image', '/rig/rear/image']),
    ],
)
def test_several_cameras(launch, peer, params_file, given, images):
    """One node for all; topics of a pattern or of a list; each has its own; RViz for all."""
    running = launch(
        *('depth_pcd_ros', CAMERA, 'cameras:=[front, rear]', 'namespace:=rig', *given),
        *(f'params_file:={params_file}', 'odometry:=/odom', 'rviz:=true'),
    )
    for topic in images:
        beside = f'{topic.rpartition("/")[0]}/camera_info'
        running.wait_for(f'listening to {topic} and {beside}')
    clouds = peer.subscribe('/rig/rear/points', PointCloud2)
    calibration = make_info(WIDTH, HEIGHT, 30.0, 30.0, 20.0, 15.0)
    picture = make_image(WIDTH, HEIGHT)
    calibration.header = picture.header
    send_info = peer.publisher(
        f'{images[1].rpartition("/")[0]}/camera_info', type(calibration)
    ).publish
    send = peer.publisher(images[1], type(picture)).publish
    assert wait_until(lambda: send_info(calibration) or send(picture) or clouds, 10.0)
    assert parameters(peer, '/rig/depth_pcd', 'stride', 'frames') == [2, 'latest']
    assert lines_of(running.log, 'process started with pid') == 2
    assert running.stop() == 0


@pytest.mark.parametrize('jpeg', [[], ['rear'], ['front', 'rear']])
def test_several_cameras_of_a_recording(launch, peer, params_file, tmp_path, jpeg):
    """They are found by their names, and every frame of each gives a cloud of its own."""
    topics = {'front': '/robot/front/image_raw', 'rear': '/rear/rgb'}
    messages = []
    for i in range(10):
        for name, topic in topics.items():
            frame_id = f'{name}_optical'
            beside = f'{topic.rpartition("/")[0]}/camera_info'
            messages.append((beside, info(i, frame_id=frame_id)))
            if name in jpeg:
                messages.append((f'{topic}/compressed', compressed(i, frame_id=frame_id)))
            else:
                messages.append((topic, image(i, frame_id=frame_id)))
    record(tmp_path / 'bag', messages)
    clouds = {}
    for name in topics:
        clouds[name] = []
        peer.node.create_subscription(PointCloud2, f'/{name}/points', clouds[name].append, 100)
    running = launch(
        *('depth_pcd_ros', REPLAY, f'bag:={tmp_path / "bag"}', f'params_file:={params_file}'),
        *('cameras:=[front, rear]', 'rviz:=false'),
    )
    rear = '/rear/rgb/compressed' if jpeg else '/rear/rgb'
    running.wait_for(f'listening to {rear} and /rear/camera_info')
    wait_until(lambda: all(len(found) == 10 for found in clouds.values()), 20.0)
    for name, found in clouds.items():
        stamps = [(cloud.header.stamp.sec, cloud.header.stamp.nanosec) for cloud in found]
        assert stamps == [divmod(START + i * 10**8, 10**9) for i in range(10)], running.log
        assert {cloud.header.frame_id for cloud in found} == {f'{name}_optical'}
    assert running.stop() == 0


@pytest.mark.parametrize('given', [[], ['fastdds_profile:=none']])
def test_settings_for_large_messages(launch, env, params_file, given):
    """The node has those of live/environment.py that were unset; none if that is asked for."""
    names = (*PROFILE_VARIABLES, *MALLOC)
    for name in names:
        env.pop(name, None)
    env['MALLOC_TOP_PAD_'] = '4096'
    running = launch('depth_pcd_ros', CAMERA, f'params_file:={params_file}', *given)
    running.wait_for('listening to')
    pid = re.search(r'depth_pcd_node-1\]: process started with pid \[(\d+)\]', running.log)[1]
    entries = Path(f'/proc/{pid}/environ').read_text().split('\0')
    found = dict(entry.partition('=')[::2] for entry in entries)
    assert found['MALLOC_TOP_PAD_'] == '4096'
    if given:
        assert found.keys() & set(names) == {'MALLOC_TOP_PAD_'}
        return
    assert found['MALLOC_TRIM_THRESHOLD_'] == MALLOC['MALLOC_TRIM_THRESHOLD_']
    shipped = (ROOT / 'config' / 'fastdds.xml').read_text()
    assert Path(found[profile_variable()]).read_text() == shipped
    assert 'deprecated' not in running.log


@pytest.mark.parametrize(
    ('argument', 'told'),
    [
        ('params_file:=/nowhere.yaml', "params_file is '/nowhere.yaml', expected the path of a"),
        ('rectified:=perhaps', '"rectified" provided value "perhaps" is not valid'),
        ('hfov:=wide', "hfov is 'wide', expected degrees"),
        ('cameras:=[a, b] image:=/x', "image is '/x', expected {camera} in it, for each of"),
        ('cameras:=[a, b] image:=[/x]', 'image is a list of 1, expected one for each of a, b'),
        ('device:=abacus', 'abacus'),
    ],
)
def test_a_wrong_argument_is_told(launch, argument, told, params_file):
    """With the value, and nothing is left running."""
    words = re.split(r' (?=\w+:=)', argument)
    running = launch('depth_pcd_ros', CAMERA, f'params_file:={params_file}', *words)
    running.wait_for(told)
    if argument.startswith('device'):
        running.stop()  # the node stays, unconfigured, and tells its diagnostics
    assert running.process.wait(20.0) is not None


def test_the_node_comes_back(launch, params_file):
    """With respawn, also after it was killed."""
    running = launch('depth_pcd_ros', CAMERA, f'params_file:={params_file}', 'respawn:=true')
    running.wait_for('listening to')
    pid = int(re.search(r'depth_pcd_node-1\]: process started with pid \[(\d+)\]', running.log)[1])
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: running.log.count('listening to') == 2, 30.0), running.log
    assert running.stop() == 0


def test_every_frame_of_a_recording(launch, peer, params_file, tmp_path):
    """The camera is found, the time is the recording's, each frame gives a cloud, RViz starts."""
    frame_id = 'front_optical_frame'
    topics = (('/front/camera_info', info), ('/front/image_raw', image))
    record(
        tmp_path / 'bag', [(t, make(i, frame_id=frame_id)) for i in range(10) for t, make in topics]
    )
    clouds, clock = [], []
    peer.node.create_subscription(PointCloud2, '/points', clouds.append, 100)
    peer.node.create_subscription(Clock, '/clock', clock.append, 100)
    running = launch(
        'depth_pcd_ros', REPLAY, f'bag:={tmp_path / "bag"}', f'params_file:={params_file}'
    )
    running.wait_for('listening to /front/image_raw and /front/camera_info')
    assert parameters(peer, '/depth_pcd', 'use_sim_time', 'frames') == [True, 'all']
    assert wait_until(lambda: len(clouds) == 10, 20.0), (len(clouds), running.log)
    stamps = [(cloud.header.stamp.sec, cloud.header.stamp.nanosec) for cloud in clouds]
    assert stamps == [divmod(START + i * 10**8, 10**9) for i in range(10)]
    assert clock[0].clock.sec == START // 10**9
    told = tmp_path / 'bin' / 'arguments'
    assert wait_until(told.exists, 5.0), running.log
    assert frame_id in told.read_text().splitlines()
    assert 'use_sim_time:=true' in told.read_text().splitlines()
    assert running.stop() == 0


def test_no_recording(launch, tmp_path):
    """The reason is told, with the path, and nothing is left running."""
    running = launch('depth_pcd_ros', REPLAY, f'bag:={tmp_path / "none"}')
    running.wait_for(f'{tmp_path / "none"}: no such file')
    assert running.process.wait(20.0) != 0
