# SPDX-License-Identifier: Apache-2.0
"""`depth-pcd replay` in a process of its own, and the demo from its recording to its report."""

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_pcd_ros.ros import replay as module
from depth_pcd_ros.ros.replay import Replayer

from ..support.recordings import ODD, cameras, overwrite, record, split, write_mcap
from .conftest import ROOT, wait_until

STORE = get_typestore(Stores.ROS2_HUMBLE)
COUNT, PERIOD = 6, 0.2  # messages, s
WIDTH, HEIGHT = 20, 10


def write_recording(folder: Path, plugin: StoragePlugin, with_clock: bool = False) -> None:
    """Images on /image whose pixels and stamp seconds count up, and headers on /other.

    If asked for, a /clock of 5 s, too.
    """
    image, header = STORE.types['sensor_msgs/msg/Image'], STORE.types['std_msgs/msg/Header']
    time_type = STORE.types['builtin_interfaces/msg/Time']
    clock = STORE.types['rosgraph_msgs/msg/Clock'](time_type(5, 0))
    with Writer(folder, version=8, storage_plugin=plugin) as writer:
        images = writer.add_connection('/image', 'sensor_msgs/msg/Image', typestore=STORE)
        others = writer.add_connection('/other', 'std_msgs/msg/Header', typestore=STORE)
        if with_clock:
            clocks = writer.add_connection('/clock', clock.__msgtype__, typestore=STORE)
        for i in range(COUNT):
            head = header(time_type(100 + i, 5), 'camera')
            pixels = np.full(WIDTH * HEIGHT * 3, i, np.uint8)
            message = image(head, HEIGHT, WIDTH, 'rgb8', 0, 3 * WIDTH, pixels)
            stamp = int((1000 + i * PERIOD) * 1e9)
            writer.write(images, stamp, STORE.serialize_cdr(message, images.msgtype))
            writer.write(others, stamp, STORE.serialize_cdr(head, others.msgtype))
            if with_clock:
                writer.write(clocks, stamp, STORE.serialize_cdr(clock, clocks.msgtype))


