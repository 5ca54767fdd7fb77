# SPDX-License-Identifier: Apache-2.0
"""Odometry and confidence over the real middleware; the engine is a fake whose depth is a ramp."""

from geometry_msgs.msg import Pose, PoseWithCovariance
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from .conftest import wait_until
from .ramp_messages import picture, stamped


def odometry(tenth, frame_id):
    """An Odometry at rest, whose child frame is the camera's."""
    pose = Pose()
    pose.orientation.w = 1.0
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
