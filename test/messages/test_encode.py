# SPDX-License-Identifier: Apache-2.0
"""Depth, colours, calibrations and clouds to messages of rosbags, and back; no ROS is needed."""

import dataclasses
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera, CameraError
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import calibration_from_msg, rgb_from_msg
from depth_pcd_ros.messages.encode import (
    camera_info_message,
    cloud_message,
    depth_image_message,
    image_message,
)
from depth_pcd_ros.recordings.store import TYPES

from ..support.recordings import cdr

HEADER = TYPES['std_msgs/msg/Header'](TYPES['builtin_interfaces/msg/Time'](12, 0), 'camera')


def image(height, width, encoding, step, data):
    """An Image with these fields."""
    data = np.frombuffer(data, np.uint8)
    return TYPES['sensor_msgs/msg/Image'](HEADER, height, width, encoding, 0, step, data)


def test_depth_in_metres():
    """32FC1: the numbers as they are."""
    depth = np.array([[1.5, np.nan], [0.25, 70.0], [3.0, 4.0]], np.float32)
    msg = depth_image_message(TYPES, depth, '32FC1', HEADER)
    assert cdr(msg) == cdr(image(3, 2, '32FC1', 8, depth.tobytes()))


def test_depth_in_millimetres():
    """16UC1: rounded; NaN, nothing, negative, and what 16 bits do not hold are 0."""
    depth = [[1.2344, 1.2346, np.nan], [65.535, 65.536, -1.0], [0.0, np.inf, 0.0006]]
    expected = np.array([[1234, 1235, 0], [65535, 0, 0], [0, 0, 1]], np.uint16)
    msg = depth_image_message(TYPES, np.array(depth, np.float32), '16UC1', HEADER)
    assert cdr(msg) == cdr(image(3, 3, '16UC1', 6, expected.tobytes()))


def test_depth_in_another_encoding():
    """Is refused by name."""
    with pytest.raises(ValueError, match='64FC1'):
        depth_image_message(TYPES, np.ones((2, 2), np.float32), '64FC1', HEADER)


def test_strided_views_make_messages():
    """What stride leaves is packed."""
    depth = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3]
    msg = depth_image_message(TYPES, depth, '32FC1', HEADER)
    assert (msg.height, msg.width, msg.step) == (2, 2, 8)
    np.testing.assert_array_equal(np.frombuffer(msg.data, np.float32), [0, 3, 12, 15])


def test_colour_message_round_trip():
    """A bgr8 message is read back as RGB."""
    bgr = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    msg = image_message(TYPES, bgr, 'bgr8', HEADER)
    assert (msg.encoding, msg.step, msg.header) == ('bgr8', 36, HEADER)
    np.testing.assert_array_equal(rgb_from_msg(msg), bgr[..., ::-1])


@pytest.mark.parametrize(
    ('shape', 'names', 'height', 'width', 'dense'),
    [((2, 3, 4), ['x', 'y', 'z', 'rgb'], 2, 3, False), ((2, 3), ['x', 'y', 'z'], 1, 2, True)],
)
def test_clouds(shape, names, height, width, dense):
    """Organized with colour, and a list of valid points without."""
    points = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    field, step = TYPES['sensor_msgs/msg/PointField'], 4 * len(names)
    expected = TYPES['sensor_msgs/msg/PointCloud2'](
        header=HEADER,
        height=height,
        width=width,
        fields=[field(name, 4 * i, field.FLOAT32, 1) for i, name in enumerate(names)],
        is_bigendian=False,
        point_step=step,
        row_step=step * width,
        data=np.frombuffer(struct.pack(f'<{points.size}f', *range(points.size)), np.uint8),
        is_dense=dense,
    )
    assert cdr(cloud_message(TYPES, points, HEADER)) == cdr(expected)


def test_memory_of_another_size_is_refused():
    """The points are not in it."""
    memory = Buffer()
    memory.array((3,), np.uint8)
    with pytest.raises(ValueError, match='memory has 3 bytes, expected 32'):
        cloud_message(TYPES, np.zeros((2, 4), np.float32), HEADER, memory)


