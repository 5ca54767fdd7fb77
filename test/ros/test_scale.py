# SPDX-License-Identifier: Apache-2.0
"""True scale over the real middleware; the engine is a fake whose depth is a ramp."""

import os
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import PointCloud2, Range
from std_msgs.msg import Float64MultiArray, Header

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert import command
from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.ros import qos, scale_source, transforms
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.ros.scale_source import ScaleSource
from depth_pcd_ros.scale.messages import xyz_of_cloud
from depth_pcd_ros.scale.tracker import MESSAGE_FIELDS as FIELDS
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync import readings

from .conftest import FRAME_ID, ROOT, FakeTransforms, wait_until
from .fake_engine import FakeEngine
from .ramp_messages import (
    CX,
    HEIGHT,
    RAMP,
    TENTH,
    WIDTH,
    cloud,
    picture,
    stamped,
    true_points,
)

# optical_from_sensor of a sensor with x ahead, y left, z up, 0.2 m above the camera
ABOVE = [0.0, -0.2, 0.0, 0.5, -0.5, 0.5, 0.5]


def values_of(message):
    """A depth/scale message by the names in its label."""
    assert message.layout.dim[0].label == ', '.join(FIELDS)
    assert message.layout.dim[0].size == len(message.data)
    return dict(zip(FIELDS, message.data, strict=True))


def start(run_node, peer, source='points', **params):
    """A node, its scales and the publisher of its sensor; every image is worked on."""
    node = run_node({'model': 'ramp', 'scale_source': source, 'frames': 'all', **params}, fake=True)
    scales = peer.subscribe('/depth/scale', Float64MultiArray)
    kind = {'points': PointCloud2, 'range': Range}[source]
    return node, scales, peer.publisher(f'/scale/{source}', kind)


def test_points_to_cloud_and_diagnostics(run_node, peer):
    """The cloud is that of the true depth; depth/scale and the diagnostics say by what."""
    _, scales, sensor = start(run_node, peer)
    clouds = peer.subscribe('/points', PointCloud2)
    sensor.publish(cloud(1.2, 99))
    sensor.publish(cloud(1.2, 101))
    peer.show(*picture(100))
    assert wait_until(lambda: scales and clouds)
    found = values_of(scales[0])
    assert found['scale'] == pytest.approx(1.2, rel=1e-3)
    assert found['inliers'] == len(true_points(1))
    assert found['age'] == pytest.approx(0.1)
    assert (found['shift'], found['held'], found['sec'], found['nanosec']) == (0, 0, 10, 0)
    z = xyz_of_cloud(clouds[0]).reshape(HEIGHT, WIDTH, 3)[..., 2]
    np.testing.assert_allclose(z, np.broadcast_to(1.2 * RAMP, z.shape), rtol=1e-3)
    values = peer.wait_for_values(lambda v: 'true scale' in v)
    assert float(values['true scale']) == pytest.approx(1.2, rel=1e-3)
    assert values['true scale source age [s]'] == '0.100'
    assert values['true scale held because'] == ''

    assert peer.change_state('deactivate')
    assert peer.change_state('activate')
    sensor.publish(cloud(1.2, 102))
    peer.show(*picture(102))
    assert wait_until(lambda: len(scales) == 2)
    assert values_of(scales[1])['age'] == 0.0


def test_a_replay_gives_the_same_each_time(run_node, peer):
    """By the stamps, whatever arrives first: readings late by two images, twice the same."""
    _, scales, sensor = start(run_node, peer, scale_smoothing=0.15)
    factors = np.random.default_rng(0).uniform(0.9, 1.2, 30)
    for count in (30, 60):
        for i in range(30):
            peer.show(*picture(100 + i))
            if i >= 2:
                sensor.publish(cloud(factors[i - 2], 98 + i))
        for i in (28, 29, 30):
            sensor.publish(cloud(factors[min(i, 29)], 100 + i))
        assert wait_until(lambda n=count: len(scales) == n, 30.0)
    messages = [values_of(message) for message in scales]
    assert messages[:30] == messages[30:]
    assert [m['age'] for m in messages] == [0.0] * 60
    assert not any(m['held'] for m in messages)
    assert messages[0]['scale'] == pytest.approx(factors[0], rel=1e-3)
    assert np.ptp([m['scale'] for m in messages]) > 0.05