def replay(recording: Path, *options: str) -> subprocess.Popen[str]:
    """Start the command."""
    command = [sys.executable, '-m', 'depth_pcd_ros.cli', 'replay', str(recording), *options]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize('plugin', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_messages_come_as_recorded(peer, tmp_path, plugin):
    """Every message of every topic, whole, in order, at the recording's pace."""
    write_recording(tmp_path / 'bag', plugin)
    images: list[tuple[float, Image]] = []
    headers: list[Header] = []
    peer.node.create_subscription(
        Image, '/image', lambda msg: images.append((time.monotonic(), msg)), 10
    )
    peer.node.create_subscription(Header, '/other', headers.append, 10)
    process = replay(tmp_path / 'bag')
    assert process.wait(30) == 0, process.stderr.read()
    assert wait_until(lambda: len(images) == len(headers) == COUNT)
    for i, (_, image) in enumerate(images):
        assert (image.width, image.height, image.encoding) == (WIDTH, HEIGHT, 'rgb8')
        assert (image.header.stamp.sec, image.header.stamp.nanosec) == (100 + i, 5)
        assert set(image.data) == {i}
        assert headers[i] == image.header
    took = images[-1][0] - images[0][0]
    assert (COUNT - 1) * PERIOD * 0.8 < took < (COUNT - 1) * PERIOD + 5.0


def test_options(peer, tmp_path):
    """--topics leaves out the rest, --rate is faster, --clock tells the time, --loop goes on."""
    write_recording(tmp_path / 'bag', StoragePlugin.MCAP)
    images, headers, clocks = [], [], []
    peer.node.create_subscription(Image, '/image', images.append, 50)
    peer.node.create_subscription(Header, '/other', headers.append, 50)
    peer.node.create_subscription(
        Clock, '/clock', lambda msg: clocks.append(msg.clock.sec + 1e-9 * msg.clock.nanosec), 100
    )
    process = replay(tmp_path / 'bag', '--topics', '/image', '--rate', '4', '--clock', '--loop')
    try:
        assert wait_until(lambda: len(images) > 4 * COUNT, 20.0)
        assert process.poll() is None
    finally:
        process.send_signal(2)
    assert process.wait(10) == 130
    assert not headers
    seconds = [image.header.stamp.sec - 100 for image in images[: 2 * COUNT]]
    assert seconds == [*range(COUNT), *range(COUNT)]
    assert 1000.0 <= min(clocks) < max(clocks) <= 1000.0 + COUNT * PERIOD
    starts = [i for i in range(1, len(clocks)) if clocks[i] < clocks[i - 1]]
    whole_loop = clocks[starts[0] : starts[1]]
    assert len(whole_loop) > COUNT  # also between two messages


@pytest.mark.parametrize(
    ('topics', 'told'),
    [(['--topics', '/nope'], 'no topic /nope in'), (None, 'bag: no such file')],
)
def test_what_is_not_there_is_named(tmp_path, topics, told):
    """A recording or topic that does not exist is an error that says so."""
    folder = tmp_path / 'bag'
    if topics is not None:
        write_recording(folder, StoragePlugin.MCAP)
    process = replay(folder, *(topics or []))
    assert process.wait(30) == 1
    assert told in process.stderr.read()


def test_demo(tmp_path):
    """The demo on a short recording: every frame gives a cloud near the truth, files to look at."""
    frames = 5
    size = ['--frames', str(frames), '--width', '320', '--height', '240']
    rendering = [sys.executable, '-m', 'scenes.recording', tmp_path / 'recording', *size]
    subprocess.run(rendering, cwd=ROOT, check=True, capture_output=True)
    demo = [sys.executable, '-m', 'scenes.demo', '--out', str(tmp_path)]
    done = subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['frames_in'] == report['clouds_out'] == frames
    assert 0.0 < report['abs_rel'] <= 0.20
    assert report['latency_ms']['p50'] > 0.0
    assert cv2.imread(str(tmp_path / 'preview.png')).shape == (240, 3 * 320, 3)
    header = (tmp_path / 'cloud.ply').read_bytes().split(b'end_header\n')[0].decode()
    points = int(header.split('element vertex ')[1].split()[0])
    assert 0.9 * 320 * 240 < points <= 320 * 240
    with AnyReader([tmp_path], default_typestore=STORE) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    depth = ('image', 'confidence', 'camera_info', 'color')
    topics = ('/points', *(f'/depth/{name}' for name in depth))
    assert counts == dict.fromkeys(topics, frames)


def test_nothing_that_can_be_published(tmp_path):
    """A recording of types that are not installed is refused with their names."""
    spare = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection('/tf_static', 'tf2_msgs/msg/TFMessage', typestore=spare)
    process = replay(tmp_path / 'bag')
    assert process.wait(30) == 1
    assert '/tf_static: its type tf2_msgs/msg/TFMessage is not installed' in process.stderr.read()


def test_sigterm(tmp_path):
    """It ends at once, with its exit code and without a traceback, and says whom it waits for."""
    write_recording(tmp_path / 'bag', StoragePlugin.MCAP)
    process = replay(tmp_path / 'bag', '--wait-for', '/image')
    told = process.stderr.readline()
    assert 'waiting for subscribers, 30 s at most, on /image' in told
    process.terminate()
    assert process.wait(10) == 143
    assert 'Traceback' not in process.stderr.read()


def test_nobody_is_waited_for_by_no_name(peer, tmp_path, monkeypatch, capfd):
    """While those that are there may still be joined by others, nothing is said."""
    write_recording(tmp_path / 'bag', StoragePlugin.MCAP)
    peer.subscribe('/image', Image)
    peer.subscribe('/other', Header)
    replayer = Replayer(peer.node, tmp_path / 'bag')
    assert wait_until(
        lambda: all(one.get_subscription_count() for one in replayer.publishers.values())
    )
    monkeypatch.setattr(module, 'PATIENCE', 0.2)  # less than those are waited for
    assert replayer.wait_for_subscribers(10.0) == []
    assert 'waiting' not in capfd.readouterr().err
    replayer.close()


@pytest.mark.parametrize('clock', [False, True])
def test_there_is_one_clock(peer, tmp_path, capfd, clock):
    """The recorded one, or that of the option in its place."""
    write_recording(tmp_path / 'bag', StoragePlugin.MCAP, with_clock=True)
    clocks, images = [], []
    peer.node.create_subscription(Clock, '/clock', clocks.append, 100)
    peer.node.create_subscription(Image, '/image', images.append, 100)
    replayer = Replayer(peer.node, tmp_path / 'bag', clock=clock)
    replayer.wait_for_subscribers(10.0, ['/image'])
    assert peer.node.count_publishers('/clock') == 1
    replayer.play(rate=10.0)
    replayer.close()
    assert wait_until(lambda: clocks and len(images) == COUNT)
    assert {one.clock.sec // 100 for one in clocks} == ({10} if clock else {0})
    told = '/clock is left out: --clock publishes another one'
    assert capfd.readouterr().err.count(told) == clock


def test_odd_topics(peer, tmp_path):
    """What cannot be published is left out, and said; the camera beside it is published."""
    path = write_mcap(tmp_path / 'in.mcap', cameras(3), ODD)
    images = peer.subscribe('/cam/image_raw', Image)
    process = replay(path, '--rate', '5')
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 0, told
    assert wait_until(lambda: len(images) == 3)
    for topic, reason in (
        ('/imu', 'it is foxglove.Imu in protobuf, expected cdr'),
        ('/broken', 'its type odd_msgs/msg/Broken is not installed'),
        ('/livox/192_168_1_3/imu', 'must not have a token that starts with a number'),
        ('/a topic - of its own', 'must not contain characters other than'),
    ):
        assert any(f'{topic} is left out' in line and reason in line for line in told.splitlines())
    assert 'Traceback' not in told


@pytest.mark.parametrize('kind', ['chunk', 'db3', 'cut'])
def test_damage(peer, tmp_path, kind):
    """What can be read is published; what is damaged is said at the end, and it has failed."""
    if kind == 'db3':
        path = record(tmp_path / 'in', cameras(40), StoragePlugin.SQLITE3)
        file = path / 'in.db3'
        overwrite(file, file.stat().st_size // 2 // 4096 * 4096, 3 * 4096)
    else:
        path = write_mcap(tmp_path / 'in.mcap', cameras(40), chunk_size=20_000)
        data = path.read_bytes()
        if kind == 'cut':
            path.write_bytes(data[: len(data) // 2])
        else:
            overwrite(path, len(data) // 2, 2000)
    images = peer.subscribe('/cam/image_raw', Image)
    process = replay(path, '--rate', '5')
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 1, told
    assert {'chunk': 'is damaged', 'db3': 'malformed', 'cut': 'not closed'}[kind] in told
    assert 'Traceback' not in told
    assert wait_until(lambda: len(images) > 10)
    assert len(images) < 40


def test_parts(peer, tmp_path):
    """A folder of split files without metadata.yaml."""
    images = peer.subscribe('/cam/image_raw', Image)
    process = replay(split(tmp_path / 'in', 2), '--rate', '5')
    assert process.wait(30) == 0, process.stderr.read()
    assert wait_until(lambda: len(images) == 6)
    stamps = [image.header.stamp.nanosec for image in images]
    assert stamps == sorted(stamps)
