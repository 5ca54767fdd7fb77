# SPDX-License-Identifier: Apache-2.0
"""Recordings to recordings, without ROS: topics, calibrations, messages, copies."""

import dataclasses
import resource

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_typestore

from depth_pcd_ros.cli import main
from depth_pcd_ros.engine import create
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.messages.decode import calibration_from_msg
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.recordings.reader import RecordingError, open_recording
from depth_pcd_ros.recordings.topics import find_camera_info_topic, find_image_topic
from depth_pcd_ros.settings import EngineSettings, Settings

from ..support.converting import DEMO, HEIGHT, WIDTH, convert, listed
from ..support.converting import smooth as picture
from ..support.recordings import (
    START,
    camera,
    cameras,
    cdr,
    compressed,
    header,
    image,
    info,
    read,
    record,
)


def expected_frames(count, calibrations=None, **changes):
    """Frames and points that the pipeline makes of the pictures."""
    pipeline = Pipeline(
        create(EngineSettings('demo', input_size=42, device='cpu')), Settings().replace(changes)
    )
    for i in range(count):
        calibration = calibration_from_msg(calibrations[i] if calibrations else info(i))
        frame = pipeline.process(Picture(picture(i), calibration))
        yield frame, pipeline.points(frame)


@pytest.mark.parametrize('plugin', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_messages(tmp_path, plugin):
    """Every field of what comes out, from the pipeline's arrays; stamps and times the pictures'."""
    record(tmp_path / 'in', cameras(3), plugin)
    assert convert(tmp_path) == 0
    found = read(tmp_path / 'out' / 'in')
    assert set(found) == {'/points', '/depth/image', '/depth/camera_info'}
    for i, (frame, points) in enumerate(expected_frames(3)):
        for topic in found:
            assert found[topic][i][0] == START + i * 10**8
            assert cdr(found[topic][i][1].header) == cdr(header(i))
        cloud = found['/points'][i][1]
        assert (cloud.height, cloud.width, cloud.is_dense) == (HEIGHT, WIDTH, False)
        assert (cloud.point_step, cloud.row_step, cloud.is_bigendian) == (16, 16 * WIDTH, False)
        assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
            (name, 4 * n, 7, 1) for n, name in enumerate(['x', 'y', 'z', 'rgb'])
        ]
        assert cloud.data.tobytes() == points.tobytes()
        depth = found['/depth/image'][i][1]
        assert (depth.height, depth.width, depth.encoding) == (HEIGHT, WIDTH, '32FC1')
        assert depth.data.tobytes() == frame.depth.tobytes()
        assert cdr(found['/depth/camera_info'][i][1]) == cdr(info(i))
    assert listed(tmp_path / 'out') == ['in']


