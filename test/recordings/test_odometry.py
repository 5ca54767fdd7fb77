# SPDX-License-Identifier: Apache-2.0
"""Where pictures of a recording were taken from, by its Odometry topic and by /tf."""

import numpy as np
import pytest

from depth_pcd_ros.recordings.reader import RecordingError, open_recording
from depth_pcd_ros.recordings.scale_readings import RecordedScale
from depth_pcd_ros.recordings.store import TYPES as T
from depth_pcd_ros.recordings.topics import Topics
from depth_pcd_ros.settings import Settings

from ..support.recordings import cameras, header, record

# base_from_camera: 0.2 m ahead, looking along x
PLACE = (0.2, 0.0, 0.0, -0.5, 0.5, -0.5, 0.5)
SETTINGS = Settings(scale_source='motion')


def odometry(i, x):
    """An Odometry of base_link at x."""
    pose = T['geometry_msgs/msg/Pose'](
        T['geometry_msgs/msg/Point'](x, 0.0, 0.0), T['geometry_msgs/msg/Quaternion'](0, 0, 0, 1.0)
    )
    zero = T['geometry_msgs/msg/Vector3'](0.0, 0.0, 0.0)
    covariance = np.zeros(36)
    return T['nav_msgs/msg/Odometry'](
        header(i, 'odom'),
        'base_link',
        T['geometry_msgs/msg/PoseWithCovariance'](pose, covariance),
        T['geometry_msgs/msg/TwistWithCovariance'](
            T['geometry_msgs/msg/Twist'](zero, zero), covariance
        ),
    )


def moving(i, parent, child, place):
    """A TFMessage, with the header that `record` wants."""
    transform = T['geometry_msgs/msg/Transform'](
        T['geometry_msgs/msg/Vector3'](*place[:3]), T['geometry_msgs/msg/Quaternion'](*place[3:])
    )
    one = T['geometry_msgs/msg/TransformStamped'](header(i, parent), child, transform)
    message = T['tf2_msgs/msg/TFMessage']([one])
    message.header = header(i)
    return message


def places(folder, topic=''):
    """X of the camera in each picture, and why it is not known."""
    with open_recording(folder) as reader:
        scale = RecordedScale(reader, SETTINGS, Topics(odometry=topic))
        found = [scale.evidence(header(i)) for i in range(4)]
    return [(e.odom_from_camera and e.odom_from_camera[0], e.no_odometry) for e in found]


STATIC = ('/tf_static', moving(0, 'base_link', 'camera', PLACE))


def test_the_only_odometry(tmp_path):
    """Interpolated to the stamps, with the camera's place by /tf_static."""
    drive = [('/odom', odometry(i, 0.1 * i)) for i in (0, 2, 4)]
    found = places(record(tmp_path / 'in', [*cameras(4), STATIC, *drive]))
    assert [x for x, _ in found] == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_tf_where_there_is_no_odometry(tmp_path):
    """The transform of /tf whose child the camera is fixed to; a wheel's is none."""
    turned = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    messages = []
    for i in range(5):
        messages.append(('/tf', moving(i, 'odom', 'base_link', (0.1 * i, *turned[1:]))))
        messages.append(('/tf', moving(i, 'base_link', 'wheel', turned)))
    found = places(record(tmp_path / 'in', [*cameras(4), STATIC, *messages]))
    assert [x for x, _ in found] == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_what_is_missing_is_told(tmp_path):
    """No odometry at all, no transform to the camera, several topics."""
    assert 'neither an Odometry topic nor /tf' in places(record(tmp_path / 'a', cameras(4)))[0][1]
    drive = [('/odom', odometry(i, 0.1 * i)) for i in range(5)]
    folder = record(tmp_path / 'b', [*cameras(4), *drive])
    assert 'odometry_transform is not set' in places(folder)[0][1]
    folder = record(tmp_path / 'c', [*cameras(4), STATIC, *drive, ('/other', odometry(0, 0.0))])
    with pytest.raises(RecordingError, match='--odometry-topic'):
        places(folder)
    assert places(folder, '/odom')[1][0] == pytest.approx(0.3)
