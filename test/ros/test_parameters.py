# SPDX-License-Identifier: Apache-2.0
"""Parameters over their services, from the command line and from YAML files."""

import numpy as np
import pytest
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from depth_pcd_ros.settings import OPTIONS, Settings

from .conftest import CONSTANT_DEPTH, ROOT, make_image, make_info, wait_until

WIDTH, HEIGHT = 64, 48
TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    tuple: ParameterType.PARAMETER_DOUBLE_ARRAY,
}


@pytest.fixture(scope='module')
def node(run_shared_node, constant_params):
    """A running node that the tests of this module share."""
    return run_shared_node(constant_params)


@pytest.fixture(scope='module')
def peer(shared_peer):
    """What talks to it; to discover each other anew for each test would take a second."""
    return shared_peer


def cloud_of(peer, second):
    """The cloud of a new image."""
    clouds = peer.received.get('/points')
    clouds = peer.subscribe('/points', PointCloud2) if clouds is None else clouds
    clouds.clear()
    peer.show(
        make_image(WIDTH, HEIGHT, stamp=(second, 0)),
        make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0),
    )
    assert wait_until(lambda: len(clouds) == 1)
    return clouds[0]


def test_every_setting_is_described(node, peer):
    """Each parameter has type, description, unit, range and read-only flag of settings.py."""
    names = list(OPTIONS)
    request = DescribeParameters.Request(names=names)
    described = peer.call(DescribeParameters, 'describe_parameters', request).descriptors
    for name, found in zip(names, described, strict=True):
        option, default = OPTIONS[name], getattr(Settings, name)
        assert found.name == name
        assert found.dynamic_typing == (default == ())  # of an empty list
        assert found.dynamic_typing or found.type == TYPES[type(default)]
        assert option.description in found.description
        assert not option.unit or f'[{option.unit}]' in found.description
        assert not found.read_only  # which would hold for a node that is not configured, too
        only = 'to be changed only while the node is unconfigured'
        assert (only in found.additional_constraints) == (not option.live)
        assert all(choice in found.additional_constraints for choice in option.choices)
        ranges = [*found.floating_point_range, *found.integer_range]
        bounds = [option.bounds] if option.bounds else []
        if isinstance(default, tuple):  # a descriptor has ranges for single numbers only
            assert option.allowed() in found.additional_constraints
            bounds = []
        assert [(r.from_value, r.to_value) for r in ranges] == bounds


