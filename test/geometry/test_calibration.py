# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a CameraInfo become: ROI, binning, stride, rectified; and the bad ones."""

import dataclasses
import math

import pytest

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera, CameraError
from depth_pcd_ros.geometry.rectification import Rectification
from test.support.cameras import CAMERAS, HEIGHT, MILD, STEREO_P, STEREO_R, WIDTH, calibration_of


def test_binning_and_roi_by_hand():
    """image_geometry's rule: c' = (c - offset) / binning, f' = f / binning."""
    full = Calibration(
        width=1280,
        height=960,
        k=(1000.0, 0.0, 650.0, 0.0, 1010.0, 470.0, 0.0, 0.0, 1.0),
        p=(900.0, 0.0, 640.0, -90.0, 0.0, 910.0, 480.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        distortion_model='plumb_bob',
        d=MILD,
    )
    roi = dataclasses.replace(full, roi=(200, 100, 800, 600))
    binned = dataclasses.replace(full, binning_x=2, binning_y=2)
    both = dataclasses.replace(roi, binning_x=2, binning_y=4)
    odd = dataclasses.replace(full, width=1281, height=963, binning_x=2, binning_y=4)
    assert Camera.from_calibration(full) == Camera(
        1280, 960, 1000.0, 1010.0, 650.0, 470.0, 'plumb_bob', MILD
    )
    assert Camera.from_calibration(roi) == Camera(
        800, 600, 1000.0, 1010.0, 450.0, 370.0, 'plumb_bob', MILD
    )
    assert Camera.from_calibration(binned) == Camera(
        640, 480, 500.0, 505.0, 325.0, 235.0, 'plumb_bob', MILD
    )
    assert Camera.from_calibration(odd) == Camera(
        640, 240, 500.0, 252.5, 325.0, 117.5, 'plumb_bob', MILD
    )
    assert Camera.from_calibration(both) == Camera(
        400, 150, 500.0, 252.5, 225.0, 92.5, 'plumb_bob', MILD
    )
    assert Camera.from_calibration(both, rectified=True) == Camera(
        400, 150, 450.0, 227.5, 220.0, 95.0
    )
    # P's fourth column, Tx = -fx baseline, is in pixels, too.
    assert both.of_image().p == (
        450.0,
        0,
        220.0,
        -45.0,
        0,
        227.5,
        95.0,
        0,
        0,
        0,
        1.0,
        0,
    )
    assert both.of_image().of_image() == both.of_image()


def test_stride_of_a_window():
    """ROI and binning are applied first and then gone."""
    calibration = calibration_of(
        CAMERAS['ideal'], roi=(100, 40, 300, 202), binning_x=2, binning_y=2
    )
    strided = calibration.strided(4)
    assert (strided.width, strided.height, strided.binning_x, strided.roi) == (
        38,
        26,
        0,
        (0, 0, 0, 0),
    )
    assert strided.k[2] == pytest.approx((311.2 - 100.0) / 8.0)
    with pytest.raises(ValueError, match='stride is 0'):
        calibration.strided(0)
    with pytest.raises(ValueError, match='stride is 0'):
        CAMERAS['ideal'].strided(0)


def test_without_distortion():
    """K alone; of a calibration, even where the model is unknown."""
    camera = CAMERAS['strong'].without_distortion()
    assert camera == Camera(WIDTH, HEIGHT, 400.0, 402.0, 311.2, 246.8)
    unknown = calibration_of(camera, distortion_model='fov', d=(0.9,))
    assert Camera.from_calibration(unknown.without_distortion()) == camera


def test_rectified_camera_info():
    """D zero, R identity, K and P of the new camera, so depth_image_proc's formula holds."""
    calibration = calibration_of(CAMERAS['strong'], r=tuple(STEREO_R.ravel()), p=STEREO_P)
    rectified = calibration.rectified()
    assert rectified == Calibration(
        width=WIDTH,
        height=HEIGHT,
        k=(380.0, 0.0, 330.0, 0.0, 380.0, 235.0, 0.0, 0.0, 1.0),
        distortion_model='plumb_bob',
        d=(0.0,) * 5,
        p=STEREO_P,
    )
    rectification = Rectification.from_calibration(calibration)
    assert Camera.from_calibration(rectified, rectified=True) == rectification.camera
    assert Camera.from_calibration(rectified).rays == pytest.approx(rectification.camera.rays)


def changed(**changes) -> Calibration:
    """Return a good calibration with something else in it."""
    return calibration_of(CAMERAS['plumb_bob 5'], **changes)


@pytest.mark.parametrize(
    ('calibration', 'cause', 'message'),
    [
        (changed(k=(0.0,) * 9), 'camera_not_calibrated', 'K is all zero: the camera is not'),
        (changed(k=(400.0, 0, 320, 0, 0.0, 240, 0, 0, 1)), 'bad_intrinsics', 'fy = 0'),
        (changed(k=(-4.0, 0, 320, 0, 400.0, 240, 0, 0, 1)), 'bad_intrinsics', 'fx = -4'),
        (changed(k=(math.nan, 0, 320, 0, 4.0, 240, 0, 0, 1)), 'bad_calibration', 'K is not fin'),
        (changed(d=(0.1, math.inf, 0, 0, 0)), 'bad_calibration', 'D is not finite'),
        (changed(p=(math.nan,) * 12), 'bad_calibration', 'P is not finite'),
        (changed(d=(0.1,) * 3), 'bad_distortion', 'D has 3 coefficients, plumb_bob takes 4 or 5'),
        (changed(d=(0.1,) * 8), 'bad_distortion', 'D has 8 coefficients, plumb_bob takes 4 or 5'),
        (changed(d=(0.1, 0.0, 0.0)), 'bad_distortion', 'D has 3 coefficients'),
        (changed(d=(*MILD, 0.0, 0.1)), 'bad_distortion', 'D has 7 .*distortion: ignore'),
        (changed(distortion_model='equidistant', d=(0.0,)), 'bad_distortion', 'takes 4'),
        (changed(distortion_model='rational_polynomial', d=(0.1,) * 9), 'bad_distortion', '8 or'),
        (changed(distortion_model='equidistant'), 'bad_distortion', 'equidistant takes 4'),
        (changed(d=(1e300,) * 5), 'bad_distortion', 'too large'),
        (changed(distortion_model='fisheye'), 'unknown_distortion_model', "'fisheye' is unknown"),
        (changed(distortion_model='fov', d=()), 'unknown_distortion_model', 'plumb_bob, rational'),
        (changed(distortion_model=''), 'unknown_distortion_model', 'but D is'),
        (changed(width=0), 'bad_camera_size', '0x480'),
        (changed(height=0), 'bad_camera_size', '640x0'),
        (changed(roi=(600, 0, 41, 480)), 'bad_roi', r'41x480 at \(600, 0\) .* 640x480'),
        (changed(roi=(0, 400, 640, 81)), 'bad_roi', 'outside the sensor'),
        (changed(roi=(8, 8, 0, 0)), 'bad_roi', 'empty'),
        (changed(binning_x=641), 'bad_binning', 'binning 641x1 leaves nothing of .* 640x480'),
        (changed(roi=(0, 0, 101, 1), binning_x=2, binning_y=2), 'bad_binning', '101x1$'),
    ],
)
def test_bad_numbers_are_refused(calibration, cause, message):
    """Each with its own cause, and the numbers in the message."""
    with pytest.raises(CameraError, match=message) as info:
        Camera.from_calibration(calibration)
    assert info.value.cause == cause


def test_rectified_needs_p():
    """P all zero is refused, and so is a rectification by something that is not a rotation."""
    with pytest.raises(CameraError, match='P is all zero') as info:
        Camera.from_calibration(changed(), rectified=True)
    assert info.value.cause == 'camera_not_calibrated'
    for r in ((2.0, 0, 0, 0, 1, 0, 0, 0, 1), (-1.0, 0, 0, 0, 1, 0, 0, 0, 1)):
        with pytest.raises(CameraError, match='R is not a rotation') as info:
            Rectification.from_calibration(changed(r=r))
        assert info.value.cause == 'bad_rotation'


def test_rectified_does_not_look_at_the_lens():
    """With P, an unknown distortion_model does not matter."""
    calibration = changed(distortion_model='fov', d=(0.9,), p=STEREO_P)
    assert Camera.from_calibration(calibration, rectified=True).fx == 380.0


def test_image_of_another_size():
    """Is refused, with both sizes in the message."""
    camera = Camera.from_calibration(changed(roi=(0, 0, 320, 240), binning_x=2, binning_y=2))
    camera.check_image_size(160, 120)
    for size in ((640, 480), (120, 160)):
        expected = f'image {size[0]}x{size[1]} but CameraInfo 160x120'
        with pytest.raises(CameraError, match=expected) as info:
            camera.check_image_size(*size)
        assert info.value.cause == 'size_mismatch'
