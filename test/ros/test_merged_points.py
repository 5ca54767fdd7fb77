# SPDX-License-Identifier: Apache-2.0
"""The merged cloud of several cameras, over the middleware."""

import dataclasses

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from depth_pcd_ros.ros import merged_points, transforms
from depth_pcd_ros.ros.merged_points import MergedPoints
from depth_pcd_ros.settings import Settings

from .conftest import FakeTransforms, wait_until
from .test_several_cameras import CAMERAS, show, statuses

SIZES = {name: width * height for name, ((width, height), _) in CAMERAS.items()}
PARAMS = {
    'model': 'packed',  # sees 2 m everywhere
    'frames': 'all',  # whose stamps need not be those of now
    'cameras': '[front, left, rear]',
    'edge_filter': 0.0,
    'merged_points': True,
    'merged_frame': 'base',
    'merged_timeout': 3600.0,
    # front looks ahead, rear back, both 0.5 m above the base; left: only tf2 could tell
    'front.frame_transform': '[0.1, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5]',
    'rear.frame_transform': '[-0.1, 0.0, 0.5, 0.5, 0.5, -0.5, -0.5]',
}


def test_one_cloud_of_all_cameras(run_node, peer):
    """Their valid points in the common frame, with the newest stamp; who is missing is told."""
    node = run_node(PARAMS, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    assert peer.node.count_publishers('/points') == 1
    assert peer.node.count_publishers('/front/points') == 1  # without a subscriber
    for second in (1, 2, 3):
        images = {name: show(peer, name, second) for name in ('front', 'left', 'rear')}
        assert wait_until(lambda n=second: len(clouds) >= n), len(clouds)
    images['front'] = show(peer, 'front', 4)  # front was the first of all, so that rear is awaited
    assert wait_until(lambda: clouds[-1].header.stamp == images['rear'].header.stamp)
    cloud = clouds[-1]
    assert cloud.header.frame_id == 'base'
    assert (cloud.height, cloud.is_dense) == (1, True)
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb']
    points = np.frombuffer(cloud.data, '<f4').reshape(-1, 4)
    assert len(points) == 2 * 64 * 48
    front, rear = points[: 64 * 48], points[64 * 48 :]
    np.testing.assert_allclose(front[:, 0], 2.1, atol=1e-5)
    np.testing.assert_allclose(rear[:, 0], -2.1, atol=1e-5)
    # the upper left pixel, by the intrinsics of each; what is right for one is left for the other
    np.testing.assert_allclose(front[0, 1:3], [2 * 30.5 / 55, 0.5 + 2 * 25 / 50], atol=1e-5)
    np.testing.assert_allclose(rear[0, 1:3], [-2 * 33 / 40, 0.5 + 2 * 22 / 41], atol=1e-5)
    bgr0 = front[:, 3].copy().view(np.uint8).reshape(48, 64, 4)
    of_image = np.frombuffer(images['front'].data, np.uint8).reshape(48, 64, 3)
    np.testing.assert_array_equal(bgr0[..., 2::-1], of_image)

    def told(found):
        show(peer, 'left', 4)
        return 'not merged' in found['left'].message

    status = statuses(peer, told)['left']
    assert status.level == DiagnosticStatus.WARN
    why = "tf2 does not connect 'left_optical' with merged_frame 'base'"
    if not transforms.AVAILABLE:
        why = 'tf2_ros is not installed'
    assert f'not merged: left.frame_transform is not set, and {why}' in status.message
    transform = [0.0, 0.1, 0.5, 0.0, 0.0, 0.0, 1.0]
    assert peer.set_parameters(**{'left.frame_transform': transform}) == ''
    packed = node.log.count('packed')
    own = {name: peer.subscribe(f'/{name}/points', PointCloud2) for name in ('front', 'left')}
    clouds.clear()
    for second in (500, 501):  # twice, for the cameras take turns in any order
        for name in ('front', 'left', 'rear'):
            show(peer, name, second)
    assert wait_until(lambda: any(c.width == 2 * 64 * 48 + 80 * 40 for c in clouds))
    assert wait_until(lambda: all(own.values()))
    assert wait_until(lambda: node.log.count('packed') == packed + 6)  # once for both clouds


@pytest.mark.parametrize('frame', ['base', '/base'])
def test_the_place_is_looked_up_once_it_is_no_longer_set(peer, monkeypatch, frame):
    """frame_transform back to zeros: tf2 is asked, by names without the slash that it refuses."""
    monkeypatch.setattr(transforms, 'AVAILABLE', True)
    monkeypatch.setattr(merged_points, 'Transforms', FakeTransforms)
    settings = Settings(merged_frame=frame, frame_transform=(0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 1.0))
    merged = MergedPoints(peer.node, {'front': settings})
    clouds = peer.subscribe('/points', PointCloud2)
    assert wait_until(merged.wanted)

    def z(settings):
        header = Header(frame_id='/front_optical')
        merged.add('front', header, np.full((1, 1, 3), 2.0, np.float32), settings)
        assert merged.problem('front') == ''
        assert wait_until(lambda: bool(clouds))
        return np.frombuffer(clouds.pop().data, '<f4')[2]

    assert z(settings) == 7.0
    looked_up = dataclasses.replace(settings, frame_transform=(0.0,) * 7)
    merged.check({'front': looked_up})
    assert z(looked_up) == 3.0
    merged.destroy()


class Tf:
    """Says on /tf_static or /tf where frames are."""

    def __init__(self, peer, topic):
        kept = (
            DurabilityPolicy.TRANSIENT_LOCAL if topic == '/tf_static' else DurabilityPolicy.VOLATILE
        )
        self.peer = peer
        self.publisher = peer.node.create_publisher(
            transforms.TFMessage, topic, QoSProfile(depth=100, durability=kept)
        )

    def tell(self, parent, child, values):
        """Publish parent_from_child, x y z [m] qx qy qz qw."""
        one = TransformStamped(child_frame_id=child)
        one.header.frame_id = parent
        one.header.stamp = self.peer.node.get_clock().now().to_msg()
        place = one.transform
        place.translation.x, place.translation.y, place.translation.z = values[:3]
        turn = place.rotation
        turn.x, turn.y, turn.z, turn.w = values[3:]
        self.publisher.publish(transforms.TFMessage(transforms=[one]))


@pytest.mark.skipif(not transforms.AVAILABLE, reason='tf2_ros is not installed')
def test_where_the_cameras_are_by_tf2(run_node, peer):
    """One by /tf_static alone, one by way of /tf, too; one has no place until it is told."""
    ahead, still = (-0.5, 0.5, -0.5, 0.5), (0.0, 0.0, 0.0, 1.0)
    static, moving = Tf(peer, '/tf_static'), Tf(peer, '/tf')
    static.tell('base', 'front_mount', (0.1, 0.0, 0.2, *still))
    static.tell('front_mount', 'front_optical', (0.0, 0.0, 0.3, *ahead))
    static.tell('head', 'left_optical', (0.0, 0.0, 0.2, *ahead))
    params = {name: v for name, v in PARAMS.items() if not name.endswith('.frame_transform')}
    node = run_node(params, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    second = 0

    def shown(names):
        nonlocal second
        second += 1
        moving.tell('base', 'head', (0.0, 0.4, 0.3, *still))
        for name in ('front', 'left', 'rear'):
            show(peer, name, second)
        return any(c.width == sum(SIZES[name] for name in names) for c in clouds)

    assert wait_until(lambda: shown(['front', 'left'])), node.log
    cloud = next(c for c in clouds if c.width == SIZES['front'] + SIZES['left'])
    points = np.frombuffer(cloud.data, '<f4').reshape(-1, 4)
    front, left = points[points[:, 0] > 2.05], points[points[:, 0] < 2.05]
    assert (len(front), len(left)) == (SIZES['front'], SIZES['left'])
    np.testing.assert_allclose(front[:, 0], 2.1, atol=1e-5)
    np.testing.assert_allclose(front[0, 1:3], [2 * 30.5 / 55, 0.5 + 2 * 25 / 50], atol=1e-5)
    np.testing.assert_allclose(left[:, 0], 2.0, atol=1e-5)
    np.testing.assert_allclose(left[0, 1:3], [0.4 + 2 * 40 / 70, 0.5 + 2 * 18 / 71], atol=1e-5)
    assert "/tf_static does not connect 'left_optical' with 'base': /tf is read, too" in node.log

    def told(found):
        shown(())
        return 'not merged' in found['rear'].message

    why = "tf2 does not connect 'rear_optical' with merged_frame 'base'"
    assert why in statuses(peer, told)['rear'].message
    static.tell('base', 'rear_optical', (-0.1, 0.0, 0.5, 0.5, 0.5, -0.5, -0.5))
    assert wait_until(lambda: shown(['front', 'left', 'rear']))