def test_silence_and_disagreement_are_told(run_node, peer):
    """The scale is frozen, with a warning that says why and who publishes."""
    node, scales, sensor = start(run_node, peer)
    sensor.publish(cloud(1.2, 100))
    peer.show(*picture(100))
    assert wait_until(lambda: len(scales) == 1)
    for i in range(1, 12):
        sensor.publish(stamped(cloud_message(TYPES, true_points(1.0)[:5], Header()), 100 + i))
        peer.show(*picture(100 + i))
    assert wait_until(lambda: len(scales) == 12)
    status = peer.wait_for_status('scale frozen at 1.200: 5 points', DiagnosticStatus.WARN)
    values = {pair.key: pair.value for pair in status.values}
    assert values['true scale held for [s]'] == '1.1'
    assert values['true scale held because'].startswith('5 points to measure by')
    peer.show(*picture(120))
    peer.wait_for_status('0.9 s older than the picture', DiagnosticStatus.WARN)

    def told():
        peer.show(*picture(120))
        time.sleep(0.05)
        why = '0.9 s older than the picture, scale_timeout is 0.5 s (/scale/points: 1 publisher, '
        return why in peer.received['/diagnostics'][-1].status[0].message

    assert wait_until(told)
    assert all(values_of(s)['held'] for s in scales[1:])
    assert {values_of(s)['scale'] for s in scales} == {values_of(scales[0])['scale']}
    node.wait_for('scale frozen at 1.200', 10.0)
    sensor.publish(cloud(1.2, 121))
    peer.show(*picture(121))
    peer.wait_for_status('results/s', DiagnosticStatus.OK)


@pytest.mark.parametrize('tenths', [94, 130])
def test_a_sensor_that_sends_is_not_called_silent(peer, monkeypatch, tenths):
    """Its readings are too old or, by a clock that is ahead, too new."""
    settings = Settings().replace({'scale_source': 'points'})
    source = ScaleSource(peer.node, settings)
    sensor = peer.publisher('/scale/points', PointCloud2, wait=False)
    assert wait_until(lambda: 'no publisher' not in source.who_publishes())
    assert source.who_publishes() == '/scale/points: 1 publisher, which sends nothing'

    def received():
        sensor.publish(cloud(1.2, tenths))
        return source.who_publishes() == ''

    assert wait_until(received)
    evidence = source.evidence(readings.Header(100 * TENTH, 'camera'))
    assert (evidence.reading is None) == (tenths == 130)
    assert source.who_publishes() == ''
    assert source.subscriptions[0].who_publishes() == '1 publisher'
    monkeypatch.setattr(qos, 'SILENCE', 0.0)
    assert source.who_publishes() == '/scale/points: 1 publisher, which sends nothing'
    source.destroy()


def test_a_sensor_by_another_clock_is_told(run_node, peer):
    """Its messages come, and so nobody is said to send nothing; a slash is no other frame."""
    _, scales, sensor = start(run_node, peer)
    sensor.publish(cloud(1.2, 0))  # its stamps begin at zero
    peer.show(*picture(100))
    assert wait_until(lambda: bool(scales))
    status = peer.wait_for_status('older than the picture', DiagnosticStatus.WARN)
    assert '(messages come: its stamps are by another clock)' in status.message
    slashed = cloud(1.2, 101)
    slashed.header.frame_id = f'/{slashed.header.frame_id}'
    sensor.publish(slashed)
    peer.show(*picture(101))
    peer.wait_for_status('results/s', DiagnosticStatus.OK)


