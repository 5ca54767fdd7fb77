# SPDX-License-Identifier: Apache-2.0
"""config/nav2_costmap.yaml reaches the costmap's node, whose name Nav2 gives it."""

import pytest
import rclpy
from rclpy.node import Node

from .conftest import ROOT


@pytest.mark.usefixtures('_isolated_ros')
@pytest.mark.parametrize('namespace', ['', '/robot'])
def test_the_costmap_gets_its_parameters(tmp_path, namespace):
    """In any namespace; a file after it wins."""
    own = tmp_path / 'own.yaml'
    own.write_text(f'{namespace}/local_costmap/local_costmap:\n  ros__parameters: {{width: 9}}\n')
    files = (ROOT / 'config' / 'nav2_costmap.yaml', own)
    context = rclpy.Context()
    rclpy.init(
        args=['--ros-args', *(w for f in files for w in ('--params-file', str(f)))], context=context
    )
    try:
        node = Node(
            'local_costmap',
            namespace=f'{namespace}/local_costmap',
            context=context,
            automatically_declare_parameters_from_overrides=True,
        )
        values = {name: node.get_parameter(name).value for name in ('width', 'height', 'plugins')}
        assert values == {'width': 9, 'height': 6, 'plugins': ['depth_layer', 'inflation_layer']}
        assert node.get_parameter('depth_layer.depth_mark.topic').value == '/points'
        node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
