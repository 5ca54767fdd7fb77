# SPDX-License-Identifier: Apache-2.0
"""Images of 0.9 MB from another process: what Fast DDS loses of them by default; a fake engine."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import PointCloud2

from depth_pcd_ros.live.environment import profile_variable
from scenes.isolation import PROFILE

from .conftest import FAKE_ENGINE, NodeProcess, wait_until

LOST = 'images lost on the way in the last 10 s'


@pytest.fixture
def start(_isolated_ros):
    """A function that starts the node and a 30 Hz camera, with or without the profile."""
    running = []

    def run(reliability, *, camera_profile, node_profile):
        node = NodeProcess(['--ros-args', '-p', 'model:=slow:0'], FAKE_ENGINE, node_profile)
        running.append(node)
        node.wait_for('listening')
        run.camera = NodeProcess(['camera', reliability], 'test.ros.stream', profile=camera_profile)
        running.append(run.camera)
        return node

    yield run
    for process in running:
        process.stop()


@pytest.mark.parametrize(
    ('node_profile', 'advice'),
    [
        (False, f'with export {profile_variable()}={PROFILE}, see'),
        (True, 'also set for the camera?'),
    ],
)
def test_losses_are_told_with_what_helps(start, peer, node_profile, advice):
    """Best-effort images that do not fit into the shared memory: counted, and the cure is named."""
    node = start('BEST_EFFORT', camera_profile=False, node_profile=node_profile)
    status = peer.wait_for_status(LOST, timeout=15.0)
    assert status.level in (DiagnosticStatus.WARN, DiagnosticStatus.STALE)
    assert advice in status.message
    assert peer.wait_for_values(lambda v: int(v['frames lost on the way']) >= 5)
    node.wait_for(advice, 5.0)
    start.camera.stop()
    peer.wait_for_status(': no publisher', DiagnosticStatus.STALE)  # and of the memory no more


@pytest.mark.parametrize('reliability', ['BEST_EFFORT', 'RELIABLE'])
def test_nothing_is_lost_with_the_profile(start, peer, reliability):
    """With the shared memory of config/fastdds.xml all images arrive, and no loss is told."""
    start(reliability, camera_profile=True, node_profile=True)
    clouds = peer.subscribe('/points', PointCloud2)
    assert wait_until(lambda: len(clouds) > 30)
    values = peer.wait_for_values(lambda v: int(v['frames received']) > 60)
    assert values['frames lost on the way'] == '0'
    peer.wait_for_status('results/s', DiagnosticStatus.OK)
    assert not any(LOST in array.status[0].message for array in peer.received['/diagnostics'])
