# SPDX-License-Identifier: Apache-2.0
"""depth-pcd convert gives what the node publishes, byte for byte."""

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from depth_pcd_ros.cli import main

from .conftest import make_image, make_info, wait_until

WIDTH, HEIGHT, COUNT = 112, 84, 20
TOPICS = {'/points': PointCloud2, '/depth/image': Image, '/depth/camera_info': CameraInfo}


def pictures():
    """Smooth pictures and a CameraInfo with distortion, of 20 stamps."""
    for i in range(1, COUNT + 1):
        image = make_image(WIDTH, HEIGHT, stamp=(i, 5))
        noise = np.frombuffer(image.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX)
        image.data = type(image.data)('B', smooth.tobytes())
        info = make_info(WIDTH, HEIGHT, 100.0, 96.0, 54.0, 43.0)
        info.d = [-0.1, 0.02, 0.001, -0.002, 0.0]
        info.header = image.header
        yield image, info


def test_recording_as_the_node(tmp_path, run_node, peer):
    """Every message of /points, /depth/image and /depth/camera_info, in all its fields."""
    run_node({'model': 'demo', 'input_size': 84, 'frames': 'all'})
    received = {topic: peer.subscribe(topic, kind) for topic, kind in TOPICS.items()}
    store = get_typestore(Stores.ROS2_HUMBLE)
    names = {'/camera_info': 'sensor_msgs/msg/CameraInfo', '/image': 'sensor_msgs/msg/Image'}
    with Writer(tmp_path / 'in', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {t: writer.add_connection(t, n, typestore=store) for t, n in names.items()}
        for image, info in pictures():
            peer.show(image, info)
            time_ns = image.header.stamp.sec * 10**9
            for topic, msg in (('/camera_info', info), ('/image', image)):
                writer.write(connections[topic], time_ns, serialize_message(msg))
    assert wait_until(lambda: all(len(messages) == COUNT for messages in received.values()))

    args = ['convert', str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), '--model', 'demo']
    assert main([*args, '--input-size', '84']) == 0
    with AnyReader([tmp_path / 'out' / 'in']) as reader:
        converted = {topic: [] for topic in TOPICS}
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            converted[connection.topic].append((bytes(raw), message))
    for cloud, (_, message) in zip(received['/points'], converted['/points'], strict=True):
        assert cloud.data.tobytes() == message.data.tobytes()
    for topic, messages in received.items():
        for message, (raw, of_type) in zip(messages, converted[topic], strict=True):
            kind = of_type.__msgtype__  # once more: the bytes between the fields are arbitrary
            published = store.deserialize_cdr(serialize_message(message), kind)
            assert bytes(store.serialize_cdr(published, kind)) == raw
