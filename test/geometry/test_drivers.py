# SPDX-License-Identifier: Apache-2.0
"""CameraInfos as drivers send them, and what must come of each.

The form is each driver's own (names, counts, zeros, frames), the numbers are made up.
"""

import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.geometry.camera import Camera, lens_advice
from depth_pcd_ros.messages.decode import calibration_from_msg
from depth_pcd_ros.sync.camera_infos import CameraInfos

IMAGE_FRAME = 'camera_optical_frame'
EYE = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
IDEAL, DISTORTED, FISHEYE = 'ideal', 'distorted', 'fisheye'
BROWN = [-0.05, 0.06, -0.001, 0.0005, -0.02]
RATIONAL = [0.5, -2.6, 0.0008, -0.0004, 1.5, 0.4, -2.4, 1.4]
KANNALA = [-0.004, 0.037, -0.035, 0.006]


def info(
    model,
    d,
    size=(640, 480),
    focal=(500.0, 501.0),
    centre=(320.5, 240.5),
    k=None,
    p=None,
    r=EYE,
    frame=IMAGE_FRAME,
    binning=0,
    roi=(0, 0, 0, 0),
):
    """A CameraInfo; K and P are of these focal lengths unless they are given."""
    (fx, fy), (cx, cy) = focal, centre
    x, y, width, height = roi
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame),
        width=size[0],
        height=size[1],
        distortion_model=model,
        d=d,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0] if k is None else k,
        r=r,
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0] if p is None else p,
        binning_x=binning,
        binning_y=binning,
        roi=SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False),
    )


