# SPDX-License-Identifier: Apache-2.0
"""Depth, colours and calibrations to messages and back."""

import array
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('sensor_msgs.msg')

from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera, CameraError
from depth_pcd_ros.ros import image_msgs

HEADER = Header(frame_id='camera')
HEADER.stamp.sec = 12


def test_depth_in_metres():
    """32FC1: the numbers as they are."""
    depth = np.array([[1.5, np.nan], [0.25, 70.0], [3.0, 4.0]], np.float32)
    assert image_msgs.depth_image_msg(depth, '32FC1', HEADER) == Image(
        header=HEADER,
        height=3,
        width=2,
        encoding='32FC1',
        is_bigendian=sys.byteorder == 'big',
        step=8,
        data=array.array('B', depth.tobytes()),
    )


def test_depth_in_millimetres():
    """16UC1: rounded; NaN, nothing, negative, and what 16 bits do not hold are 0."""
    depth = [[1.2344, 1.2346, np.nan], [65.535, 65.536, -1.0], [0.0, np.inf, 0.0006]]
    expected = np.array([[1234, 1235, 0], [65535, 0, 0], [0, 0, 1]], np.uint16)
    assert image_msgs.depth_image_msg(np.array(depth, np.float32), '16UC1', HEADER) == Image(
        header=HEADER,
        height=3,
        width=3,
        encoding='16UC1',
        is_bigendian=sys.byteorder == 'big',
        step=6,
        data=array.array('B', expected.tobytes()),
    )


def test_depth_in_another_encoding():
    """Is refused by name."""
    with pytest.raises(ValueError, match='64FC1'):
        image_msgs.depth_image_msg(np.ones((2, 2), np.float32), '64FC1', HEADER)


def test_strided_views_make_messages():
    """What stride leaves is packed."""
    depth = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3]
    msg = image_msgs.depth_image_msg(depth, '32FC1', HEADER)
    assert (msg.height, msg.width, msg.step) == (2, 2, 8)
    np.testing.assert_array_equal(np.frombuffer(msg.data, np.float32), [0, 3, 12, 15])


def test_colour_message_round_trip():
    """A bgr8 message is read back as RGB."""
    bgr = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    msg = image_msgs.bgr_image_msg(bgr, HEADER)
    assert (msg.encoding, msg.step, msg.header) == ('bgr8', 36, HEADER)
    np.testing.assert_array_equal(image_msgs.rgb_from_msg(msg), bgr[..., ::-1])


def test_messages_are_made_fast():
    """Without a check of every byte, which takes a second for 8 MB."""
    depth = np.ones((1080, 1920), np.float32)
    start = time.perf_counter()
    image_msgs.depth_image_msg(depth, '32FC1', HEADER)
    assert time.perf_counter() - start < 0.2


def camera_info(**changes) -> CameraInfo:
    """Return a CameraInfo with something in every field."""
    fields = {
        'header': HEADER,
        'width': 640,
        'height': 480,
        'distortion_model': 'plumb_bob',
        'd': [-0.1, 0.02, 0.001, -0.0005, 0.0],
        'k': [500.0, 0.0, 320.5, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0],
        'r': [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        'p': [490.0, 0.0, 321.5, -4.0, 0.0, 491.0, 241.5, 0.0, 0.0, 0.0, 1.0, 0.0],
        'binning_x': 2,
        'binning_y': 4,
        'roi': RegionOfInterest(x_offset=8, y_offset=16, width=320, height=240, do_rectify=True),
    }
    return CameraInfo(**{**fields, **changes})


def test_calibration_from_camera_info():
    """Every field, in plain numbers that can be hashed."""
    calibration = image_msgs.calibration_from_msg(camera_info())
    assert calibration == Calibration(
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
    assert hash(calibration) == hash(image_msgs.calibration_from_msg(camera_info()))


def test_camera_info_round_trip():
    """The whole message, header included."""
    msg = camera_info()
    assert image_msgs.camera_info_msg(image_msgs.calibration_from_msg(msg), HEADER) == msg


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
    x, y, roi_width, roi_height = roi
    msg = camera_info(
        width=width,
        height=height,
        distortion_model=model,
        d=d,
        k=[focal, 0.0, a, 0.0, focal, b, 0.0, 0.0, 1.0],
        p=[focal, 0.0, c, 0.0, 0.0, e, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=binning[0],
        binning_y=binning[1],
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=roi_width, height=roi_height),
    )
    try:
        camera = Camera.from_calibration(image_msgs.calibration_from_msg(msg), rectified=rectified)
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
