# SPDX-License-Identifier: Apache-2.0
"""The merged cloud of several cameras, over the middleware."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import PointCloud2

from .conftest import wait_until
from .test_several_cameras import show, statuses

PARAMS = {
    'model': 'two',  # sees 2 m everywhere
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
    run_node(PARAMS, fake=True)
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
    assert "left.frame_transform is not set, and tf2 does not connect 'left_optical'" in (
        status.message
    )
    transform = [0.0, 0.1, 0.5, 0.0, 0.0, 0.0, 1.0]
    assert peer.set_parameters(**{'left.frame_transform': transform}) == ''
    clouds.clear()
    for second in (500, 501):  # twice, for the cameras take turns in any order
        for name in ('front', 'left', 'rear'):
            show(peer, name, second)
    assert wait_until(lambda: any(c.width == 2 * 64 * 48 + 80 * 40 for c in clouds))