def test_odometry_of_another_frame_is_not_called_silent(run_node, peer):
    """It sends, and what is missing is its place."""
    run_node({'model': 'ramp', 'scale_source': 'motion', 'frames': 'all'}, fake=True)
    scales = peer.subscribe('/depth/scale', Float64MultiArray)
    odometry = peer.publisher('/odometry', Odometry)
    moved = Odometry(child_frame_id='base_link')
    moved.pose.pose.orientation.w = 1.0

    def told():
        odometry.publish(stamped(moved, 100 + len(scales), 'odom'))
        peer.show(*picture(100 + len(scales)))
        return len(scales) > 3

    assert wait_until(told)
    status = peer.wait_for_status(
        "the odometry is that of frame 'base_link'", DiagnosticStatus.WARN
    )
    assert 'publisher' not in status.message


def test_range_in_its_own_frame(run_node, peer):
    """A range finder above the camera, along its own x axis by scale_transform."""
    params = {'range_direction': '[0.0, 0.0, 0.0]', 'scale_transform': str(ABOVE)}
    _, scales, sensor = start(run_node, peer, 'range', **params)
    ahead = RAMP[round(CX)]
    reading = Range(min_range=0.2, max_range=8.0, field_of_view=0.02, range=1.1 * ahead)
    sensor.publish(stamped(reading, 100, 'sonar'))
    peer.show(*picture(100))
    assert wait_until(lambda: scales)
    assert values_of(scales[0])['scale'] == pytest.approx(1.1, rel=0.01)


def test_absurd_numbers_are_no_warnings_in_the_log(run_node, peer):
    """NumPy has words for them; the node has its own."""
    node, scales, sensor = start(run_node, peer, 'points')
    far = cloud(1.2, 100)
    for field in far.fields:
        field.datatype = field.FLOAT64
    far.point_step, far.width = 32, far.width // 2
    for i, field in enumerate(far.fields):
        field.offset = 8 * min(i, 3)
    far.row_step = far.width * far.point_step
    values = np.full((far.width, 4), 1e300)
    far.data = type(far.data)('B', values.tobytes())
    sensor.publish(far)
    peer.show(*picture(100))
    assert wait_until(lambda: len(scales) == 1)
    assert values_of(scales[0])['held']
    assert 'Warning' not in node.log, node.log


def test_a_range_without_a_transform_is_told(run_node, peer):
    """What is assumed of a range finder in another frame stands in the log, once."""
    node, scales, sensor = start(run_node, peer, 'range')
    for tenths in (100, 101):
        reading = Range(min_range=0.2, max_range=8.0, field_of_view=0.02, range=2.6)
        sensor.publish(stamped(reading, tenths, 'sonar'))
        peer.show(*picture(tenths))
    assert wait_until(lambda: len(scales) == 2)
    told = "the range is in frame 'sonar', and no transform to it is known: it is taken as measured"
    node.wait_for(told)
    assert node.log.count(told) == 1


def test_another_frame_without_a_transform(run_node, peer):
    """The parameter is asked for; it can be set while the node runs."""
    node, _, sensor = start(run_node, peer)
    if not transforms.AVAILABLE:
        node.wait_for('tf2_ros is not installed: a sensor in another frame')
    sensor.publish(cloud(1.2, 100, 'lidar'))
    peer.show(*picture(100))
    peer.wait_for_status("the sensor is in frame 'lidar'", DiagnosticStatus.WARN)
    assert peer.set_parameters(scale_transform=ABOVE) == ''
    sensor.publish(cloud(1.2, 101, 'lidar'))
    peer.show(*picture(101))
    peer.wait_for_status('results/s', DiagnosticStatus.OK)