Z9, Z12 = [0.0] * 9, [0.0] * 12
# driver: (CameraInfo, what comes of it: a kind of lens, or the reason as a pattern)
DRIVERS = {
    'realsense2_camera, colour of a D455': (info('plumb_bob', BROWN), DISTORTED),
    'realsense2_camera, infrared of a D435': (info('plumb_bob', [0.0] * 5), IDEAL),
    'realsense2_camera, T265': (
        info('equidistant', [*KANNALA, 0.0], (848, 800), (286.0, 287.0), (419.5, 387.0)),
        FISHEYE,
    ),
    'realsense2_camera, T265, newer': (
        info('equidistant', KANNALA, (848, 800), (286.0, 287.0), (419.5, 387.0)),
        FISHEYE,
    ),
    'realsense2_camera, T265 before its calibration is known': (
        info('None', [0.0] * 5, (848, 800), k=[*Z9[:8], 1.0], p=[*Z12[:10], 1.0, 0.0]),
        'camera_not_calibrated: K is all zero',
    ),
    'librealsense, recorded D455': (
        info('Brown Conrady', [0.0] * 5, r=Z9, p=Z12, frame=''),
        IDEAL,
    ),
    'librealsense, recorded D435': (
        info('Inverse Brown Conrady', [0.0] * 5, r=Z9, p=Z12, frame=''),
        IDEAL,
    ),
    'librealsense, colour of a D415': (
        info('Inverse Brown Conrady', BROWN),
        "unknown_distortion_model: .*'Inverse Brown Conrady'.*-0.05.*distortion: ignore",
    ),
    'librealsense, recorded T265': (
        info('Kannala Brandt4', [*KANNALA, 0.0], (848, 800), (286.0, 287.0), (419.5, 387.0)),
        FISHEYE,
    ),
    'OrbbecSDK_ROS2, Gemini 336': (
        info('plumb_bob', [*BROWN, 0.0, 0.0, 0.0], (1280, 800), (690.0, 690.0), (640.2, 401.1)),
        DISTORTED,
    ),
    'OrbbecSDK_ROS2, infrared of a Gemini': (info('plumb_bob', [0.0] * 8), IDEAL),
    'OrbbecSDK_ROS2, Femto': (info('rational_polynomial', RATIONAL), DISTORTED),
    'ros_astra_camera': (
        info('plumb_bob', [0.0] * 5, r=cv2.Rodrigues(np.full(3, 5e-4))[0].ravel().tolist()),
        IDEAL,
    ),
    'zed_wrapper, ROS 1': (
        info('plumb_bob', [0.0] * 5, (1280, 720), r=Z9, frame=f'/{IMAGE_FRAME}'),
        IDEAL,
    ),
    'zed_wrapper, raw pictures of a ZED 2i': (
        info('rational_polynomial', [*RATIONAL, 0.0, 0.0, 0.0, 0.0]),
        DISTORTED,
    ),
    'Azure_Kinect_ROS_Driver': (
        info('rational_polynomial', RATIONAL, (1280, 720), (612.0, 612.0), (637.0, 369.0)),
        DISTORTED,
    ),
    "Azure_Kinect_ROS_Driver, one's own calibration": (
        info('plumb_bob', BROWN, frame=''),
        DISTORTED,
    ),
    'kinect2_bridge': (
        info('plumb_bob', BROWN, (1920, 1080), (1060.0, 1057.0), (950.0, 530.0)),
        DISTORTED,
    ),
    'usb_cam': (info('plumb_bob', BROWN, frame=''), DISTORTED),
    'usb_cam without calibration': (
        info('', [], k=Z9, r=Z9, p=Z12),
        'camera_not_calibrated: K is all zero: the camera is not calibrated$',
    ),
    'v4l2_camera without calibration': (
        info('plumb_bob', [], k=Z9, p=Z12),
        'camera_not_calibrated: ',
    ),
    'gscam without calibration': (
        info('', [], (0, 0), k=Z9, r=Z9, p=Z12, frame=''),
        'camera_not_calibrated: ',
    ),
    'camera_ros without calibration': (
        info('', [], k=[*Z9[:8], 1.0], p=Z12, frame=IMAGE_FRAME),
        'camera_not_calibrated: ',
    ),
    'a driver that fills in unit matrices': (
        info('plumb_bob', [0.0] * 5, k=EYE, p=[1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]),
        'bad_intrinsics: fx = 1 and fy = 1 in K .* 640x480',
    ),
    'a driver without the principal point': (
        info('plumb_bob', [0.0] * 5, centre=(0.0, 0.0)),
        'bad_intrinsics: cx = 0 in K .* 640x480',
    ),
    'a driver that forgets fy': (
        info('plumb_bob', [0.0] * 5, focal=(772.0, 1.0)),
        'bad_intrinsics: fx = 772 and fy = 1 in K',
    ),
    'a driver with the calibration of another size': (
        info('plumb_bob', BROWN, focal=(1500.0, 1500.0), centre=(960.0, 540.0)),
        'bad_intrinsics: cx = 960 in K .* 640x480',
    ),
    'a driver with NaN for what it does not know': (
        info('plumb_bob', [float('nan')] * 5),
        r'bad_calibration: D is not finite: \[nan',
    ),
    'a driver with millimetres': (
        info('', [], focal=(4.0, 4.0)),
        'bad_intrinsics: fx = 4 and fy = 4 in K .* 640x480: expected 0.05 to 1000 times .* pixels',
    ),
    'Isaac Sim': (info('pinhole', [0.0] * 5), IDEAL),
    'Isaac Sim, newer': (info('pinhole', []), IDEAL),
    "Isaac Sim, OpenCV's fisheye": (
        info('opencvFisheye', KANNALA, focal=(270.0, 270.0)),
        FISHEYE,
    ),
    'simulators that invent a name': (info('no_distortion', [0.0] * 12, r=Z9), IDEAL),
    "COLMAP's name of a lens without coefficients": (info('SIMPLE_RADIAL', [0.0]), IDEAL),
    'a driver that says how many coefficients': (
        info('radtan5', BROWN),
        "unknown_distortion_model: .*'radtan5'.*-0.05.*distortion: ignore",
    ),
    'librealsense, a lens of f-theta': (
        info('Ftheta', [0.0] * 5),
        "unknown_distortion_model: .*'Ftheta'.*distortion: ignore",
    ),
    'Isaac Sim, fisheye': (
        info('fisheyePolynomial', [0.0] * 5),
        "unknown_distortion_model: .*'fisheyePolynomial'.*distortion: ignore",
    ),
    'Gazebo classic': (
        info('plumb_bob', [0.0] * 5, p=[500.0, 0, 320.5, -0.0, 0, 501.0, 240.5, 0, 0, 0, 1.0, 0]),
        IDEAL,
    ),
    "Gazebo classic, the image in the link's frame": (
        info('plumb_bob', [0.0] * 5, frame='camera_link'),
        "frame_id_mismatch: image in frame 'camera_optical_frame' but .*'camera_link'",
    ),
    'ros_gz_bridge': (info('plumb_bob', [0.0] * 5, focal=(554.4, 554.4)), IDEAL),
    'realsense_gazebo_plugin': (info('', [], r=Z9), IDEAL),
    'webots_ros2_driver': (info('plumb_bob', [0.0] * 5, focal=(772.5, 772.5), r=EYE), IDEAL),
    'carla_ros_bridge': (info('plumb_bob', [0, 0, 0, 0, 0], (800, 600), (400.0, 400.0)), IDEAL),
    'airsim_ros_pkgs': (info('', [], focal=(320.0, 320.0), frame=f'/{IMAGE_FRAME}'), IDEAL),
    'depthai_ros_driver, OAK-D': (
        info('rational_polynomial', [-4.1, 9.2, 0.001, -0.001, -8.9, -4.2, 9.6, -9.3]),
        DISTORTED,
    ),
    'depthai_ros_driver, all of its 14': (
        info('rational_polynomial', [*RATIONAL, 0.001, -0.002, 0.0005, 0.0001, 0.0, 0.0]),
        DISTORTED,
    ),
    'depthai_ros_driver, stereo': (
        info('rational_polynomial', [0.0] * 8, k=Z9),
        'camera_not_calibrated: K is all zero.*P is not, which rectified: true takes',
    ),
    'depthai_ros_driver, fisheye': (
        info('equidistant', [*KANNALA, *[0.0] * 10], (1280, 800), (560.0, 560.0), (640.0, 400.0)),
        FISHEYE,
    ),
    'spinnaker_camera_driver': (
        info('plumb_bob', BROWN, (1440, 1080), (1300.0, 1301.0), (719.0, 541.0), binning=1),
        DISTORTED,
    ),
    'pylon_ros2_camera': (
        info(
            'equidistant',
            [-0.1, 0.05, -0.02, 0.002],
            (1920, 1200),
            k=[1133.0, 4.2, 960.0, 0.0, 1128.0, 600.0, 0.0, 0.0, 1.0],
            binning=1,
        ),
        FISHEYE,
    ),
    'ueye_cam, a window': (info('plumb_bob', BROWN, binning=2, roi=(100, 80, 320, 240)), DISTORTED),
    'mynt_eye_ros_wrapper': (
        info('KANNALA_BRANDT', [*KANNALA, 0.0]),
        "unknown_distortion_model: .*'KANNALA_BRANDT'.*distortion: ignore",
    ),
    'voxl_mpa_to_ros': (
        info('fisheye', KANNALA, focal=(270.0, 270.0)),
        "unknown_distortion_model: .*'fisheye'.*called equidistant.*distortion: ignore",
    ),
    'camera_calibration, -k 6 without enough views': (
        info('rational_polynomial', [0.0] * 8),
        IDEAL,
    ),
    "kalibr's names": (info('radtan', BROWN[:4]), DISTORTED),
    'a plumb_bob that is none': (
        info('plumb_bob', RATIONAL),
        'bad_distortion: D has 8 coefficients, plumb_bob takes 4 or 5.*1.4.*distortion: ignore',
    ),
}


