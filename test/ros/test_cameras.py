# SPDX-License-Identifier: Apache-2.0
"""Lenses, windows, transports over the node's topics, against cv2 and depth_image_proc's formula.

The checkpoint gives 2 m everywhere, so that x / z and y / z of the cloud are the rays.
"""

import array

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, RegionOfInterest

from .conftest import CONSTANT_DEPTH, FRAME_ID, make_image, make_info, wait_until

WIDTH, HEIGHT = 160, 120
K = np.array([[130.0, 0.0, 82.3], [0.0, 126.0, 57.1], [0.0, 0.0, 1.0]])
FISHEYE_K = np.array([[50.0, 0.0, 79.5], [0.0, 50.0, 59.5], [0.0, 0.0, 1.0]])
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 1000, 1e-12)
LENSES = {
    'ideal': ('plumb_bob', [0.0] * 5, K),
    'strong': ('plumb_bob', [-0.35, 0.12, 0.001, -0.002, -0.02], K),
    'rational': ('rational_polynomial', [0.3, -0.1, 1e-3, -1e-3, 0.02, 0.6, -0.05, 0.01], K),
    # the picture's corners are at 1.98 rad from the axis: 180 degrees end within it
    'fisheye': ('equidistant', [0.01, -0.003, 0.001, -0.0002], FISHEYE_K),
}
WINDOWS = {
    'full': ((0, 0, 0, 0), 1),
    'roi': ((24, 10, 96, 80), 1),
    'binning': ((0, 0, 0, 0), 2),
    'roi and binning': ((24, 10, 96, 80), 2),
}


