# SPDX-License-Identifier: Apache-2.0
"""Recordings as they are found: odd topics, damage, files that were not closed, parts of one."""

import shutil
import sqlite3

import cv2
import numpy as np
import pytest
import yaml
from mcap.writer import CompressionType, IndexType
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from depth_pcd_ros.cli import main
from depth_pcd_ros.recordings.reader import Recording, RecordingError, open_recording
from depth_pcd_ros.recordings.topics import find_image_topic

from ..support.converting import DEMO, HEIGHT, WIDTH, convert, listed, smooth
from ..support.recordings import (
    NUMBER,
    ODD,
    START,
    STORE,
    T,
    camera,
    cameras,
    cdr,
    compressed,
    header,
    image,
    info,
    overwrite,
    read,
    record,
    split,
    write_mcap,
)


def converted(folder):
    """The times of the clouds in a recording, from the start [0.1 s]."""
    return [(time_ns - START) // 10**8 for time_ns, _ in read(folder)['/points']]


def everything(reader):
    """All messages of a reader, as they come."""
    return [(c.topic, c.msgtype, time_ns, bytes(raw)) for c, time_ns, raw in reader.messages()]


@pytest.mark.parametrize(
    ('plugin', 'mode'),
    [
        (StoragePlugin.MCAP, CompressionMode.NONE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)
def test_the_same_as_rosbags_reads(tmp_path, plugin, mode):
    """Topics, types, counts, times and bytes of sound recordings, however they are compressed."""
    writer = Writer(tmp_path / 'in', version=8, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for i, (topic, message) in enumerate(cameras(20)):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], START + (i * 7919) % 40, cdr(message))  # in disorder
    with AnyReader([tmp_path / 'in']) as reader, open_recording(tmp_path / 'in') as ours:
        assert sorted(everything(ours)) == sorted(everything(reader))
        assert [found[2] for found in everything(ours)] == sorted(START + i for i in range(40))
        counts = {c.topic: c.msgcount for c in reader.connections}
        assert {c.topic: c.msgcount for c in ours.connections} == counts
        assert not ours.damage


@pytest.mark.parametrize('compression', list(CompressionType))
@pytest.mark.parametrize('use_chunking', [True, False])
@pytest.mark.parametrize('chunk_size', [2000, 10**6])
def test_the_same_as_mcap_writes(tmp_path, compression, use_chunking, chunk_size):
    """Whatever the chunks of an mcap are like."""
    options = {'use_chunking': use_chunking, 'chunk_size': chunk_size, 'compression': compression}
    path = write_mcap(tmp_path / 'a.mcap', cameras(6), **options)
    with open_recording(path) as ours:
        found = [(topic, raw) for topic, _, _, raw in everything(ours)]
        assert found == [(topic, cdr(message)) for topic, message in cameras(6)]
        assert not ours.damage


def test_ros1(tmp_path):
    """A .bag has its own types."""
    store = get_typestore(Stores.ROS1_NOETIC)
    stamp = store.types['builtin_interfaces/msg/Time'](12, 34)
    head = store.types['std_msgs/msg/Header'](5, stamp, 'camera')
    with Writer1(tmp_path / 'in.bag') as writer:
        connection = writer.add_connection('/head', 'std_msgs/msg/Header', typestore=store)
        writer.write(connection, 77, store.serialize_ros1(head, 'std_msgs/msg/Header'))
    with open_recording(tmp_path / 'in.bag') as reader:
        assert not reader.is2
        ((time_ns, message),) = reader.decoded('/head')
        assert (time_ns, message.seq, message.stamp.nanosec, message.frame_id) == (
            77, 5, 34, 'camera',
        )  # fmt: skip


@pytest.mark.parametrize('copy', [[], ['--copy']])
def test_odd_topics_beside_a_camera(tmp_path, capsys, copy):
    """Protobuf, JSON, definitions that are none, and names that ROS 2 does not allow."""
    write_mcap(tmp_path / 'in.mcap', cameras(3), ODD)
    assert convert(tmp_path, *copy, source='in.mcap') == 0
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]
    told = capsys.readouterr().err
    assert '/imu is left out: it is foxglove.Imu in protobuf, expected cdr' in told
    assert '/state is left out: it is State in json, expected cdr' in told
    if copy:
        assert '/broken is not copied: its type is not known' in told
        copied = set(read(tmp_path / 'out' / 'in'))
        assert {'/livox/192_168_1_3/imu', '/a topic - of its own', '/cam/image_raw'} <= copied


def test_a_camera_in_protobuf(tmp_path, capsys):
    """There is no camera then, and it is said what there is; so it is where it is asked for."""
    odd = ('/cam/image', 'foxglove.CompressedImage', 'protobuf', 'protobuf', b'\xff', b'\x01')
    write_mcap(tmp_path / 'in.mcap', [], [odd])
    why = '/cam/image is foxglove.CompressedImage in protobuf, expected cdr'
    for options in ([], ['--image-topic', '/cam/image']):
        assert convert(tmp_path, *options, source='in.mcap') == 1
        told = capsys.readouterr().err
        assert why in told
        assert ('it lacks an Image or CompressedImage topic' in told) == (not options)


@pytest.mark.parametrize('text', [b'', b'\x00 this is ] no definition', b'Unknown field'])
def test_definitions_of_the_camera_that_are_none(tmp_path, text):
    """The types are known from elsewhere; the copy has the right definitions."""
    kinds = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo')
    write_mcap(tmp_path / 'in.mcap', cameras(3), definitions=dict.fromkeys(kinds, text))
    assert convert(tmp_path, source='in.mcap') == 0
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]