def test_options(tmp_path):
    """Those of the node change what it says they change."""
    record(tmp_path / 'in', camera(0))
    options = ['--stride', '2', '--no-organized', '--cloud-fields', 'xyz', '--distortion', 'ignore']
    options += ['--depth-encoding', '16UC1', '--depth-scale', '0.5']
    assert convert(tmp_path, *options) == 0
    found = read(tmp_path / 'out' / 'in')
    changes = {'stride': 2, 'organized': False, 'cloud_fields': 'xyz', 'depth_scale': 0.5}
    frame, points = next(expected_frames(1, distortion='ignore', **changes))
    cloud, depth = found['/points'][0][1], found['/depth/image'][0][1]
    assert (cloud.height, cloud.width, cloud.point_step) == (1, len(points), 12)
    assert cloud.is_dense
    assert cloud.data.tobytes() == points.tobytes()
    millimetres = depth.data.view('<u2').reshape(HEIGHT // 2, WIDTH // 2)
    np.testing.assert_array_equal(millimetres, np.rint(np.nan_to_num(1000 * frame.depth)))
    np.testing.assert_allclose(
        found['/depth/camera_info'][0][1].k, [25, 0, 13.5, 0, 24, 10, 0, 0, 1]
    )


def test_compressed(tmp_path):
    """Compressed pictures give the same as raw ones, and their CameraInfo is found."""
    raw = cameras(2)
    record(tmp_path / 'raw', raw)
    small = []
    for i in range(2):
        small += [('/cam/camera_info', info(i)), ('/cam/image_raw/compressed', compressed(i))]
    record(tmp_path / 'small', small)
    both = [str(tmp_path / 'raw'), str(tmp_path / 'small')]
    assert main(['convert', *both, '-o', str(tmp_path / 'out'), *DEMO]) == 0
    raw, small = read(tmp_path / 'out' / 'raw'), read(tmp_path / 'out' / 'small')
    assert len(raw['/points']) == 2
    for (_, a), (_, b) in zip(raw['/points'], small['/points'], strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_copy(tmp_path):
    """With --copy, the recording's own messages are there too, byte for byte and in order."""
    record(tmp_path / 'in', cameras(2))
    assert convert(tmp_path, '--copy') == 0
    with AnyReader([tmp_path / 'in']) as old, AnyReader([tmp_path / 'out' / 'in']) as new:
        topics = {connection.topic for connection in old.connections}
        wanted = [(c.topic, c.msgtype, t, bytes(raw)) for c, t, raw in old.messages()]
        found = [(c.topic, c.msgtype, t, bytes(raw)) for c, t, raw in new.messages()]
        assert [message for message in found if message[0] in topics] == wanted
        assert {topic for topic, *_ in found} - topics == {
            '/points',
            '/depth/image',
            '/depth/camera_info',
        }
    # again with what is there: its topics would be there twice
    assert convert(tmp_path, '--copy', source='out/in', out='two') == 1
    assert not listed(tmp_path / 'two')


def test_ros1(tmp_path):
    """A ROS 1 .bag, whose CameraInfo has D, K, R and P, gives the same clouds."""
    record(tmp_path / 'in', cameras(2))
    ros1 = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(tmp_path / 'old.bag') as writer:
        connections = {}
        for topic, message in cameras(2):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=ros1)
            fields = dataclasses.asdict(message)
            fields.pop('__msgtype__', None)
            stamp = ros1.types['builtin_interfaces/msg/Time'](
                message.header.stamp.sec, message.header.stamp.nanosec
            )
            fields['header'] = ros1.types['std_msgs/msg/Header'](7, stamp, 'camera')
            if 'roi' in fields:
                fields = {n.upper() if n in 'dkrp' else n: v for n, v in fields.items()}
                fields['roi'] = ros1.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
            data = ros1.serialize_ros1(ros1.types[kind](**fields), kind)
            writer.write(connections[topic], stamp.sec * 10**9 + stamp.nanosec, data)
    both = [str(tmp_path / 'in'), str(tmp_path / 'old.bag')]
    assert main(['convert', *both, '-o', str(tmp_path / 'out'), *DEMO]) == 0
    new, old = read(tmp_path / 'out' / 'in'), read(tmp_path / 'out' / 'old')
    for topic in new:
        for (time_a, a), (time_b, b) in zip(new[topic], old[topic], strict=True):
            assert time_a == time_b
            assert cdr(a) == cdr(b)


def test_calibration_of_its_own_stamp(tmp_path):
    """Each picture takes the CameraInfo of its stamp, also one that comes a little later."""
    calibrations = [info(i, fx=50.0 + i) for i in range(3)]
    messages = [('/cam/image_raw', image(i), START + i * 10**8) for i in range(3)]
    later = START + 10**7
    messages += [('/cam/camera_info', c, later + i * 10**8) for i, c in enumerate(calibrations)]
    record(tmp_path / 'in', sorted(messages, key=lambda m: m[2]))
    assert convert(tmp_path) == 0
    found = read(tmp_path / 'out' / 'in')
    assert [message.k[0] for _, message in found['/depth/camera_info']] == [50.0, 51.0, 52.0]
    for (_, cloud), (_, points) in zip(
        found['/points'], expected_frames(3, calibrations), strict=True
    ):
        assert cloud.data.tobytes() == points.tobytes()


def test_newest_calibration(tmp_path):
    """Else the newest before it, else the first of all."""
    messages = [
        ('/cam/camera_info', info(1005, fx=60.0), START + 5 * 10**8),
        ('/cam/camera_info', info(1015, fx=70.0), START + 15 * 10**8),
    ]
    messages += [('/cam/image_raw', image(t), START + t * 10**8) for t in (0, 10, 20)]
    record(tmp_path / 'in', sorted(messages, key=lambda m: m[2]))
    assert convert(tmp_path) == 0
    found = read(tmp_path / 'out' / 'in')
    assert [message.k[0] for _, message in found['/depth/camera_info']] == [60.0, 60.0, 70.0]


def test_intrinsics_given(tmp_path, capsys):
    """Intrinsics of the command line go before those of the recording, and that is said."""
    record(tmp_path / 'in', camera(0))
    assert convert(tmp_path, '--hfov', '90') == 0
    found = read(tmp_path / 'out' / 'in')
    np.testing.assert_allclose(found['/depth/camera_info'][0][1].k[0], WIDTH / 2)
    assert "not the recording's" in capsys.readouterr().err


def test_files_of_a_recording(tmp_path):
    """Asked for by --write, beside the recording, named by their stamps."""
    record(tmp_path / 'in', cameras(2))
    assert convert(tmp_path, '--write', 'ply') == 0
    names = listed(tmp_path / 'out' / 'in_files')
    assert names == [f'{START + i * 10**8}.ply' for i in range(2)]
    (tmp_path / 'out' / 'in').rename(tmp_path / 'out' / 'elsewhere')
    assert convert(tmp_path, '--write', 'ply') == 2  # the files would be overwritten
    assert convert(tmp_path, '--write', 'ply', '--resume') == 0


def test_pictures_of_one_stamp(tmp_path):
    """As of a camera whose clock stands still: no file is written over another."""
    messages = [('/cam/camera_info', info(0)), *(('/cam/image_raw', image(0)) for _ in range(3))]
    record(tmp_path / 'in', messages)
    assert convert(tmp_path, '--write', 'ply') == 0
    names = [f'{START}.ply', f'{START}_2.ply', f'{START}_3.ply']
    assert listed(tmp_path / 'out' / 'in_files') == names
    assert len(read(tmp_path / 'out' / 'in')['/points']) == 3


def test_bad_pictures(tmp_path, capsys):
    """Pictures that give nothing are counted and told once a reason; the rest is converted."""
    messages = cameras(6)
    messages[3] = ('/cam/image_raw', image(1, encoding='odd'))
    messages[5] = ('/cam/image_raw', image(2, encoding='odd'))
    messages[7] = ('/cam/image_raw', image(3, frame_id='other'))
    record(tmp_path / 'in', messages)
    assert convert(tmp_path) == 1
    found = read(tmp_path / 'out' / 'in')
    assert [time_ns for time_ns, _ in found['/points']] == [START + i * 10**8 for i in (0, 4, 5)]
    told = capsys.readouterr().err
    assert told.count("encoding 'odd' is not one of") == 1
    assert '2 times unknown_encoding' in told
    assert told.count("image in frame 'other'") == 1
    assert f'{tmp_path / "in"}: 3 of 6 pictures are converted' in told
    assert told.splitlines()[-1] == 'depth-pcd convert: 0 converted, 1 in part'


@pytest.mark.parametrize('make', ['empty', 'text', 'half', 'none'])
def test_unusable(tmp_path, make, capsys):
    """An unusable recording is told in one line, leaves nothing, and the next one is done."""
    good = record(tmp_path / 'good', camera(0))
    bad = tmp_path / 'bad.mcap'
    data = (good / 'good.mcap').read_bytes()
    if make == 'none':
        bad = record(tmp_path / 'bad', [('/cam/image_raw', image(0, encoding='odd'))])
    else:
        bad.write_bytes({'empty': b'', 'text': b'hello', 'half': data[: len(data) // 2]}[make])
    assert main(['convert', str(bad), str(good), '-o', str(tmp_path / 'out'), *DEMO]) == 1
    assert listed(tmp_path / 'out') == ['good']
    told = capsys.readouterr().err
    assert str(bad) in told
    reasons = {
        'empty': 'it is empty',
        'text': 'it is no mcap',
        'half': 'was not closed, or is cut off',
    }
    assert reasons.get(make, 'it lacks a CameraInfo topic') in told
    assert 'mcap recover' not in told  # it finds no more than what is read here
    assert told.splitlines()[-1] == 'depth-pcd convert: 1 converted, 1 failed'


def test_truncated_ros1(tmp_path, capsys):
    """What mends a ROS 1 recording that was not closed is told, too."""
    (tmp_path / 'in.bag').write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    assert convert(tmp_path, source='in.bag') == 1
    assert 'rosbag reindex' in capsys.readouterr().err


def test_a_named_topic_of_another_frame(tmp_path, capsys):
    """The CameraInfo of another frame is taken only where its topic was named."""
    messages = [('/cam/image_raw', image(0)), ('/cam/camera_info', info(0, frame_id='body'))]
    record(tmp_path / 'in', messages)
    assert convert(tmp_path) == 1
    assert "'body': if it is this camera all the same, name its topic" in capsys.readouterr().err
    assert convert(tmp_path, '--camera-info-topic', '/cam/camera_info', '--force') == 0


def test_without_calibration(tmp_path, capsys):
    """A recording without CameraInfo: how the intrinsics can be given is told."""
    record(tmp_path / 'in', [('/image', image(0))])
    assert convert(tmp_path) == 1
    told = capsys.readouterr().err
    assert 'it lacks a CameraInfo topic; or give --camera-info FILE' in told


def test_full_disk(tmp_path, capsys):
    """What cannot be written, not even to be closed, is told and removed; the next one is done."""
    cv2.imwrite(str(tmp_path / 'small.png'), picture(0)[:14, :14])
    record(tmp_path / 'in', cameras(40))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        code = convert(tmp_path, '--hfov', '60', source='')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1
    assert listed(tmp_path / 'out') == ['small.ply']
    told = capsys.readouterr().err
    assert 'File too large' in told
    assert 'the recording was not written as a whole' in told


@pytest.mark.parametrize(
    ('make', 'topic'), [(image, '/a/image'), (compressed, '/a/image/compressed')]
)
def test_silent_topics(tmp_path, capsys, make, topic):
    """Topics without a message, which recorders note of all there are, are not to choose from."""
    messages = [('/a/camera_info', info(0)), (topic, make(0))]
    record(tmp_path / 'in', messages, silent=['/b/image', *{'/a/image'} - {topic}])
    assert convert(tmp_path) == 0
    assert f'pictures of {topic},' in capsys.readouterr().err


def chosen(tmp_path, topics, image_topic='', info_topic=''):
    """The topics chosen in a recording with one message on each of these."""
    kinds = {'image': image(0), 'depth': image(0, '32FC1'), 'info': info(0), 'small': compressed(0)}
    record(tmp_path / 'in', [(topic, kinds[kind]) for topic, kind in topics.items()])
    with open_recording(tmp_path / 'in') as reader:
        found = find_image_topic(reader, image_topic)
        return found, find_camera_info_topic(reader, found, info_topic)


REALSENSE = {
    '/color/image_raw': 'image',
    '/color/image_raw/compressed': 'small',
    '/color/camera_info': 'info',
    '/depth/image_rect_raw': 'depth',
    '/depth/camera_info': 'info',
}


@pytest.mark.parametrize(
    ('topics', 'expected'),
    [
        (REALSENSE, ('/color/image_raw', '/color/camera_info')),
        (
            {'/a/b/compressed': 'small', '/a/camera_info': 'info', '/c': 'info'},
            ('/a/b/compressed', '/a/camera_info'),
        ),
        ({'/image': 'image', '/elsewhere/info': 'info'}, ('/image', '/elsewhere/info')),
        (
            {'/a/Scene': 'image', '/a/Scene/camera_info': 'info', '/b/Scene/camera_info': 'info'},
            ('/a/Scene', '/a/Scene/camera_info'),
        ),
    ],
)
def test_topics_found(tmp_path, topics, expected):
    """By type, leaving out depth and the compressed double, and by the name beside it."""
    assert chosen(tmp_path, topics) == expected


def test_topics_asked_for(tmp_path):
    """Asked for by name."""
    asked = ('/color/image_raw/compressed', '/depth/camera_info')
    assert chosen(tmp_path, REALSENSE, *asked) == asked


@pytest.mark.parametrize(
    ('topics', 'asked', 'reason'),
    [
        ({'/l/image': 'image', '/r/image': 'image'}, '', 'with --image-topic: /l/image, /r/image'),
        ({'/image': 'image', '/a': 'info', '/b': 'info'}, '', 'with --camera-info-topic: /a, /b'),
        ({'/image': 'image'}, '', 'lacks a CameraInfo topic'),
        ({'/a': 'info'}, '', 'lacks an Image or CompressedImage topic'),
        ({'/image': 'image'}, '/imag', 'no Image or CompressedImage topic /imag; there is /image'),
    ],
)
def test_topics_refused(tmp_path, topics, asked, reason):
    """What there is to choose from is told."""
    with pytest.raises(RecordingError, match=reason):
        chosen(tmp_path, topics, asked)


@pytest.mark.parametrize(
    ('topics', 'expected'),
    [
        (
            [('/cam/image_raw', image), ('/cam/camera_info', info), ('/odd/camera_info', info)],
            ['image:=/cam/image_raw', 'camera_info:=/cam/camera_info', 'image_transport:=raw'],
        ),
        (
            [('/cam/image/compressed', compressed), ('/cam/camera_info', info)],
            ['image:=/cam/image', 'camera_info:=/cam/camera_info', 'image_transport:=compressed'],
        ),
    ],
)
def test_camera_as_launch_arguments(tmp_path, capsys, topics, expected):
    """`depth-pcd replay --find-camera` says what the launch file is to be given."""
    record(tmp_path / 'in', [(topic, make(0)) for topic, make in topics])
    assert main(['replay', str(tmp_path / 'in'), '--find-camera']) == 0
    assert capsys.readouterr().out.splitlines() == expected


def test_no_camera_to_be_found(tmp_path, capsys):
    """The reason, with the path."""
    record(tmp_path / 'in', [('/odd', compressed(0)), ('/camera_info', info(0))])
    assert main(['replay', str(tmp_path / 'in'), '--find-camera']) == 1
    told = capsys.readouterr().err
    assert told.startswith(f'depth-pcd replay: {tmp_path / "in"}: /odd has CompressedImage, but')


def test_cameras_of_two_transports_as_launch_arguments(tmp_path, capsys):
    """Each has its own."""
    topics = [('/l/image', image(0)), ('/l/camera_info', info(0))]
    topics += [('/r/image/compressed', compressed(0)), ('/r/camera_info', info(0))]
    record(tmp_path / 'in', topics)
    assert main(['replay', str(tmp_path / 'in'), '--find-camera', 'r', 'l']) == 0
    assert capsys.readouterr().out.splitlines() == [
        'image:=[/r/image,/l/image]',
        'camera_info:=[/r/camera_info,/l/camera_info]',
        'image_transport:=[compressed,raw]',
    ]


def test_several_cameras_for_the_launch_file(tmp_path, capsys):
    """What is advised is what the launch file takes."""
    topics = [('/l/image', image(0)), ('/r/image', image(0)), ('/l/camera_info', info(0))]
    record(tmp_path / 'in', topics)
    assert main(['replay', str(tmp_path / 'in'), '--find-camera']) == 1
    told = capsys.readouterr().err
    ways = 'with image:=, or their names with cameras:='
    assert f'choose an Image or CompressedImage topic {ways}: /l/image, /r/image' in told
    assert '--image-topic' not in told


def test_never_over_its_own_input(tmp_path, capsys):
    """Not even with --force is the recording replaced by what comes of it."""
    record(tmp_path / 'in', camera(0))
    assert convert(tmp_path, '--force', out='') == 2
    assert set(read(tmp_path / 'in')) == {'/cam/camera_info', '/cam/image_raw'}
    assert 'is an input' in capsys.readouterr().err
