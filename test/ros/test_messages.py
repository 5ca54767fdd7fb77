# SPDX-License-Identifier: Apache-2.0
"""Clouds, images and CameraInfos as whole messages of rclpy, written out by hand."""

import array
import struct
import sys
import time

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Header

from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import calibration_from_msg, rgb_from_msg
from depth_pcd_ros.messages.encode import (
    camera_info_message,
    cloud_message,
    depth_image_message,
    image_message,
)
from depth_pcd_ros.ros.message_types import TYPES

from .conftest import wait_until

HEADER = Header(frame_id='camera_optical_frame')
HEADER.stamp.sec, HEADER.stamp.nanosec = 12, 34


def fields(names):
    """FLOAT32 fields one after the other."""
    return [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]


def test_organized_cloud():
    """Rows of the picture are rows of the cloud; NaN is allowed, so it is not dense."""
    points = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    points[1, 2, :3] = np.nan
    expected = PointCloud2(
        header=HEADER,
        height=2,
        width=3,
        fields=fields(['x', 'y', 'z', 'rgb']),
        is_bigendian=False,
        point_step=16,
        row_step=48,
        data=array.array('B', struct.pack('<24f', *points.ravel().tolist())),
        is_dense=False,
    )
    assert cloud_message(TYPES, points, HEADER) == expected


def test_unorganized_cloud_without_colour():
    """A list of valid points is one dense row."""
    points = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)
    expected = PointCloud2(
        header=HEADER,
        height=1,
        width=2,
        fields=fields(['x', 'y', 'z']),
        is_bigendian=False,
        point_step=12,
        row_step=24,
        data=array.array('B', struct.pack('<6f', 1, 2, 3, 4, 5, 6)),
        is_dense=True,
    )
    assert cloud_message(TYPES, points, HEADER) == expected


def test_cloud_without_a_point():
    """No valid point is a cloud of width 0."""
    msg = cloud_message(TYPES, np.empty((0, 4), np.float32), HEADER)
    assert (msg.height, msg.width, msg.row_step, len(msg.data)) == (1, 0, 0, 0)


def test_points_in_memory_are_not_copied():
    """Whatever the size of the last ones was, the message has the new points and nothing else."""
    memory = Buffer()
    for count in (5, 2, 0, 7):
        points = memory.array((count, 4), np.float32)
        points[:] = np.random.default_rng(count).random((count, 4), np.float32)
        msg = cloud_message(TYPES, points, HEADER, memory)
        assert msg.data is memory.data
        assert msg.data.tobytes() == points.tobytes()
        del points


@pytest.mark.usefixtures('_isolated_ros')
def test_memory_may_be_written_over_once_publish_has_returned():
    """What arrives is what was there when it was published, however soon the next one follows."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('writes_over', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    arrived = []
    qos = QoSProfile(depth=10)
    node.create_subscription(PointCloud2, 'written_over', arrived.append, qos)
    publisher = node.create_publisher(PointCloud2, 'written_over', qos)
    memory, count = Buffer(), 3
    try:
        assert wait_until(lambda: publisher.get_subscription_count() == 1)
        for i in range(count):
            points = memory.array((50, 100, 4), np.float32)
            points[:] = i
            publisher.publish(cloud_message(TYPES, points, HEADER, memory))
            points[:] = np.nan
        deadline = time.monotonic() + 20.0
        while len(arrived) < count and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        values = [set(np.frombuffer(msg.data, np.float32).tolist()) for msg in arrived]
        assert values == [{float(i)} for i in range(count)]
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def test_memory_of_another_size_is_refused():
    """The points are not in it."""
    memory = Buffer()
    memory.array((3,), np.uint8)
    with pytest.raises(ValueError, match='memory has 3 bytes, expected 32'):
        cloud_message(TYPES, np.zeros((2, 4), np.float32), HEADER, memory)


@pytest.mark.parametrize(
    'points', [np.zeros((2, 2), np.float32), np.zeros((2, 4)), np.zeros(4, np.float32)]
)
def test_other_shapes_are_refused(points):
    """The shape and type found are in the message of the error."""
    with pytest.raises(ValueError, match=r'points are .*, expected \(H, W, 3 or 4\)'):
        cloud_message(TYPES, points, HEADER)


def test_sensor_msgs_py_reads_it():
    """Where sensor_msgs_py is installed, it finds the same points."""
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    points = np.random.default_rng(0).random((3, 4, 4), np.float32)
    read = point_cloud2.read_points(
        cloud_message(TYPES, points, HEADER), field_names=('x', 'y', 'z')
    )
    expected = points[..., :3].reshape(-1, 3)
    np.testing.assert_array_equal(np.column_stack([read[n] for n in 'xyz']), expected)


@pytest.mark.parametrize(
    ('encoding', 'dtype', 'expected'),
    [('32FC1', np.float32, [1.5, np.nan, 0.25, 70.0]), ('16UC1', np.uint16, [1500, 0, 250, 0])],
)
def test_depth_images(encoding, dtype, expected):
    """The whole message; 70 m are more than 16 bits hold."""
    depth = np.array([[1.5, np.nan], [0.25, 70.0]], np.float32)
    pixels = np.array(expected, dtype)
    assert depth_image_message(TYPES, depth, encoding, HEADER) == Image(
        header=HEADER,
        height=2,
        width=2,
        encoding=encoding,
        is_bigendian=sys.byteorder == 'big',
        step=2 * pixels.itemsize,
        data=array.array('B', pixels.tobytes()),
    )


def test_colour_message_round_trip():
    """A bgr8 message is read back as RGB."""
    bgr = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    msg = image_message(TYPES, bgr, 'bgr8', HEADER)
    assert (msg.encoding, msg.step, msg.header) == ('bgr8', 36, HEADER)
    np.testing.assert_array_equal(rgb_from_msg(msg), bgr[..., ::-1])


def test_messages_are_made_fast():
    """Without a check of every byte, which takes a second for 8 MB."""
    depth = np.ones((1080, 1920), np.float32)
    start = time.perf_counter()
    depth_image_message(TYPES, depth, '32FC1', HEADER)
    assert time.perf_counter() - start < 0.2


def test_camera_info_round_trip():
    """The whole message, header included."""
    msg = CameraInfo(
        header=HEADER,
        width=640,
        height=480,
        distortion_model='plumb_bob',
        d=[-0.1, 0.02, 0.001, -0.0005, 0.0],
        k=[500.0, 0.0, 320.5, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[490.0, 0.0, 321.5, -4.0, 0.0, 491.0, 241.5, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=2,
        binning_y=4,
        roi=RegionOfInterest(x_offset=8, y_offset=16, width=320, height=240, do_rectify=True),
    )
    assert camera_info_message(TYPES, calibration_from_msg(msg), HEADER) == msg