@pytest.mark.parametrize(('msg', 'expected'), DRIVERS.values(), ids=DRIVERS)
def test_as_drivers_send_it(msg, expected):
    """A camera whose rays are OpenCV's, or a reason with what was found."""
    calibration = calibration_from_msg(msg)
    infos = CameraInfos()
    infos.add(1, msg.header.frame_id, calibration)
    scale = max(msg.binning_x, 1)
    size = (msg.roi.width or msg.width) // scale, (msg.roi.height or msg.height) // scale
    if expected not in (IDEAL, DISTORTED, FISHEYE):
        with pytest.raises(FrameError) as caught:
            Camera.from_calibration(infos.find(2, IMAGE_FRAME, *size))
        told = f'{caught.value.cause}: {caught.value}'
        assert re.match(expected, told), told
        return
    camera = Camera.from_calibration(infos.find(2, IMAGE_FRAME, *size))
    assert (camera.width, camera.height) == size
    assert camera.distorts == (expected != IDEAL)
    pixels = np.array([(u * size[0], v * size[1]) for u in (0.3, 0.6) for v in (0.4, 0.7)])
    at_sensor = (scale * pixels + [msg.roi.x_offset, msg.roi.y_offset]).reshape(-1, 1, 2)
    k = np.array(msg.k).reshape(3, 3)
    k[0, 1] = 0.0  # OpenCV's other functions and image_geometry do not know of it either
    if expected == FISHEYE:
        rays = cv2.fisheye.undistortPoints(at_sensor, k, np.array(msg.d[:4]))
    else:
        rays = cv2.undistortPoints(at_sensor, k, np.array([*msg.d, *[0.0] * 14][:14]))
    np.testing.assert_allclose(camera.unproject(pixels), rays.reshape(-1, 2), atol=2e-4)


