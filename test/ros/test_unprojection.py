# SPDX-License-Identifier: Apache-2.0
"""Who unprojects depth/image of a distorted lens is told of distortion; the engine is a fake."""

import pytest
from sensor_msgs.msg import CameraInfo, Image

from .conftest import make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48
ADVICE = 'unless distortion is rectify'


@pytest.mark.parametrize(
    ('params', 'd', 'topics', 'advised'),
    [
        ({}, [-0.3, 0.1, 0.0, 0.0, 0.0], ('/depth/image', '/depth/camera_info'), True),
        ({}, [-0.3, 0.1, 0.0, 0.0, 0.0], ('/depth/image',), False),  # a viewer
        ({}, [0.0] * 5, ('/depth/image', '/depth/camera_info'), False),
        (
            {'distortion': 'rectify'},
            [-0.3, 0.1, 0.0, 0.0, 0.0],
            ('/depth/image', '/depth/camera_info'),
            False,
        ),
    ],
)
def test_advice(run_node, peer, params, d, topics, advised):
    """A node that takes the depth and its CameraInfo is named, once; others are not."""
    node = run_node({'model': 'slow:0', **params}, fake=True)
    types = {'/depth/image': Image, '/depth/camera_info': CameraInfo}
    received = [peer.subscribe(topic, types[topic]) for topic in topics]
    info = make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0)
    info.d = d
    for second in range(1, 6):  # the node looks once a second
        peer.show(make_image(WIDTH, HEIGHT, stamp=(second, 0)), info)
        if wait_until(lambda: ADVICE in node.log, 0.7):
            break
    assert wait_until(lambda: bool(received[0]))
    assert node.log.count(ADVICE) == int(advised)
    assert ('/peer gets depth/image' in node.log) == advised
