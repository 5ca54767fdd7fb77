# SPDX-License-Identifier: Apache-2.0
"""Odometry and confidence over the real middleware; the engine is a fake whose depth is a ramp."""

import array

import pytest
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image, PointCloud2

from scenes import sequences

from .conftest import FRAME_ID, make_info, wait_until
from .ramp_messages import picture, stamped

STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def odometry(tenth, frame_id, place=STILL):
    """An Odometry whose child frame is the camera's; x y z [m], qx qy qz qw."""
    pose = Pose(
        position=Point(**dict(zip('xyz', place[:3], strict=True))),
        orientation=Quaternion(**dict(zip('xyzw', place[3:], strict=True))),
    )
    message = Odometry(child_frame_id=frame_id, pose=PoseWithCovariance(pose=pose))
    return stamped(message, tenth, 'odom')


def test_the_odometry_steadies(run_node, peer):
    """The diagnostics say that the motion came from it, and confidence grows with agreement."""
    run_node({'model': 'ramp', 'temporal_filter': 0.9, 'frames': 'all'}, fake=True)
    rated = peer.subscribe('/depth/confidence', Image)
    sensor = peer.publisher('/odometry', Odometry)
    frame_id = picture(100)[0].header.frame_id
    for i in range(100, 104):
        sensor.publish(odometry(i, frame_id))
    for i in range(100, 103):
        peer.show(*picture(i))
    assert wait_until(lambda: len(rated) == 3)
    assert rated[0].encoding == '32FC1'
    values = peer.wait_for_values(lambda v: v.get('temporal filter motion') == 'odometry')
    assert values['temporal filter not mixed because'] == ''


@pytest.fixture(scope='module')
def shots():
    """A drive, as it takes a while to render."""
    return sequences.shoot(*sequences.views(8, 320, 240))


@pytest.mark.parametrize('motion', ['odometry', 'camera'])
def test_what_is_played_twice_is_the_same(run_node, peer, shots, motion):
    """With every picture taken, two nodes make the same clouds, to the bit."""
    clouds = peer.subscribe('/points', PointCloud2)
    sensor = peer.publisher('/odometry', Odometry)
    settings = {'temporal_filter': 0.9, 'scale_source': 'motion', 'motion': motion}
    for played in (1, 2):
        node = run_node({'model': 'demo', 'frames': 'all', **settings})
        assert wait_until(lambda: sensor.get_subscription_count() == 1, 60.0)
        for i, shot in enumerate(shots):
            sensor.publish(odometry(100 + i, FRAME_ID, shot.world_from_camera))
        for i, shot in enumerate(shots):
            c = shot.camera
            image = Image(height=240, width=320, encoding='rgb8', step=960)
            image.data = array.array('B', shot.rgb.tobytes())
            info = make_info(320, 240, c.fx, c.fy, c.cx, c.cy)
            peer.show(stamped(image, 100 + i), info)
        assert wait_until(lambda p=played: len(clouds) == p * len(shots), 60.0)
        values = peer.wait_for_values(lambda v: v.get('temporal filter motion') == motion)
        assert values['temporal filter not mixed because'] == ''
        node.stop()
    for one, two in zip(clouds[: len(shots)], clouds[len(shots) :], strict=True):
        assert one.header == two.header
        assert one.data == two.data