@pytest.mark.parametrize('msg', [info('fov', [0.9]), info('plumb_bob', RATIONAL)])
def test_ignore_takes_it_for_an_ideal_lens(msg):
    """What the sentence proposes helps."""
    calibration = calibration_from_msg(msg).without_distortion()
    assert not Camera.from_calibration(calibration).distorts


@pytest.mark.parametrize(
    'model',
    ['equirectangular', 'Spherical', 'cylindrical', 'panoramic', 'stereographic', 'OrthoGraphic'],
)
@pytest.mark.parametrize('d', [[], [0.0] * 5])
def test_projections_that_bend_without_coefficients(model, d):
    """Simulators and 360 degree cameras have them: no ideal lens sees so."""
    with pytest.raises(FrameError, match=f'distortion_model {model!r} is unknown'):
        Camera.from_calibration(calibration_from_msg(info(model, d)))


@pytest.mark.parametrize(
    ('name', 'same'),
    [('Plumb Bob', 'plumb_bob'), ('RATIONAL-POLYNOMIAL', 'rational_polynomial')],
)
def test_spelling_of_a_model(name, same):
    """Case and what is between the words do not matter."""
    rays = [
        Camera.from_calibration(calibration_from_msg(info(n, BROWN))).unproject([10, 10])
        for n in (name, same)
    ]
    np.testing.assert_array_equal(*rays)