CALIBRATION = Calibration(
    width=640,
    height=480,
    distortion_model='plumb_bob',
    d=(-0.1, 0.02, 0.001, -0.0005, 0.0),
    k=(500.0, 0.0, 320.5, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0),
    r=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    p=(490.0, 0.0, 321.5, -4.0, 0.0, 491.0, 241.5, 0.0, 0.0, 0.0, 1.0, 0.0),
    binning_x=2,
    binning_y=4,
    roi=(8, 16, 320, 240),
    do_rectify=True,
)


def test_camera_info():
    """Every field, there and back, in plain numbers that can be hashed."""
    msg = camera_info_message(TYPES, CALIBRATION, HEADER)
    roi = TYPES['sensor_msgs/msg/RegionOfInterest'](
        x_offset=8, y_offset=16, height=240, width=320, do_rectify=True
    )
    expected = TYPES['sensor_msgs/msg/CameraInfo'](
        header=HEADER,
        height=480,
        width=640,
        distortion_model='plumb_bob',
        d=np.array([-0.1, 0.02, 0.001, -0.0005, 0.0]),
        k=np.array([500.0, 0.0, 320.5, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([490.0, 0.0, 321.5, -4.0, 0.0, 491.0, 241.5, 0.0, 0.0, 0.0, 1.0, 0.0]),
        binning_x=2,
        binning_y=4,
        roi=roi,
    )
    assert cdr(msg) == cdr(expected)
    assert calibration_from_msg(msg) == CALIBRATION
    assert hash(calibration_from_msg(msg)) == hash(CALIBRATION)


numbers = st.one_of(st.floats(-2.0, 2.0), st.floats(), st.sampled_from([0.0, 1.0, 500.0]))
models = st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '', 'fov'])
sizes = st.one_of(st.integers(0, 20), st.sampled_from([2**16, 2**31, 2**32 - 1]))


@settings(max_examples=400, deadline=None)
@given(
    width=sizes,
    height=sizes,
    model=models,
    d=st.one_of(
        st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=14), st.lists(numbers, max_size=15)
    ),
    focal=st.one_of(st.floats(1.0, 1000.0), numbers),
    others=st.lists(numbers, min_size=4, max_size=4),
    binning=st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, 2**32 - 1])),
    roi=st.one_of(st.just((0, 0, 0, 0)), st.tuples(sizes, sizes, sizes, sizes)),
    rectified=st.booleans(),
)
def test_random_camera_infos(width, height, model, d, focal, others, binning, roi, rectified):
    """A camera that answers for its pixels, or a CameraError."""
    a, b, c, e = others
    changed = dataclasses.replace(
        CALIBRATION,
        width=width,
        height=height,
        distortion_model=model,
        d=tuple(d),
        k=(focal, 0.0, a, 0.0, focal, b, 0.0, 0.0, 1.0),
        p=(focal, 0.0, c, 0.0, 0.0, e, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=roi,
    )
    msg = camera_info_message(TYPES, changed, HEADER)
    try:
        camera = Camera.from_calibration(calibration_from_msg(msg), rectified=rectified)
    except CameraError:
        return
    assert 0 < camera.width <= width
    assert 0 < camera.height <= height
    if camera.width * camera.height < 1000:
        assert camera.rays.shape == (camera.height, camera.width, 2)
    corners = np.array([(u, v) for u in (0, camera.width - 1) for v in (0, camera.height - 1)])
    rays = camera.unproject(corners)
    assert rays.shape == (4, 2)
    back = camera.project(np.column_stack([rays, np.ones(4)]))
    if camera.distorts:  # an ideal camera of absurd numbers is limited by float64 alone
        seen = np.isfinite(back[:, 0])
        scale = (
            1.0
            + np.abs(corners[seen])
            + sum(map(abs, (camera.fx, camera.fy, camera.cx, camera.cy)))
        )
        assert (np.abs(back[seen] - corners[seen]) <= 1e-6 * scale).all()
