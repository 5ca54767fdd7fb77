# SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own, fed and heard over the real middleware."""

import signal
import time

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from .conftest import CONSTANT_DEPTH, FRAME_ID, make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48
FX, FY, CX, CY = 55.0, 50.0, 30.5, 25.0


def info():
    """A CameraInfo with fx != fy and the principal point off the middle."""
    return make_info(WIDTH, HEIGHT, FX, FY, CX, CY)


def points_of(cloud: PointCloud2) -> np.ndarray:
    """The points of an organized xyzrgb cloud, (H, W, 4) float32."""
    return np.frombuffer(cloud.data, '<f4').reshape(cloud.height, cloud.width, 4)


def colours_of(cloud: PointCloud2) -> np.ndarray:
    """The colours of an organized xyzrgb cloud, (H, W, 3) RGB."""
    packed = np.frombuffer(cloud.data, np.uint8).reshape(cloud.height, cloud.width, 16)
    return packed[..., 14:11:-1]


def stamp_of(msg) -> tuple[int, int]:
    """The stamp of a message."""
    return msg.header.stamp.sec, msg.header.stamp.nanosec


def rgb_of(image: Image) -> np.ndarray:
    """The colours of an image by hand, (H, W, 3) RGB."""
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    channels = {'mono8': 1, 'rgba8': 4, 'bgra8': 4}.get(image.encoding, 3)
    pixels = rows[:, : image.width * channels].reshape(image.height, image.width, channels)
    order = {'mono8': [0, 0, 0], 'bgr8': [2, 1, 0], 'bgra8': [2, 1, 0]}
    return pixels[..., order.get(image.encoding, [0, 1, 2])]


def test_cloud_of_a_constant_depth(run_node, peer, constant_params):
    """Every field of the cloud is what the CameraInfo and a depth of 2 m give by hand."""
    run_node(constant_params)
    clouds = peer.subscribe('/points', PointCloud2)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    expected = CONSTANT_DEPTH * np.dstack([(u - CX) / FX, (v - CY) / FY, np.ones_like(u)])
    for second, encoding in enumerate(['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'], start=1):
        image = make_image(WIDTH, HEIGHT, stamp=(second, 7), encoding=encoding, pad=5 * second)
        peer.show(image, info())
        assert wait_until(lambda n=second: len(clouds) == n)
        cloud = clouds[-1]
        assert stamp_of(cloud) == (second, 7)
        assert cloud.header.frame_id == FRAME_ID
        assert (cloud.width, cloud.height, cloud.is_dense) == (WIDTH, HEIGHT, False)
        assert (cloud.point_step, cloud.row_step) == (16, 16 * WIDTH)
        assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
            (name, 4 * i, 7, 1) for i, name in enumerate(['x', 'y', 'z', 'rgb'])
        ]
        np.testing.assert_allclose(points_of(cloud)[..., :3], expected, rtol=1e-6)
        np.testing.assert_array_equal(colours_of(cloud), rgb_of(image))


def test_what_the_core_logs_is_in_the_log_of_the_node(run_node):
    """Compiling for a size of picture, which takes a second, is told under the node's name."""
    pytest.importorskip('openvino', reason='OpenVINO is not installed')
    node = run_node({'model': 'demo', 'device': 'openvino'})
    node.wait_for('[depth_pcd]: compiled the network for pictures of 224x168 on openvino:CPU')


def test_cloud_agrees_with_depth_and_pixels(run_node, peer):
    """With the bundled model, each point projects to its own pixel and has its depth."""
    run_node({'model': 'demo'})
    clouds = peer.subscribe('/points', PointCloud2)
    depths = peer.subscribe('/depth/image', Image)
    infos = peer.subscribe('/depth/camera_info', CameraInfo)
    fx, fy, cx, cy = 210.3, 190.7, 130.2, 101.9
    image = make_image(280, 210)
    smooth = cv2.GaussianBlur(rgb_of(image), (0, 0), 9)
    image.data = type(image.data)('B', smooth.tobytes())
    peer.show(image, make_info(280, 210, fx, fy, cx, cy))
    assert wait_until(lambda: clouds and depths and infos)
    depth = np.frombuffer(depths[0].data, '<f4').reshape(210, 280)
    x, y, z, _ = np.moveaxis(points_of(clouds[0]).astype(float), -1, 0)
    np.testing.assert_array_equal(z, depth)
    valid = np.isfinite(depth)
    assert valid.mean() > 0.5
    assert np.ptp(depth[valid]) > 0.1
    v, u = np.mgrid[:210, :280]
    assert np.abs(fx * x / z + cx - u)[valid].max() < 0.01
    assert np.abs(fy * y / z + cy - v)[valid].max() < 0.01
    assert np.isnan(x[~valid]).all()
    assert (infos[0].width, infos[0].height, list(infos[0].k)) == (
        280,
        210,
        [fx, 0, cx, 0, fy, cy, 0, 0, 1],
    )
    assert stamp_of(depths[0]) == stamp_of(infos[0]) == stamp_of(clouds[0]) == (1, 0)