def test_a_window_off_the_principal_point():
    """A ROI may leave it out, for the message and for what is made of it."""
    calibration = calibration_from_msg(info('plumb_bob', BROWN, roi=(400, 300, 64, 48)))
    camera = Camera.from_calibration(calibration)
    assert (camera.cx, camera.cy) == (320.5 - 400.0, 240.5 - 300.0)
    assert Camera.from_calibration(calibration.of_image().strided(2)) == camera.strided(2)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'focal': (31.0, 31.0)}, 'fx = 31 and fy = 31 in K'),  # 169 degrees
        ({'focal': (500.0, 90.0)}, 'fx = 500 and fy = 90 in K'),
        ({'focal': (1e9, 1e9)}, r'fx = 1e\+09'),
        ({'centre': (320.0, 0.0)}, 'cy = 0 in K'),
        ({'centre': (-3.0, 240.0)}, 'cx = -3 in K'),
        ({'p': [500.0, 0, 1e300, 0, 0, 500.0, 240, 0, 0, 0, 1, 0]}, r'cx = 1e\+300 in P'),
        ({'p': [500.0, 0, 0, 0, 0, 500.0, 240, 0, 0, 0, 1, 0]}, 'cx = 0 in P'),
    ],
)
@pytest.mark.filterwarnings('error', 'ignore::ResourceWarning')  # of tests before it
def test_a_camera_that_cannot_be(changes, reason):
    """The numbers are told, and nothing is computed with them."""
    calibration = calibration_from_msg(info('plumb_bob', [0.0] * 5, **changes))
    with pytest.raises(FrameError, match=reason):
        Camera.from_calibration(calibration, rectified='p' in changes)


@pytest.mark.parametrize(
    ('size', 'centre', 'binning', 'told'),
    [
        (
            (1280, 720),
            (957.0, 543.0),
            0,
            'cx = 957 and cy = 543 in K .* 1914x1086, not of',
        ),
        ((1280, 960), (320.5, 240.5), 0, 'about 641x481, not of 1280x960'),
        ((2064, 1544), (254.1, 183.9), 4, 'about 508x368, not of 2064x1544'),  # avt_vimba_camera's
        ((1280, 720), (730.0, 300.0), 0, ''),
        ((1280, 720), (320.0, 350.0), 0, ''),  # a lens that is shifted
        ((1280, 720), (0.0, 0.0), 0, ''),
        ((0, 0), (320.0, 240.0), 0, 'about 640x480, not of 0x0'),
    ],
)
def test_a_calibration_of_another_size(size, centre, binning, told):
    """It may be that of a window, so that it is only warned of."""
    msg = info('plumb_bob', BROWN, size, (900.0, 900.0), centre, binning=binning)
    advice = calibration_from_msg(msg).size_advice()
    assert re.search(told, advice) if told else not advice, advice
    assert not told or 'in P' in calibration_from_msg(msg).size_advice(rectified=True)
    window = info('plumb_bob', BROWN, roi=(400, 300, 64, 48))
    assert not calibration_from_msg(window).of_image().size_advice()


@pytest.mark.parametrize(
    ('msg', 'told'),
    [
        (info('plumb_bob', [1230.0, -560.2, 340.0, 0.2, 120.0]), r'73% of the pixels .* \[1230\.0'),
        (info('plumb_bob', [-0.3, 0.0, 0.0, 0.0], focal=(200.0, 200.0)), '80% of the pixels'),
        (info('plumb_bob', BROWN), ''),
        (info('rational_polynomial', RATIONAL), ''),
        (info('plumb_bob', [0.0] * 5), ''),
        (info('equidistant', KANNALA, focal=(80.0, 80.0)), ''),  # it sees behind itself
    ],
)
def test_a_lens_that_is_another(msg, told):
    """Coefficients that leave most pixels without a ray: Orbbec's Gemini 2 once sent such."""
    advice = lens_advice(Camera.from_calibration(calibration_from_msg(msg)))
    assert re.match(told, advice)
    assert bool(advice) == bool(told), advice


def test_rectification_without_p():
    """Zeros but for the last row are none, either: K is taken."""
    calibration = calibration_from_msg(info('plumb_bob', BROWN, p=[*Z12[:10], 1.0, 0.0]))
    assert calibration.rectified().intrinsics(rectified=True) == (500.0, 501.0, 320.5, 240.5)


def test_a_principal_point_beside_the_rectified_picture():
    """Stereo cameras that look past each other have one."""
    p = [500.0, 0, -80.0, 0, 0, 500.0, 240, 0, 0, 0, 1, 0]
    calibration = calibration_from_msg(info('plumb_bob', BROWN, p=p))
    assert Camera.from_calibration(calibration, rectified=True).cx == -80.0