def test_a_change_acts_on_the_next_frame(node, peer):
    """A live parameter changes the very next cloud."""
    assert cloud_of(peer, 1).width == WIDTH
    assert peer.set_parameters(stride=2, depth_scale=1.5, cloud_fields='xyz') == ''
    cloud = cloud_of(peer, 2)
    assert (cloud.width, cloud.height, cloud.point_step) == (WIDTH // 2, HEIGHT // 2, 12)
    z = np.frombuffer(cloud.data, '<f4').reshape(-1, 3)[:, 2]
    np.testing.assert_allclose(z, 1.5 * CONSTANT_DEPTH)
    assert peer.wait_for_values(lambda v: v['depth scale'] == '1.5')
    assert peer.set_parameters(stride=1, depth_scale=1.0, cloud_fields='xyzrgb') == ''
    assert cloud_of(peer, 3).width == WIDTH


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('stride', 4, lambda cloud, z: (cloud.height, cloud.width) == (HEIGHT // 4, WIDTH // 4)),
        ('depth_scale', 2.0, lambda cloud, z: (z == 2.0 * CONSTANT_DEPTH).all()),
        ('min_depth', CONSTANT_DEPTH + 0.1, lambda cloud, z: np.isnan(z).all()),
        ('max_range', CONSTANT_DEPTH - 0.1, lambda cloud, z: np.isnan(z).all()),
        # a wall in front is met at less than 5 degrees by 9.6 x 8.7 px and by some at the border
        ('edge_filter', 5.0, lambda cloud, z: 84 <= np.isfinite(z).sum() <= 150),
        ('min_confidence', 99.0, lambda cloud, z: np.isnan(z).all()),
        ('voxel_size', 10.0, lambda cloud, z: cloud.height == 1 and len(z) == 1),
        ('cloud_fields', 'xyz', lambda cloud, z: cloud.point_step == 12),
        ('organized', False, lambda cloud, z: cloud.is_dense and len(z) == HEIGHT * WIDTH),
    ],
)
def test_each_live_setting_acts_on_the_next_cloud(node, peer, name, value, expected):
    """And so does setting it back. (depth_encoding: below.)"""
    for to_set, is_default in ((value, False), (getattr(Settings, name), True)):
        assert peer.set_parameters(**{name: to_set}) == ''
        cloud = cloud_of(peer, 2)
        z = np.frombuffer(cloud.data, '<f4').reshape(-1, cloud.point_step // 4)[:, 2]
        if is_default:
            assert (cloud.height, cloud.width, cloud.point_step) == (HEIGHT, WIDTH, 16)
            np.testing.assert_allclose(z, CONSTANT_DEPTH)
        else:
            assert expected(cloud, z)


def test_depth_encoding_acts_on_the_next_depth(node, peer):
    """Metres, then millimetres, then metres."""
    images = peer.subscribe('/depth/image', Image)
    for encoding, value in (('32FC1', CONSTANT_DEPTH), ('16UC1', 2000), ('32FC1', CONSTANT_DEPTH)):
        assert peer.set_parameters(depth_encoding=encoding) == ''
        images.clear()
        cloud_of(peer, 3)
        assert wait_until(lambda: images)
        assert images[0].encoding == encoding
        dtype = {'32FC1': '<f4', '16UC1': '<u2'}[encoding]
        np.testing.assert_allclose(np.frombuffer(images[0].data, dtype), value)


def test_resolution_acts_on_the_next_cloud(node, peer):
    """The size of the network's output, between the same corners; then that of the image again."""
    clouds, infos = (
        peer.subscribe('/points', PointCloud2),
        peer.subscribe('/depth/camera_info', CameraInfo),
    )
    for second, resolution, size in (
        (1, 'network', (42, 28)),  # 28 px for the short side; 37.3 to a multiple of 14
        (2, 'image', (1280, 960)),
    ):
        assert peer.set_parameters(resolution=resolution) == ''
        clouds.clear()
        infos.clear()
        peer.show(
            make_image(1280, 960, stamp=(second, 0)),
            make_info(1280, 960, 1100.0, 1000.0, 639.5, 479.5),
        )
        assert wait_until(lambda: clouds and infos)
        cloud, info = clouds[0], infos[0]
        assert (cloud.width, cloud.height) == (info.width, info.height) == size
        xyz = np.frombuffer(cloud.data, '<f4').reshape(*size[::-1], 4)[..., :3]
        corner = np.array([639.5 / 1100, 479.5 / 1000, 1.0])
        np.testing.assert_allclose(xyz[-1, -1], CONSTANT_DEPTH * corner, rtol=1e-5)
        np.testing.assert_allclose(xyz[0, 0], CONSTANT_DEPTH * corner * [-1, -1, 1], rtol=1e-5)
        scale = (size[0] - 1) / 1279, (size[1] - 1) / 959
        np.testing.assert_allclose([info.k[0], info.k[4]], [1100 * scale[0], 1000 * scale[1]])
        np.testing.assert_allclose([info.k[2], info.k[5]], [639.5 * scale[0], 479.5 * scale[1]])


def test_the_list_of_live_settings_is_whole():
    """All that can be changed while running is tried above, but for those of scale and motion."""
    cases = test_each_live_setting_acts_on_the_next_cloud.pytestmark[0].args[1]
    tried = {'depth_encoding', 'resolution', *(case[0] for case in cases)}
    elsewhere = ('scale_', 'camera_', 'range_direction', 'temporal_filter', 'odometry_transform')
    elsewhere += ('merged_timeout', 'frame_transform')
    live = {name for name, option in OPTIONS.items() if option.live}
    assert {name for name in live if not name.startswith(elsewhere)} == tried


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'stride': 4, 'depth_encoding': '8UC1'}, "depth_encoding is '8UC1', expected one of"),
        ({'stride': 4, 'max_range': 0.05}, 'max_range is 0.05 m, expected 0 or more than min_dep'),
        ({'stride': 4, 'depth_scale': float('nan')}, 'depth_scale'),
        ({'stride': 65}, 'stride'),
        ({'stride': 4, 'depth_scale': 1000.0}, 'depth_scale'),
        ({'stride': 4, 'model': 'demo'}, 'model'),
        ({'stride': 4, 'depth_scale': 2}, 'depth_scale is 2 (int), expected float'),
        ({'stride': 4, 'scale_bounds': [1, 2]}, 'expected 2 floats, from 0.01 to 100: write [1.0'),
        ({'stride': 4, 'scale_bounds': [1.2, 0.8]}, 'are [1.2, 0.8], expected the lower one first'),
    ],
)
def test_a_wrong_change_changes_nothing(node, peer, changes, reason):
    """A wrong value among several is refused with the reason, and none of them is set."""
    assert reason in peer.set_parameters(**changes)
    request = GetParameters.Request(names=['stride'])
    assert peer.call(GetParameters, 'get_parameters', request).values[0].integer_value == 1
    assert cloud_of(peer, 4).width == WIDTH