def test_the_place_is_looked_up_once_it_is_no_longer_set(peer, monkeypatch):
    """scale_transform back to zeros: tf2 is asked, as from the start."""
    monkeypatch.setattr(transforms, 'AVAILABLE', True)
    monkeypatch.setattr(scale_source, 'Transforms', FakeTransforms)
    settings = Settings().replace({'scale_source': 'points', 'scale_transform': tuple(ABOVE)})
    source = ScaleSource(peer.node, settings)
    sensor = peer.publisher('/scale/points', PointCloud2, wait=False)

    def found():
        sensor.publish(cloud(1.2, 99, 'lidar'))
        return source.evidence(readings.Header(100 * TENTH, FRAME_ID))

    assert wait_until(lambda: found().reading is not None)
    assert found().optical_from_sensor is None
    source.check(settings.replace({'scale_transform': (0.0,) * 7}))
    assert found().optical_from_sensor == (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    source.destroy()


def test_transform_by_tf2(run_node, peer, monkeypatch):
    """A fake stands for tf2_ros, which has no wheel: it knows one transform."""
    fake = str(ROOT / 'test' / 'ros' / 'fake_tf2')
    monkeypatch.setenv('PYTHONPATH', fake, prepend=os.pathsep)
    _, scales, sensor = start(run_node, peer)
    sensor.publish(cloud(1.2, 100, 'lidar'))
    peer.show(*picture(100))
    assert wait_until(lambda: scales)
    assert values_of(scales[0])['scale'] == pytest.approx(1.2, rel=1e-3)
    sensor.publish(cloud(1.2, 101, 'radar'))
    peer.show(*picture(101))
    peer.show(*picture(106))
    peer.wait_for_status("the sensor is in frame 'radar'", DiagnosticStatus.WARN)


def test_without_a_source_there_is_no_topic(run_node, peer):
    """Nobody waits for a scale that never comes."""
    run_node({'model': 'ramp'}, fake=True)
    topics = {}

    def seen():
        topics.update(peer.node.get_topic_names_and_types())
        return '/points' in topics

    assert wait_until(seen)
    assert '/depth/scale' not in topics
    assert '/scale/points' not in topics


def test_convert_as_the_node(run_node, peer, tmp_path, monkeypatch):
    """Byte for byte, with readings of another frame that were recorded after their pictures."""
    _, scales, sensor = start(
        run_node, peer, scale_transform=ABOVE, scale_fit='scale_shift', scale_smoothing=0.3
    )
    clouds = peer.subscribe('/points', PointCloud2)
    factors = np.random.default_rng(1).uniform(0.8, 1.25, 20)
    store = get_typestore(Stores.ROS2_HUMBLE)
    kinds = {'/camera_info': 'CameraInfo', '/image': 'Image', '/lidar': 'PointCloud2'}
    with Writer(tmp_path / 'in', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, f'sensor_msgs/msg/{kind}', typestore=store)
            for topic, kind in kinds.items()
        }
        for i, factor in enumerate(factors):
            image, info = picture(100 + i)
            reading = cloud(factor, 100 + i, 'lidar') if i not in (3, 7, 8) else None
            peer.show(image, info)
            if reading is not None:
                sensor.publish(reading)
            for topic, message, delay in (
                ('/camera_info', info, 0),
                ('/image', image, 0),
                ('/lidar', reading, 3 * TENTH // 2),
            ):
                if message is not None:
                    time_ns = (100 + i) * TENTH + delay
                    writer.write(connections[topic], time_ns, serialize_message(message))
    assert wait_until(lambda: len(clouds) == len(scales) == 20)

    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine('ramp'))
    args = ['convert', str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), '--model', 'ramp']
    args += ['--scale-source', 'points', '--scale-fit', 'scale_shift', '--scale-smoothing', '0.3']
    assert main([*args, '--scale-transform', *map(str, ABOVE)]) == 0
    found = {'/points': [], '/depth/scale': []}
    with AnyReader([tmp_path / 'out' / 'in']) as reader:
        for connection, _, raw in reader.messages():
            if connection.topic in found:
                found[connection.topic].append(reader.deserialize(raw, connection.msgtype))
    assert [m.data.tobytes() for m in found['/points']] == [m.data.tobytes() for m in clouds]
    assert [values_of(m) for m in found['/depth/scale']] == [values_of(m) for m in scales]
    assert [values_of(m)['age'] for m in scales][:9] == pytest.approx(
        [0, 0, 0, 0.1, 0, 0, 0, 0.1, 0.2]
    )
    assert len({values_of(m)['scale'] for m in scales}) == 20
