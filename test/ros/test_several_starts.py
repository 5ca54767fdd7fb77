# SPDX-License-Identifier: Apache-2.0
"""How a node with several cameras starts: its parameters from the command line, and refusals."""

import pytest
from rcl_interfaces.srv import ListParameters

NAMES = '[front, left, rear]'


@pytest.mark.parametrize(
    ('params', 'told'),
    [
        ({'back.rectified': True}, "back.rectified is set, but there is no camera 'back': cameras"),
        ({'rear.model': 'demo'}, 'rear.model is set, but all cameras share model'),
        ({'rear.depth_scale': 2}, 'rear.depth_scale is 2 (int), expected float'),
        ({'cameras': '[front, front]'}, "cameras has 'front' 2 times"),
        ({'cameras': 'front'}, "cameras is 'front' (str), expected a list of names"),
    ],
)
def test_what_is_refused_at_the_start(run_node, params, told):
    """The node ends with a sentence."""
    node = run_node({'model': 'two', 'cameras': NAMES, **params}, fake=True, ready=told)
    assert node.process.wait(20) == 1


def test_a_typing_error_in_the_name_of_a_cameras_parameter(run_node):
    """It is told, as others are."""
    run_node({'model': 'two', 'cameras': NAMES, 'rear.rectifeid': True}, fake=True).wait_for(
        "unknown parameter 'rear.rectifeid' is set: a typing error? There is 'rear.rectified'"
    )


def test_parameters_of_cameras_that_are_not_listed_at_all(run_node):
    """Without names of cameras they may be another node's: they are told of, and no more."""
    node = run_node({'model': 'two', 'rear.stride': 2}, fake=True)
    node.wait_for("the parameter 'rear.stride' is set, but cameras has no names")


def test_cameras_can_be_changed_while_unconfigured(run_node, peer):
    """Their parameters come and go with them."""
    params = {'model': 'two', 'cameras': NAMES, 'rear.stride': 2, 'autostart': False}
    run_node(params, fake=True, ready='')
    assert peer.state() == 'unconfigured'
    assert peer.set_parameters(cameras=['front', 'back']) == ''
    listed = peer.call(ListParameters, 'list_parameters', ListParameters.Request())
    cameras = {name.partition('.')[0] for name in listed.result.names if name.endswith('.stride')}
    assert cameras == {'front', 'back'}
    assert peer.change_state('configure')
    assert peer.change_state('activate')
    topics = {name for name, _ in peer.node.get_topic_names_and_types()}
    assert {'/front/points', '/back/points'} <= topics
    assert '/rear/points' not in topics


def test_the_odometry_is_the_robots_unless_a_camera_has_its_own(run_node):
    """The common topic serves all cameras but one whose own was remapped."""
    params = {'model': 'two', 'cameras': '[front, rear]', 'temporal_filter': 0.5}
    node = run_node(params, '-r', 'front/odometry:=/arm/odometry', fake=True)
    node.wait_for('motion from /arm/odometry')
    node.wait_for('motion from /odometry')
    assert node.log.count('motion from') == 2
