# SPDX-License-Identifier: Apache-2.0
"""Small recordings of a camera, written and read by rosbags."""

import shutil

import cv2
import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from depth_pcd_ros.recordings.store import STORE
from depth_pcd_ros.recordings.store import TYPES as T

from .converting import HEIGHT, WIDTH
from .converting import smooth as picture

K = (50.0, 0.0, 27.0, 0.0, 48.0, 20.0, 0.0, 0.0, 1.0)
START = 1_700_000_000 * 10**9


def header(i, frame_id='camera'):
    """The header of picture number i."""
    stamp = T['builtin_interfaces/msg/Time'](*divmod(START + i * 10**8, 10**9))
    return T['std_msgs/msg/Header'](stamp, frame_id)


def image(i, encoding='rgb8', frame_id='camera'):
    """An Image message."""
    rgb = picture(i)
    data = np.zeros(4 * WIDTH * HEIGHT, np.uint8) if encoding == '32FC1' else rgb.ravel()
    step = len(data) // HEIGHT
    return T['sensor_msgs/msg/Image'](header(i, frame_id), HEIGHT, WIDTH, encoding, 0, step, data)


def compressed(i, frame_id='camera'):
    """A CompressedImage message, lossless."""
    data = cv2.imencode('.png', picture(i)[..., ::-1])[1].ravel()
    kind = 'rgb8; png compressed bgr8'
    return T['sensor_msgs/msg/CompressedImage'](header(i, frame_id), kind, data)


def info(i, fx=K[0], frame_id='camera', width=WIDTH):
    """A CameraInfo message."""
    k = np.array([fx, *K[1:]])
    p = np.column_stack([k.reshape(3, 3), np.zeros(3)]).ravel()
    return T['sensor_msgs/msg/CameraInfo'](
        header=header(i, frame_id),
        height=HEIGHT,
        width=width,
        distortion_model='plumb_bob',
        d=np.array([0.02, -0.01, 0.001, -0.002, 0.0]),
        k=k,
        r=np.eye(3).ravel(),
        p=p,
        binning_x=0,
        binning_y=0,
        roi=T['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    )


def record(folder, messages, plugin=StoragePlugin.MCAP, silent=()):
    """Write (topic, message) or (topic, message, record time [ns]) as a recording.

    It has the topics `silent`, of Images, without a message.
    """
    with Writer(folder, version=8, storage_plugin=plugin) as writer:
        connections = {}
        for topic in silent:
            writer.add_connection(topic, T['sensor_msgs/msg/Image'].__msgtype__, typestore=STORE)
        for topic, message, *time_ns in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            stamp = message.header.stamp
            time_ns = time_ns[0] if time_ns else stamp.sec * 10**9 + stamp.nanosec
            writer.write(connections[topic], time_ns, STORE.serialize_cdr(message, kind))
    return folder


def read(folder):
    """The messages of a recording by topic: (record time, message)."""
    found = {}
    with AnyReader([folder]) as reader:
        for connection, time_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((time_ns, message))
    return found


def cdr(message):
    """A message as bytes: the classes of two stores are never equal."""
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def cameras(count):
    """CameraInfo and Image of a camera, for each picture."""
    return [message for i in range(count) for message in camera(i)]


def camera(i):
    """CameraInfo and Image of a camera."""
    return [('/cam/camera_info', info(i)), ('/cam/image_raw', image(i))]


NUMBER = b'\x00\x01\x00\x00' + bytes(4)  # an int32 in CDR
ODD = [
    ('/imu', 'foxglove.Imu', 'protobuf', 'protobuf', b'\x0a\xff\xfe\x80odd', b'\x01\x02'),
    ('/state', 'State', 'json', 'jsonschema', b'{"type": "object"}', b'{}'),
    ('/nothing', '', 'cdr', '', b'', NUMBER),
    ('/empty', 'odd_msgs/msg/Empty', 'cdr', 'ros2msg', b'', NUMBER),
    ('/broken', 'odd_msgs/msg/Broken', 'cdr', 'ros2msg', b'\x00 this is ] no definition', NUMBER),
    ('/livox/192_168_1_3/imu', 'odd_msgs/msg/Imu', 'cdr', 'ros2msg', b'int32 number', NUMBER),
    ('/a topic - of its own', 'odd_msgs/msg/Imu', 'cdr', 'ros2msg', b'int32 number', NUMBER),
]


def definition(kind):
    """The text of a type's definition."""
    return STORE.generate_msgdef(kind, ros_version=2)[0].encode()


def write_mcap(path, messages, others=(), definitions=None, profile='ros2', **options):
    """An mcap of (topic, message) of a camera, and others.

    Args:
        path: the file.
        messages: as `record` takes them.
        others: (topic, type, encoding of messages, of the schema, schema, content).
        definitions: those of types, where they are not the right ones.
        profile: as the file has it.
        options: of the writer of the package mcap.
    """
    with path.open('wb') as file:
        writer = McapWriter(file, **{'compression': CompressionType.NONE, **options})
        writer.start(profile=profile)
        schemas, channels = {}, {}
        for topic, kind, encoding, schema_encoding, schema, data in others:
            schemas[kind] = writer.register_schema(kind, schema_encoding, schema)
            channel = writer.register_channel(topic, encoding, schemas[kind])
            writer.add_message(channel, START, data, START)
        for topic, message in messages:
            kind, stamp = message.__msgtype__, message.header.stamp
            if topic not in channels:
                text = (definitions or {}).get(kind, definition(kind))
                schema = writer.register_schema(kind, 'ros2msg', text)
                channels[topic] = writer.register_channel(topic, 'cdr', schema)
            time_ns = stamp.sec * 10**9 + stamp.nanosec
            writer.add_message(channels[topic], time_ns, cdr(message), time_ns)
        writer.finish()
    return path


def overwrite(path, start, size):
    """Damage a file."""
    with path.open('r+b') as file:
        file.seek(start)
        file.write(b'\xa5' * size)


def split(folder, count, ending='.mcap', numbers=range(3)):
    """Parts of one recording, without metadata.yaml; the first has the CameraInfo."""
    folder.mkdir()
    for part, number in enumerate(numbers):
        pictures = [('/cam/image_raw', image(i)) for i in range(part * count, part * count + count)]
        latched = [('/cam/camera_info', info(0))] if not part else []
        name = f'rec_{number}'
        plugin = StoragePlugin.MCAP if ending == '.mcap' else StoragePlugin.SQLITE3
        record(folder.parent / name, [*latched, *pictures], plugin)
        shutil.move(folder.parent / name / (name + ending), folder / (name + ending))
        shutil.rmtree(folder.parent / name)
    return folder
