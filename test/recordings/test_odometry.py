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


def odometry(i, x, child='base_link'):
    """An Odometry at x."""
    pose = T['geometry_msgs/msg/Pose'](
        T['geometry_msgs/msg/Point'](x, 0.0, 0.0), T['geometry_msgs/msg/Quaternion'](0, 0, 0, 1.0)
    )
    zero = T['geometry_msgs/msg/Vector3'](0.0, 0.0, 0.0)
    covariance = np.zeros(36)
    return T['nav_msgs/msg/Odometry'](
        header(i, 'odom'),
        child,
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


def places(folder, topic='', settings=SETTINGS):
    """X of the camera in each picture, and why it is not known."""
    with open_recording(folder) as reader:
        scale = RecordedScale(reader, settings, Topics(odometry=topic))
        found = [scale.evidence(header(i)) for i in range(4)]
    return [(e.odom_from_camera and e.odom_from_camera[0], e.no_odometry) for e in found]


STATIC = ('/tf_static', moving(0, 'base_link', 'camera', PLACE))


def test_the_only_odometry(tmp_path):
    """Interpolated to the stamps, with the camera's place by /tf_static."""
    drive = [('/odom', odometry(i, 0.1 * i)) for i in (0, 2, 4)]
    found = places(record(tmp_path / 'in', [*cameras(4), STATIC, *drive]))
    assert [x for x, _ in found] == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_an_odometry_whose_child_has_no_name(tmp_path):
    """With `odometry_transform` none is needed."""
    drive = [('/odom', odometry(i, 0.1 * i, '')) for i in range(5)]
    settings = SETTINGS.replace({'odometry_transform': (0.0, 0.0, 0.2, 0.5, -0.5, 0.5, 0.5)})
    found = places(record(tmp_path / 'in', [*cameras(4), *drive]), settings=settings)
    assert [why for _, why in found] == [''] * 4
    assert np.diff([x for x, _ in found]) == pytest.approx([0.1] * 3)


def test_tf_where_there_is_no_odometry(tmp_path):
    """The transform of /tf whose child the camera is fixed to; a wheel's is none."""
    turned = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    messages = []
    for i in range(5):
        messages.append(('/tf', moving(i, 'odom', 'base_link', (0.1 * i, *turned[1:]))))
        messages.append(('/tf', moving(i, 'base_link', 'wheel', turned)))
    found = places(record(tmp_path / 'in', [*cameras(4), STATIC, *messages]))
    assert [x for x, _ in found] == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_a_camera_on_a_mast_that_turns(tmp_path):
    """The base drives, the mast turns by 10 degrees a picture, map_from_odom jumps: by hand."""
    still = (0.0, 0.0, 0.0, 1.0)
    messages = []
    for i in range(5):
        half = np.radians(10.0 * i) / 2
        turned = (0.0, 0.0, np.sin(half), np.cos(half))
        messages += [
            ('/tf', moving(i, 'mast', 'pan', (0.0, 0.0, 0.0, *turned))),
            ('/tf', moving(i, 'map', 'odom', (5.0 * i, 0.0, 0.0, *still))),
            ('/tf', moving(i, 'base_footprint', 'mast', (0.1, 0.0, 0.0, *still))),
            ('/tf', moving(i, 'odom', 'base_footprint', (0.3 * i, 0.0, 0.0, *still))),
        ]
    fixed = ('/tf_static', moving(0, 'pan', 'camera', PLACE))
    found = places(record(tmp_path / 'in', [*cameras(4), fixed, *messages]))
    by_hand = [0.1 + 0.3 * i + 0.2 * np.cos(np.radians(10.0 * i)) for i in range(4)]
    assert [x for x, _ in found] == pytest.approx(by_hand)


def test_tf_that_moves_something_else(tmp_path):
    """Without /tf_static nothing connects them, and that is the reason."""
    still = (0.0, 0.0, 0.0, 1.0)
    drive = [('/tf', moving(i, 'odom', 'base_link', (0.1 * i, 0.0, 0.0, *still))) for i in range(5)]
    why = places(record(tmp_path / 'in', [*cameras(4), *drive]))[0][1]
    assert why == "/tf moves 'base_link', to none of which 'camera' is fixed"


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