def test_a_camera_in_packets_of_video(tmp_path, capsys):
    """What image_transport's other transports and Foxglove record is named."""
    kinds = [
        ('/cam/image_raw/ffmpeg', 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'),
        ('/cam/video', 'foxglove_msgs/msg/CompressedVideo'),
        ('/lidar/packets', 'velodyne_msgs/msg/VelodyneScan'),
    ]
    others = [(topic, kind, 'cdr', 'ros2msg', b'int32 number', NUMBER) for topic, kind in kinds]
    write_mcap(tmp_path / 'in.mcap', [], others)
    assert convert(tmp_path, source='in.mcap') == 1
    told = capsys.readouterr().err
    assert (
        'it lacks an Image or CompressedImage topic (/cam/image_raw/ffmpeg is '
        'ffmpeg_image_transport_msgs/msg/FFMPEGPacket, which is not read; /cam/video is '
        'foxglove_msgs/msg/CompressedVideo, which is not read)'
    ) in told


def test_ros1_in_mcap(tmp_path, capsys):
    """It is named as what it is."""
    odd = ('/cam/image', 'sensor_msgs/Image', 'ros1', 'ros1msg', b'Header header', b'\x01')
    write_mcap(tmp_path / 'in.mcap', [], [odd], profile='ros1')
    assert convert(tmp_path, source='in.mcap') == 1
    assert '/cam/image is sensor_msgs/Image of ROS 1, expected cdr' in capsys.readouterr().err


def test_names_in_capitals(tmp_path):
    """As some file systems have them."""
    whole = write_mcap(tmp_path / 'in.mcap', cameras(2))
    loud = whole.rename(tmp_path / 'IN.MCAP')
    with open_recording(loud) as reader:
        assert len(everything(reader)) == 4
    record(tmp_path / 'db3', cameras(2), StoragePlugin.SQLITE3)
    with open_recording((tmp_path / 'db3' / 'db3.db3').rename(tmp_path / 'IN.DB3')) as reader:
        assert len(everything(reader)) == 4
    (tmp_path / 'IN.BAG').write_bytes(b'hello')
    with pytest.raises(RecordingError, match='File magic is invalid'):
        Recording(tmp_path / 'IN.BAG')


def test_damaged_chunk(tmp_path, capsys):
    """Its messages are lost; what was before it is kept, and what comes after, too."""
    path = write_mcap(tmp_path / 'in.mcap', cameras(12), chunk_size=20_000)
    overwrite(path, path.stat().st_size // 2, 2000)
    assert convert(tmp_path, source='in.mcap') == 1
    found = converted(tmp_path / 'out' / 'in')
    assert 3 <= len(found) < 12
    assert (found[0], found[-1]) == (0, 11)
    told = capsys.readouterr().err
    assert 'in.mcap is damaged at byte' in told
    assert 'the checksum of a chunk is wrong; what can be read is used' in told
    assert told.splitlines()[-1] == 'depth-pcd convert: 0 converted, 1 in part'


@pytest.mark.parametrize('part', [0.5, 0.9])
def test_mcap_that_was_not_closed(tmp_path, capsys, part):
    """As the recorder left it when the power went: all whole chunks are read."""
    path = write_mcap(tmp_path / 'in.mcap', cameras(12), chunk_size=20_000)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert convert(tmp_path, source='in.mcap') == 1
    found = converted(tmp_path / 'out' / 'in')
    assert 12 * part - 4 < len(found) < 12
    assert found == list(range(len(found)))
    assert 'in.mcap was not closed, or is cut off' in capsys.readouterr().err


def test_mcap_without_index(tmp_path):
    """A file that is whole, and has no summary, is nothing to be told."""
    options = {'index_types': IndexType.NONE, 'use_statistics': False, 'use_summary_offsets': False}
    options |= {'repeat_channels': False, 'repeat_schemas': False}
    write_mcap(tmp_path / 'in.mcap', cameras(5), **options)
    assert convert(tmp_path, source='in.mcap') == 0
    assert converted(tmp_path / 'out' / 'in') == list(range(5))


@pytest.mark.parametrize(
    'options',
    [
        {'use_statistics': False},
        {'repeat_channels': False},
        {'repeat_schemas': False},
        {'index_types': IndexType.MESSAGE | IndexType.CHUNK, 'repeat_schemas': False},
        {'index_types': IndexType.ATTACHMENT},
    ],
    ids=str,
)
def test_mcap_with_half_a_summary(tmp_path, options):
    """All parts of it are optional; each message comes once."""
    path = write_mcap(tmp_path / 'in.mcap', cameras(5), chunk_size=20_000, **options)
    with open_recording(path) as reader:
        assert [(c.topic, c.msgcount) for c in reader.connections] == [
            ('/cam/camera_info', 5),
            ('/cam/image_raw', 5),
        ]
        assert len(everything(reader)) == 10
        assert not reader.damage


@pytest.mark.parametrize('behind', [-8, -300, 1000])
def test_mcap_whose_end_is_not_its_own(tmp_path, behind):
    """Cut off within the summary, or with zeros behind it: each message comes once."""
    path = write_mcap(tmp_path / 'in.mcap', cameras(5), chunk_size=20_000)
    data = path.read_bytes()
    path.write_bytes(data[:behind] if behind < 0 else data + bytes(behind))
    with open_recording(path) as reader:
        assert len(everything(reader)) == 10


@pytest.mark.parametrize('part', [0.5, 0.95])
def test_compressed_file_that_is_cut_off(tmp_path, part):
    """What was before is kept, and that is said."""
    writer = Writer(tmp_path / 'in', version=8, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.FILE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/cam', image(0).__msgtype__, typestore=STORE)
        for i in range(400):
            writer.write(connection, START + i, cdr(image(i)))
    path = tmp_path / 'in' / 'in.mcap.zstd'
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with open_recording(tmp_path / 'in') as reader:
        found = [time_ns - START for _, _, time_ns, _ in everything(reader)]
        assert found == list(range(len(found)))
        assert 400 * part - 200 < len(found) < 400  # the last chunk is lost
        assert 'in.mcap.zstd is damaged or cut off: ' in reader.damage[-1]


def test_a_compressed_file_that_is_none(tmp_path):
    """It is refused."""
    path = tmp_path / 'in.db3.zstd'
    path.write_bytes(b'hello world')
    with pytest.raises(RecordingError, match=r'in\.db3\.zstd is damaged or cut off: '):
        Recording(path)


def test_compressed_message_that_is_cut_off(tmp_path):
    """It costs itself."""
    writer = Writer(tmp_path / 'in', version=8, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/cam', image(0).__msgtype__, typestore=STORE)
        for i in range(4):
            writer.write(connection, START + i, cdr(image(i)))
    with sqlite3.connect(tmp_path / 'in' / 'in.db3') as database:
        database.execute('UPDATE messages SET data = substr(data, 1, 400) WHERE id = 2')
    with open_recording(tmp_path / 'in') as reader:
        assert [time_ns - START for _, _, time_ns, _ in everything(reader)] == [0, 2, 3]
        assert '/cam: a message cannot be decompressed: ' in reader.damage[0]


def test_a_topic_of_two_types(tmp_path, capsys):
    """As where a driver was changed while it was recorded: the type of most messages is it."""
    text = ('/cam/image_raw', 'std_msgs/msg/String', 'cdr', 'ros2msg', b'string data', NUMBER)
    write_mcap(tmp_path / 'in.mcap', cameras(3), others=[text])
    assert convert(tmp_path, source='in.mcap') == 0
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]
    told = '/cam/image_raw has 1 std_msgs/msg/String and 3 sensor_msgs/msg/Image: the first are'
    assert told in capsys.readouterr().err


def test_damaged_db3(tmp_path, capsys):
    """Pages in the middle of the database are overwritten: what comes before is kept."""
    record(tmp_path / 'in', cameras(40), StoragePlugin.SQLITE3)
    path = tmp_path / 'in' / 'in.db3'
    overwrite(path, path.stat().st_size // 2 // 4096 * 4096, 3 * 4096)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute('SELECT * FROM messages').fetchall()
    assert convert(tmp_path) == 1
    found = converted(tmp_path / 'out' / 'in')
    assert 10 < len(found) < 30
    assert found == list(range(len(found)))
    assert 'in.db3 is damaged: database disk image is malformed' in capsys.readouterr().err


def test_db3_with_a_damaged_index(tmp_path):
    """Messages are in order by themselves."""
    record(tmp_path / 'in', cameras(3), StoragePlugin.SQLITE3)
    path = tmp_path / 'in' / 'in.db3'
    with sqlite3.connect(path) as database:
        (page,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'timestamp_idx'"
        ).fetchone()
    overwrite(path, (page - 1) * 4096, 4096)
    assert convert(tmp_path) == 1
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]


@pytest.mark.parametrize('topic', ['/cam/image_raw', '/cam/camera_info'])
def test_messages_that_are_none(tmp_path, capsys, topic):
    """One whose bytes are damaged costs itself."""
    record(tmp_path / 'in', cameras(4), StoragePlugin.SQLITE3)
    with sqlite3.connect(tmp_path / 'in' / 'in.db3') as database:
        database.execute(
            'UPDATE messages SET data = substr(data, 1, 40) WHERE timestamp = ? AND topic_id = '
            '(SELECT id FROM topics WHERE name = ?)',
            (START + 2 * 10**8, topic),
        )
    assert convert(tmp_path) == 1
    expected = [0, 1, 3] if topic == '/cam/image_raw' else [0, 1, 2, 3]
    assert converted(tmp_path / 'out' / 'in') == expected
    assert 'a message is no sensor_msgs/msg/' in capsys.readouterr().err


def edit_metadata(folder, edit):
    """Change metadata.yaml."""
    path = folder / 'metadata.yaml'
    content = yaml.safe_load(path.read_text())
    edit(content['rosbag2_bagfile_information'])
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize('plugin', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_edited_quality_of_service(tmp_path, plugin):
    """The usual trick to play a newer recording on Humble; the files are right."""
    record(tmp_path / 'in', cameras(3), plugin)

    def edit(metadata):
        for topic in metadata['topics_with_message_count']:
            topic['topic_metadata']['offered_qos_profiles'] = '- history: 1\n  depth: 5'
        metadata['version'] = 99

    edit_metadata(tmp_path / 'in', edit)
    assert convert(tmp_path) == 0
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]


def test_renamed_topic(tmp_path, capsys):
    """What is in the files is right, and the difference is said."""
    record(tmp_path / 'in', cameras(3))

    def edit(metadata):
        metadata['topics_with_message_count'][1]['topic_metadata']['name'] = '/renamed'

    edit_metadata(tmp_path / 'in', edit)
    assert convert(tmp_path) == 0
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]
    told = capsys.readouterr().err
    assert 'metadata.yaml has /renamed (sensor_msgs/msg/Image), the files have /cam/image' in told


@pytest.mark.parametrize('text', ['', 'a: [', 'rosbag2_bagfile_information: 5'])
def test_unreadable_metadata(tmp_path, capsys, text):
    """The files beside it are taken."""
    record(tmp_path / 'in', cameras(3))
    (tmp_path / 'in' / 'metadata.yaml').write_text(text)
    assert convert(tmp_path) == 0
    assert converted(tmp_path / 'out' / 'in') == [0, 1, 2]
    assert 'metadata.yaml cannot be read' in capsys.readouterr().err


@pytest.mark.parametrize('ending', ['.mcap', '.db3'])
def test_parts_without_metadata(tmp_path, ending):
    """A folder of split files is one recording, in order, with the CameraInfo of its first file."""
    split(tmp_path / 'in', 2, ending, numbers=(2, 10, 11))
    assert convert(tmp_path) == 0
    assert listed(tmp_path / 'out') == ['in']
    assert converted(tmp_path / 'out' / 'in') == list(range(6))


def test_parts_and_a_missing_one(tmp_path, capsys):
    """metadata.yaml lists more than is there."""
    split(tmp_path / 'in', 2)
    content = {'relative_file_paths': [f'rec_{i}.mcap' for i in range(4)]}
    content['topics_with_message_count'] = []
    path = tmp_path / 'in' / 'metadata.yaml'
    path.write_text(yaml.safe_dump({'rosbag2_bagfile_information': content}))
    assert convert(tmp_path) == 1
    assert converted(tmp_path / 'out' / 'in') == list(range(6))
    assert 'rec_3.mcap is missing; what can be read is used' in capsys.readouterr().err


def test_recordings_that_are_no_parts(tmp_path):
    """Of other names, or beside something else, they are recordings of their own."""
    (tmp_path / 'in').mkdir()
    for name in ('left_0', 'right_0'):
        record(tmp_path / name, cameras(1))
        shutil.move(tmp_path / name / f'{name}.mcap', tmp_path / 'in')
    assert convert(tmp_path) == 0
    assert listed(tmp_path / 'out') == ['left_0', 'right_0']


def deep(picture_format):
    """Depth of 16 bits in a PNG."""
    data = cv2.imencode('.png', smooth(1)[..., 0].astype(np.uint16) * 100)[1].ravel()
    return T['sensor_msgs/msg/CompressedImage'](header(0), picture_format, data)


@pytest.mark.parametrize(
    'picture_format', ['16UC1; png compressed', '16UC1; png compressed ', 'png']
)
def test_depth_as_png_is_no_camera(tmp_path, picture_format):
    """Beside a colour camera, and alone."""
    depth = ('/depth/image_rect_raw/compressed', deep(picture_format))
    record(tmp_path / 'in', [depth, ('/color/image_raw/compressed', compressed(0))])
    with open_recording(tmp_path / 'in') as reader:
        assert find_image_topic(reader) == '/color/image_raw/compressed'
    record(tmp_path / 'alone', [depth])
    with open_recording(tmp_path / 'alone') as reader, pytest.raises(RecordingError, match='lacks'):
        find_image_topic(reader)


def test_a_thermal_camera_is_one(tmp_path):
    """16 bits that are said to be brightness."""
    record(tmp_path / 'in', [('/image/compressed', deep('mono16; png compressed mono16'))])
    with open_recording(tmp_path / 'in') as reader:
        assert find_image_topic(reader) == '/image/compressed'


def test_rectified_topic(tmp_path, capsys):
    """It is warned of as the node does, unless --rectified."""
    record(tmp_path / 'in', [('/cam/camera_info', info(0)), ('/cam/image_rect', image(0))])
    said = 'images called /cam/image_rect are mostly rectified, but rectified is false'
    assert convert(tmp_path) == 0
    assert said in capsys.readouterr().err
    assert convert(tmp_path, '--rectified', '--force') == 0
    assert said not in capsys.readouterr().err


OWN = [('/points', 'cloud'), ('/depth/image', '32FC1'), ('/depth/camera_info', 'info'),
       ('/depth/color', 'rgb8')]  # fmt: skip


@pytest.mark.parametrize('namespace', ['', '/front'])
def test_own_results_are_no_camera(tmp_path, namespace):
    """What the node has published (ros2 bag record -a) beside its camera, and depth/color alone."""
    from depth_pcd_ros.messages.encode import cloud_message

    cloud = cloud_message(T, np.ones((5, 3), np.float32), header(0))
    made = {'cloud': cloud, 'info': info(0)}
    own = [(namespace + topic, made.get(kind) or image(0, kind)) for topic, kind in OWN]
    record(tmp_path / 'in', [*own, ('/odd/camera', image(0)), ('/elsewhere/info', info(0))])
    assert convert(tmp_path) == 0
    lidar = ('/lidar', cloud)
    record(tmp_path / 'scaled', [*own, *camera(0), lidar])
    assert convert(tmp_path, '--scale-source', 'points', source='scaled') == 0
    record(tmp_path / 'alone', own)
    with open_recording(tmp_path / 'alone') as reader, pytest.raises(RecordingError) as raised:
        find_image_topic(reader)
    assert str(raised.value) == (
        'it lacks an Image or CompressedImage topic '
        f'({namespace}/depth/color is a result of the node; {namespace}/depth/image is depth)'
    )


@pytest.mark.parametrize(
    ('name', 'content', 'reason'),
    [
        ('mistyped.png', None, 'mistyped.png: no such file'),
        ('mistyped', None, 'mistyped: no such file'),
        ('mistyped.mcap', None, 'mistyped.mcap: no such file'),
        ('photo.dng', b'II*\0', 'photo.dng: it is a raw photo: develop it first'),
        (
            'in.bag.active',
            b'#ROSBAG V2.0\n',
            'was not closed: rosbag reindex, and a name',
        ),
        ('in.bag', b'#ROSBAG V2.0\n' + bytes(100), 'rosbag reindex mends it'),
        ('in.bag', b'hello', 'File magic is invalid'),
        ('in.bag', b'#ROSBAG V1.2\n' + bytes(100), 'Bag version 102 is not supported'),
        ('in.mcap', b'', 'it is empty'),
        ('in.mcap', b'hello world', 'it is no mcap'),
        ('in.db3', b'', 'it is empty'),
        ('in.db3', b'SQLite format 3\0' + bytes(5000), 'its topics cannot be read'),
        ('in.db3', b'hello world', 'it is no sqlite3'),
        ('metadata.yaml', b'a: 1', 'give the folder that it is in'),
    ],
)
def test_advice_fits_the_fault(tmp_path, capsys, name, content, reason):
    """A file that is none is told as what it is, and what mends it only where that helps."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(['convert', str(tmp_path / name), '-o', str(tmp_path / 'out'), *DEMO]) == 1
    told = capsys.readouterr().err
    assert reason in told
    assert ('reindex' in told) == ('reindex' in reason)
    assert 'no intrinsics' not in told
    assert 'recover' not in told


def test_empty_database(tmp_path):
    """A database without tables."""
    sqlite3.connect(tmp_path / 'in.db3').execute('CREATE TABLE other (id INTEGER)').close()
    with pytest.raises(RecordingError, match='it is no recording of rosbag2'):
        Recording(tmp_path / 'in.db3')


def test_a_recording_counts_once(tmp_path, capsys):
    """Whatever the number of its pictures; a failed one once, too."""
    record(tmp_path / 'a', cameras(5))
    record(tmp_path / 'b', cameras(3)[1::2])
    args = ['convert', *(str(tmp_path / name) for name in 'ab'), '-o', str(tmp_path / 'out'), *DEMO]
    assert main(args) == 1
    assert capsys.readouterr().err.splitlines()[-1] == ('depth-pcd convert: 1 converted, 1 failed')
    assert main([*args, '--resume']) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        'depth-pcd convert: 0 converted, 1 there already, 1 failed'
    )


def test_size_is_that_of_the_pictures(tmp_path):
    """The helpers above write what they say."""
    record(tmp_path / 'in', camera(0))
    cloud = (convert(tmp_path), read(tmp_path / 'out' / 'in')['/points'][0][1])[1]
    assert (cloud.height, cloud.width) == (HEIGHT, WIDTH)
