# SPDX-License-Identifier: Apache-2.0
"""When parameters may be changed, and what then holds."""

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from depth_pcd_ros.ros.node import DepthPcdNode
from depth_pcd_ros.settings import Settings


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
