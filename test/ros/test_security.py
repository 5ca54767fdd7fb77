# SPDX-License-Identifier: Apache-2.0
"""The SROS 2 policy of docs/ against the topics and services that the node really has (fake)."""

import xml.etree.ElementTree as ElementTree

from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from .conftest import ROOT, wait_until

# what a node has not without use_sim_time, tf2 and motion, and with `scale_source: points`
ABSENT = {'/clock', '/tf', '/tf_static', '/scale/range', '/odometry'}
REMAPPING = ('image:=/camera/image_raw', 'camera_info:=/camera/camera_info')


def test_policy_names_what_the_node_has(run_node, peer):
    """Every topic and service of the node is in the policy, and the other way round."""
    params = {'model': 'slow:0', 'scale_source': 'points'}
    run_node(params, *(p for r in REMAPPING for p in ('-r', r)), fake=True)
    profile = ElementTree.parse(ROOT / 'docs' / 'sros2_policy.xml').find('.//profile')

    def allowed(kind, use):
        found = profile.findall(f"{kind}s[@{use}='ALLOW']/{kind}")
        names = {element.text.replace('~', '/depth_pcd') for element in found}
        return {name if name.startswith('/') else f'/{name}' for name in names}

    assert wait_until(lambda: 'depth_pcd' in peer.node.get_node_names())

    def names(of_node):
        return {name for name, _ in of_node('depth_pcd', '/')}

    for topic, msg_type in (
        ('/camera/image_raw', Image),
        ('/camera/camera_info', CameraInfo),
        ('/scale/points', PointCloud2),
    ):
        peer.publisher(topic, msg_type)  # the node subscribes once there is one
    node = peer.node
    for of_node, expected in (
        (node.get_service_names_and_types_by_node, allowed('service', 'reply')),
        (node.get_publisher_names_and_types_by_node, allowed('topic', 'publish')),
        (node.get_subscriber_names_and_types_by_node, allowed('topic', 'subscribe') - ABSENT),
    ):
        assert wait_until(lambda f=of_node, e=expected: names(f) == e), (names(of_node), expected)