def test_all_frames_in_order(run_node, peer, constant_params):
    """`frames: all` gives a cloud for each image, in order, also before the first CameraInfo."""
    run_node({**constant_params, 'frames': 'all'})
    clouds = peer.subscribe('/points', PointCloud2)
    images = [make_image(WIDTH, HEIGHT, stamp=(second, 0)) for second in range(1, 41)]
    for image in images[:5]:
        peer.show(image)
    time.sleep(0.3)
    assert not clouds
    for image in images[5:]:
        peer.show(image, info())
    assert wait_until(lambda: len(clouds) == 40)
    assert [stamp_of(cloud) for cloud in clouds] == [(second, 0) for second in range(1, 41)]
    for cloud, image in zip(clouds, images, strict=True):
        np.testing.assert_array_equal(colours_of(cloud), rgb_of(image))


def broken(**changes):
    """A good image and CameraInfo, changed: keys are `image_...` or `info_...`."""
    image, camera_info = make_image(WIDTH, HEIGHT), info()
    for name, value in changes.items():
        message, field = (image, name[6:]) if name.startswith('image_') else (camera_info, name[5:])
        setattr(message, field, value)
    return image, camera_info


BAD = {
    # first, as long as there is no older CameraInfo that fits
    'size_mismatch': {'info_width': 2 * WIDTH},
    'short_data': {'image_data': make_image(WIDTH, HEIGHT).data[:-1]},
    'empty_image': {'image_width': 0, 'image_height': 0},
    'unknown_encoding': {'image_encoding': 'rgb9'},
    'camera_not_calibrated': {'info_k': [*[0.0] * 8, 1.0]},
    'bad_intrinsics': {'info_k': [772.0, 0.0, 24.0, 0.0, 1.0, 18.0, 0.0, 0.0, 1.0]},
    'bad_calibration': {'info_k': [float('nan')] * 9},
}


def test_bad_input_is_dropped_and_told_once(run_node, peer, constant_params):
    """Each kind of bad input costs its own frame only, and its reason is logged once."""
    node = run_node(constant_params)
    clouds = peer.subscribe('/points', PointCloud2)
    for count, (cause, changes) in enumerate(BAD.items(), start=1):
        for times in ('1', '2'):
            peer.show(*broken(**changes))
            peer.wait_for_values(lambda v: v.get(f'frames dropped: {cause}') == times)  # noqa: B023
        assert len(clouds) == count - 1
        peer.show(make_image(WIDTH, HEIGHT, stamp=(count, 0)), info())
        assert wait_until(lambda n=count: len(clouds) == n), node.log
    for cause in BAD:
        assert node.log.count(f'frame dropped, {cause}: ') == 1, node.log


@pytest.mark.parametrize(
    ('topic', 'rectified', 'told'),
    [
        ('/cam/image_rect_color', 'false', True),
        ('/cam/rect/image', 'false', True),
        ('/cam/image_rect', 'true', False),
        ('/cam/image_unrectified', 'false', False),
    ],
)
def test_a_rectified_image_taken_as_raw_is_told(run_node, topic, rectified, told):
    """Its name says so, and with K and D the cloud would be bent."""
    node = run_node({'model': 'slow:0', 'rectified': rectified}, '-r', f'image:={topic}', fake=True)
    text = f'images called {topic} are mostly rectified, but rectified is false'
    if told:
        node.wait_for(text)
    else:
        node.stop()
        assert 'rectified' not in node.log.replace(topic, '')


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly_while_working(run_node, peer, constant_params, signal_number):
    """Ctrl-C and SIGTERM end the node within 2 s, with exit code 0 and no traceback."""
    slow = {**constant_params, 'input_size': 518}
    node = run_node(slow)
    peer.subscribe('/points', PointCloud2)
    peer.show(make_image(WIDTH, HEIGHT), info())
    time.sleep(0.3)
    start = time.monotonic()
    assert node.stop(signal_number) == 0
    assert time.monotonic() - start < 2.0
    assert 'Traceback' not in node.log