def test_an_integer_for_a_float_is_told_how_to_write(node, peer):
    """As by `ros2 param set /depth_pcd edge_filter 0`, which sets its one parameter like this."""
    zero = Parameter('edge_filter', value=0).to_parameter_msg()
    request = SetParameters.Request(parameters=[zero])
    (result,) = peer.call(SetParameters, 'set_parameters', request).results
    reason = 'edge_filter is 0 (int), expected float, from 0 to 89.9 deg: write 0.0'
    assert (result.successful, result.reason) == (False, reason)


def test_yaml_file_with_a_typo(run_node, tmp_path):
    """A file sets parameters; names that do not exist are told, those of ROS itself are not."""
    lines = (ROOT / 'config' / 'depth_pcd.yaml').read_text()
    lines = lines.replace('stride: 1', 'stride: 3').replace('indoor-small', "'slow:0'")
    extra = {
        'strid': 2,
        'use_sim_time': 'true',
        'qos_overrides./image.subscription.reliability': 'best_effort',
        'qos_overrides./points.publisher.depth': 3,
        'qos_overrides./imagee.subscription.reliability': 'reliable',
    }
    # of other nodes, in a file that is for several
    extra |= {'robot_description': 'x', 'min_range': 0.1, 'camera_name': 'front', 'rate': 30.0}
    extra['qos_overrides./tf.publisher.depth'] = 10
    lines = lines.replace('depth_pcd:', '/**:', 1)
    lines += ''.join(f'    {name}: {value}\n' for name, value in extra.items())
    (tmp_path / 'params.yaml').write_text(lines)
    node = run_node({}, '--params-file', str(tmp_path / 'params.yaml'), ready='', fake=True)
    node.wait_for('listening')
    node.wait_for('imagee')
    assert "unknown parameter 'strid' is set: a typing error? There is 'stride'" in node.log
    assert "unknown parameter 'qos_overrides./imagee.subscription.reliability'" in node.log
    assert node.log.count('unknown parameter') == 2


@pytest.mark.parametrize(
    ('params', 'told'),
    [
        ({'distortion': 'bend'}, "distortion is 'bend', expected one of rays, rectify, ignore"),
        (
            {'depth_scale': 2},
            'depth_scale is 2 (int), expected float, from 0.01 to 100: write 2.0',
        ),
        ({'stride': 0}, 'stride is 0 (int), expected int, from 1 to 64 px'),
        ({'rectified': 1}, 'rectified is 1 (int), expected true or false\n'),
        (
            {'scale_bounds': '[1, 2]'},
            'scale_bounds is [1, 2] (list), expected 2 floats, from 0.01 to 100: write [1.0, 2.0]',
        ),
        ({'scale_bounds': '[0.8]'}, 'scale_bounds is [0.8] (list), expected 2 floats'),
        ({'scale_source': 'plane'}, 'camera_height is 0.0, expected more'),
    ],
)
def test_wrong_parameter_at_the_start(run_node, params, told):
    """A wrong value ends the node with a sentence that names it and what is allowed."""
    node = run_node(params, ready='')
    assert node.process.wait(20) == 1
    assert wait_until(lambda: told in node.log), node.log
    assert 'Traceback' not in node.log


def test_what_the_model_does_not_take(run_node):
    """What only the model's family can refuse is said when it is loaded, and the node stays."""
    node = run_node({'input_size': 100}, ready='')
    node.wait_for('cannot configure: input_size is 100 px, expected 0 or a multiple of 14')
    assert node.process.poll() is None
    assert 'Traceback' not in node.log
