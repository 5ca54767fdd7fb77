# SPDX-License-Identifier: Apache-2.0
"""When parameters may be changed, and what then holds."""

import pytest
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from depth_pcd_ros.ros.node import DepthPcdNode
from depth_pcd_ros.settings import OPTIONS, Settings


def test_the_others_are_changed_while_unconfigured(run_node, peer):
    """So that a lifecycle manager can switch models; it is told when they cannot (fake engine)."""
    node = run_node({'model': 'slow:0', 'autostart': False}, ready='', fake=True)
    refusal = 'model can be changed only while the node is unconfigured: deactivate and clean up'
    for model in ('ramp', 'slow:0.01'):
        assert peer.set_parameters(model=model, frames='all', stride=2) == ''
        assert peer.change_state('configure')
        assert refusal in peer.set_parameters(model='demo', stride=4)
        assert peer.set_parameters(model=model, stride=3) == ''  # it is that already
        assert peer.wait_for_values(lambda v: v.get('model') == model)  # noqa: B023
        assert peer.change_state('cleanup')
    assert node.log.count("model is 'ramp' now, it was 'slow:0'") == 1
    assert node.log.count('stride is 3 now, it was 2') == 2


@pytest.mark.parametrize(
    ('names', 'others'),
    [([], ['front']), (['front'], ['left']), (['front'], ['front', 'left'])],
)
def test_the_cameras_stay_while_it_works(run_node, peer, names, others):
    """One more or another one is refused, and the node goes on (fake engine)."""
    refusal = 'cameras can be changed only while the node is unconfigured'
    params = {'model': 'slow:0', 'autostart': False}
    node = run_node({**params, 'cameras': names} if names else params, ready='', fake=True)
    assert peer.change_state('configure')
    assert refusal in peer.set_parameters(cameras=others)
    assert peer.change_state('activate')
    assert refusal in peer.set_parameters(cameras=others, stride=2)
    assert peer.set_parameters(stride=2) == ''
    assert peer.state() == 'active'
    assert 'Traceback' not in node.log


def test_what_another_callback_refuses_changes_nothing(peer):
    """Validated here, then refused: the settings stay; what is allowed is taken."""
    node = DepthPcdNode(context=peer.context)

    def refuse(changes):
        refused = any(change.value == 3 for change in changes)
        return SetParametersResult(successful=not refused, reason='three' if refused else '')

    node.remove_on_set_parameters_callback(node._on_set_parameters)
    node.add_on_set_parameters_callback(refuse)
    node.add_on_set_parameters_callback(node._on_set_parameters)  # is asked first
    try:
        assert node.set_parameters_atomically([Parameter('stride', value=3)]).reason == 'three'
        assert not node.set_parameters([Parameter('stride', value=3)])[0].successful
        assert node.settings == Settings()
        assert node.set_parameters_atomically([Parameter('stride', value=2)]).successful
        assert node.settings == Settings(stride=2)
    finally:
        node.destroy_node()


def test_none_is_deleted(peer):
    """`ros2 param delete` is refused, of each of them, and the node goes on."""
    node = DepthPcdNode(context=peer.context)
    try:
        for name in OPTIONS:
            for answer in (
                node.set_parameters([Parameter(name, Parameter.Type.NOT_SET)])[0],
                node.set_parameters_atomically([Parameter(name, Parameter.Type.NOT_SET)]),
            ):
                assert not answer.successful
                assert answer.reason
        assert 'cameras cannot be deleted, only be set' in answer_of(node, 'cameras')
        assert node.settings == Settings()
    finally:
        node.destroy_node()


def answer_of(node, name):
    """Why a parameter cannot be deleted."""
    return node.set_parameters([Parameter(name, Parameter.Type.NOT_SET)])[0].reason


def test_each_of_several_is_judged_after_those_before(peer):
    """One service call may set several, one after another: max_range by the min_depth before it."""
    node = DepthPcdNode(context=peer.context)
    try:
        changes = [Parameter('min_depth', value=3.0), Parameter('max_range', value=2.0)]
        first, second = node.set_parameters(changes)
        assert first.successful
        assert 'max_range is 2 m, expected 0 or more than min_depth, 3 m' in second.reason
        assert (node.settings.min_depth, node.settings.max_range) == (3.0, 0.0)
    finally:
        node.destroy_node()
