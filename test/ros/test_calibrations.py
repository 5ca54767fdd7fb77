# SPDX-License-Identifier: Apache-2.0
"""Whence the calibration: camera_info, beside the image, or hfov; the engine is a fake."""

import time

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from .conftest import make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48
DEPTH = 2.0  # [m] of the fake


class Rig:
    """A camera whose image and CameraInfo are on topics of one's choice, and the clouds."""

    def __init__(self, peer, image):
        self.peer, self.image = peer, image
        self.clouds = peer.subscribe('/points', PointCloud2)

    def focal(self, topic='', focal=0.0):
        """Show an image, with a CameraInfo if a topic is given; return fx by its cloud."""
        image = make_image(WIDTH, HEIGHT, stamp=divmod(time.time_ns(), 10**9))
        if topic:
            middle = (WIDTH / 2, HEIGHT / 2) if focal else (0.0, 0.0)
            info = make_info(WIDTH, HEIGHT, focal, focal, *middle)
            info.header = image.header
            self.peer.publisher(topic, CameraInfo).publish(info)
        self.clouds.clear()
        self.peer.publisher(self.image, Image).publish(image)
        assert wait_until(lambda: len(self.clouds) == 1)
        x = np.frombuffer(self.clouds[0].data, '<f4').reshape(HEIGHT, WIDTH, 4)[0, :, 0]
        return DEPTH / (x[-1] - x[0]) * (WIDTH - 1)


@pytest.mark.parametrize(
    ('image', 'beside'),
    [('/cam/image_raw', '/cam/camera_info'), ('/image_raw', '/camera_info')],
)
def test_beside_the_image(run_node, peer, image, beside):
    """Where camera_info is not remapped."""
    node = run_node({'model': 'slow:0'}, '-r', f'image:={image}', fake=True)
    assert f'listening to {image} and {beside}' in node.log
    assert Rig(peer, image).focal(beside, 50.0) == pytest.approx(50.0)


def test_a_calibration_of_another_size(run_node, peer):
    """It is warned of, once, and used."""
    node = run_node({'model': 'slow:0'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    for second in (1, 2):
        info = make_info(WIDTH, HEIGHT, 55.0, 50.0, 15.5, 12.0)
        peer.show(make_image(WIDTH, HEIGHT, stamp=(second, 0)), info)
        assert wait_until(lambda: len(clouds) == second)  # noqa: B023
    told = '/camera_info: cx = 15.5 and cy = 12 in K are the middle of an image of about 31x24, not'
    assert node.log.count(told) == 1


def test_what_is_beside_goes_before_the_nodes_own(run_node, peer):
    """The node's own camera_info serves as long as nothing comes from beside the image."""
    run_node({'model': 'slow:0'}, '-r', 'image:=/cam/image_raw', fake=True)
    rig = Rig(peer, '/cam/image_raw')
    assert rig.focal('/camera_info', 40.0) == pytest.approx(40.0)
    assert rig.focal('/cam/camera_info', 50.0) == pytest.approx(50.0)
    assert rig.focal('/camera_info', 40.0) == pytest.approx(50.0)


def test_a_topic_that_is_named_is_the_only_one(run_node, peer):
    """With a remapping."""
    remap = ('-r', 'image:=/cam/image_raw', '-r', 'camera_info:=/guess/camera_info')
    run_node({'model': 'slow:0'}, *remap, fake=True)
    assert Rig(peer, '/cam/image_raw').focal('/guess/camera_info', 50.0) == pytest.approx(50.0)
    assert not peer.node.count_subscribers('/cam/camera_info')


def test_hfov_stands_for_a_calibration(run_node, peer):
    """Without a CameraInfo, and with one that is not calibrated; a true one goes before it."""
    node = run_node({'model': 'slow:0', 'hfov': 60.0}, fake=True)
    rig = Rig(peer, '/image')
    by_hand = 32 / np.tan(np.radians(30))  # 55.4 px
    assert rig.focal() == pytest.approx(by_hand)
    told = 'no calibration: hfov 60 deg, principal point in the middle'
    status = peer.wait_for_status(told)
    assert status.message.startswith(tuple('0123456789'))  # the rate
    node.wait_for(f'{told}, which is fx = fy = 55.4 px at 64x48')
    assert rig.focal('/camera_info') == pytest.approx(by_hand)
    assert rig.focal('/camera_info', 70.0) == pytest.approx(70.0)
    rig.focal('/camera_info', 70.0)
    assert told not in peer.wait_for_status('results/s').message