def camera_info(lens: str, window: str = 'full') -> CameraInfo:
    """The CameraInfo of a lens and a window."""
    model, d, k = LENSES[lens]
    (x, y, width, height), binning = WINDOWS[window]
    info = make_info(WIDTH, HEIGHT, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    info.distortion_model, info.d = model, d
    info.binning_x = info.binning_y = binning
    info.roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
    return info


def image_size(window: str) -> tuple[int, int]:
    """Width and height of the images of a window."""
    (_, _, width, height), binning = WINDOWS[window]
    return (width or WIDTH) // binning, (height or HEIGHT) // binning


def rays_by_cv2(lens: str, window: str) -> np.ndarray:
    """The rays of an image's pixels by cv2, iterated to convergence, (H, W, 2)."""
    model, d, k = LENSES[lens]
    (x, y, _, _), binning = WINDOWS[window]
    width, height = image_size(window)
    v, u = np.mgrid[:height, :width].astype(float)
    pixels = np.dstack([u * binning + x, v * binning + y]).reshape(-1, 1, 2)
    if model == 'equidistant':
        rays = cv2.fisheye.undistortPoints(pixels, k, np.array(d), criteria=CRITERIA)
    elif hasattr(cv2, 'undistortPointsIter'):  # OpenCV 4
        rays = cv2.undistortPointsIter(pixels, k, np.array(d), np.eye(3), np.eye(3), CRITERIA)
    else:
        rays = cv2.undistortPoints(pixels, k, np.array(d), criteria=CRITERIA)
    return rays.reshape(height, width, 2)


def distorted_radius(lens: str, window: str) -> np.ndarray:
    """Distance of each pixel from the principal point, in focal lengths, (H, W).

    For a fisheye it is nearly the angle to the axis; cv2 clamps it to 90 degrees.
    """
    k = LENSES[lens][2]
    (x, y, _, _), binning = WINDOWS[window]
    width, height = image_size(window)
    v, u = np.mgrid[:height, :width]
    return np.hypot((u * binning + x - k[0, 2]) / k[0, 0], (v * binning + y - k[1, 2]) / k[1, 1])


def xyz_of(cloud: PointCloud2) -> np.ndarray:
    """The points of an organized xyzrgb cloud, (H, W, 3) float64."""
    points = np.frombuffer(cloud.data, '<f4').reshape(cloud.height, cloud.width, 4)
    return points[..., :3].astype(float)


def depth_of(image: Image) -> np.ndarray:
    """The pixels of a 32FC1 image."""
    return np.frombuffer(image.data, '<f4').reshape(image.height, image.width)


def depth_image_proc(depth: np.ndarray, info: CameraInfo) -> np.ndarray:
    """The points that depth_image_proc makes of an image and its CameraInfo (P), (H, W, 3)."""
    fx, fy, cx, cy = info.p[0], info.p[5], info.p[2], info.p[6]
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    z = depth.astype(float)
    return np.dstack([(u - cx) * z / fx, (v - cy) * z / fy, z])


def test_rays_of_every_lens_and_window(run_node, peer, constant_params):
    """Rays agree with cv2's to 1e-4 for every lens, ROI and binning."""
    # a plane across the view is a steep surface 88 degrees off the axis
    node = run_node({**constant_params, 'frames': 'all', 'edge_filter': 0.0})
    clouds = peer.subscribe('/points', PointCloud2)
    infos = peer.subscribe('/depth/camera_info', CameraInfo)
    cases = [(lens, window) for lens in LENSES for window in WINDOWS]
    for second, (lens, window) in enumerate(cases, start=1):
        image = make_image(*image_size(window), stamp=(second, 0))
        peer.show(image, camera_info(lens, window))
        assert wait_until(lambda n=second: len(clouds) == n == len(infos)), node.log
        width, height = image_size(window)
        points = xyz_of(clouds[-1])
        assert points.shape == (height, width, 3)
        assert (infos[-1].roi, infos[-1].binning_x) == (
            camera_info(lens, window).roi,
            camera_info(lens, window).binning_x,
        )
        expected = rays_by_cv2(lens, window)
        valid = np.isfinite(points[..., 2])
        np.testing.assert_allclose(points[valid][:, 2], CONSTANT_DEPTH, rtol=1e-6)
        rays = points[..., :2] / CONSTANT_DEPTH
        known = distorted_radius(lens, window) < np.pi / 2 if lens == 'fisheye' else valid
        # a float32 point far outside does not resolve 1e-4
        error = np.abs(rays - expected)[known] / np.maximum(1.0, np.abs(expected[known]))
        assert error.max() < 1e-4, (lens, window)
        if lens == 'fisheye':
            assert not valid[distorted_radius(lens, window) > 1.7].any()
        else:
            assert valid.all(), (lens, window)


def test_rectified_output_is_what_its_camera_info_says(run_node, peer, constant_params):
    """With `rectify`, depth_image_proc's formula on the published depth gives the same cloud."""
    run_node({**constant_params, 'distortion': 'rectify'})
    clouds = peer.subscribe('/points', PointCloud2)
    depths = peer.subscribe('/depth/image', Image)
    infos = peer.subscribe('/depth/camera_info', CameraInfo)
    for second, window in enumerate(['full', 'roi and binning'], start=1):
        image = make_image(*image_size(window), stamp=(second, 0))
        info = camera_info('strong', window)
        info.p[0], info.p[5] = 110.0, 108.0
        peer.show(image, info)
        assert wait_until(lambda n=second: len(clouds) == len(depths) == len(infos) == n)
        assert not any(infos[-1].d)
        np.testing.assert_array_equal(
            np.reshape(infos[-1].k, (3, 3)), np.reshape(infos[-1].p, (3, 4))[:, :3]
        )
        binning = WINDOWS[window][1]
        assert (infos[-1].p[0], infos[-1].p[5]) == (110.0 / binning, 108.0 / binning)
        depth, points = depth_of(depths[-1]), xyz_of(clouds[-1])
        valid = np.isfinite(depth)
        assert valid.mean() > 0.7
        expected = depth_image_proc(depth, infos[-1])
        np.testing.assert_allclose(points[valid], expected[valid], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('named', [False, True])
def test_a_camera_info_of_another_frame(run_node, peer, constant_params, named):
    """It is taken only from a topic that the user has named."""
    topic = '/cam/info' if named else '/camera_info'
    node = run_node(constant_params, *(('-r', f'camera_info:={topic}') if named else ()))
    clouds = peer.subscribe('/points', PointCloud2)
    info = camera_info('ideal')
    info.header.frame_id = 'body'
    peer.publisher(topic, CameraInfo).publish(info)
    peer.show(make_image(WIDTH, HEIGHT, stamp=(1, 0)))
    if named:
        assert wait_until(lambda: clouds), node.log
        assert clouds[0].header.frame_id == FRAME_ID
    else:
        node.wait_for('frame dropped, frame_id_mismatch')


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.webp'])
def test_compressed_images(run_node, peer, constant_params, extension):
    """A compressed camera: the colours are those of the decoded picture, a torn one is told."""
    node = run_node({**constant_params, 'image_transport': 'compressed', 'depth_encoding': '16UC1'})
    clouds = peer.subscribe('/points', PointCloud2)
    depths = peer.subscribe('/depth/image', Image)
    colours = peer.subscribe('/depth/color', Image)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    bgr = cv2.GaussianBlur(noise, (0, 0), 3)
    picture = cv2.imencode(extension, bgr)[1].tobytes()
    name = {'.jpg': 'jpeg', '.png': 'png', '.webp': 'webp'}[extension]
    infos = peer.publisher('/camera_info', CameraInfo)
    images = peer.publisher('/image/compressed', CompressedImage)
    for second, data in enumerate([picture[: len(picture) // 2], picture], start=1):
        message = CompressedImage(format=f'rgb8; {name} compressed bgr8')
        message.header.frame_id = FRAME_ID
        message.header.stamp.sec = second
        message.data = array.array('B', data)
        info = camera_info('ideal')
        info.header = message.header
        infos.publish(info)
        images.publish(message)
        if second == 1:
            node.wait_for('frame dropped, ')
    assert wait_until(lambda: clouds and depths and colours), node.log
    assert [cloud.header.stamp.sec for cloud in clouds] == [2]
    packed = np.frombuffer(clouds[0].data, np.uint8).reshape(HEIGHT, WIDTH, 16)[..., 12:15]
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(packed, decoded)
    millimetres = np.frombuffer(depths[0].data, '<u2')
    assert depths[0].encoding == '16UC1'
    assert set(millimetres) == {int(1000 * CONSTANT_DEPTH)}
    assert (colours[0].encoding, colours[0].width, colours[0].height) == ('bgr8', WIDTH, HEIGHT)


def test_settings_take_effect_on_the_next_frame(run_node, peer, constant_params):
    """Live parameters change the next cloud; a wrong value is refused and changes nothing."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    run_node(constant_params)
    clouds = peer.subscribe('/points', PointCloud2)
    client = peer.node.create_client(SetParameters, '/depth_pcd/set_parameters')
    assert client.wait_for_service(10.0)

    def change(**values) -> list[str]:
        """Set parameters; return the reasons of those that were refused."""
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        request = SetParameters.Request(parameters=[p.to_parameter_msg() for p in parameters])
        future = client.call_async(request)
        assert wait_until(future.done)
        return [result.reason for result in future.result().results if not result.successful]

    def next_cloud() -> PointCloud2:
        count = len(clouds)
        peer.show(make_image(WIDTH, HEIGHT, stamp=(count + 1, 0)), camera_info('ideal'))
        assert wait_until(lambda: len(clouds) > count)
        return clouds[-1]

    assert (next_cloud().width, next_cloud().height) == (WIDTH, HEIGHT)
    assert change(stride=4) == []
    assert (next_cloud().width, next_cloud().height) == (WIDTH // 4, HEIGHT // 4)
    assert change(depth_scale=1.5) == []
    np.testing.assert_allclose(xyz_of(next_cloud())[..., 2], 1.5 * CONSTANT_DEPTH, rtol=1e-6)
    (reason,) = change(stride=0)
    assert 'stride' in reason
    (reason,) = change(cloud_fields='rgb')
    assert "cloud_fields is 'rgb', expected one of xyzrgb, xyz" in reason
    assert len(change(model='demo')) == 1  # cannot be changed while it runs
    assert (next_cloud().width, next_cloud().point_step) == (WIDTH // 4, 16)
    assert change(organized=False, cloud_fields='xyz') == []
    cloud = next_cloud()
    assert (cloud.height, cloud.width, cloud.point_step) == (1, WIDTH * HEIGHT // 16, 12)
    assert cloud.is_dense
    assert change(max_range=1.0) == []
    cloud = next_cloud()
    assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0)
    peer.wait_for_status('without a valid point', DiagnosticStatus.WARN)
    assert change(organized=True) == []
    assert np.isnan(np.frombuffer(next_cloud().data, '<f4')).all()
