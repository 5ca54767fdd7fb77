# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one model, over the middleware."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from .conftest import make_image, make_info, wait_until

# Of each its size and its intrinsics: fx, fy, cx, cy [px].
CAMERAS = {
    'front': ((64, 48), (55.0, 50.0, 30.5, 25.0)),
    'left': ((80, 40), (70.0, 71.0, 40.0, 18.0)),
    'rear': ((64, 48), (40.0, 41.0, 33.0, 22.0)),
}
NAMES = f'[{", ".join(CAMERAS)}]'


def image_of(name, second):
    """An image of a camera: of its size, with its frame, and colours of its own."""
    width, height = CAMERAS[name][0]
    image = make_image(width, height, stamp=(100 * [*CAMERAS].index(name) + second, 0))
    image.header.frame_id = f'{name}_optical'
    return image


def info_of(name):
    """Its CameraInfo."""
    return make_info(*CAMERAS[name][0], *CAMERAS[name][1])


def show(peer, name, second):
    """Publish an image of a camera after its CameraInfo, and return the image."""
    image, info = image_of(name, second), info_of(name)
    info.header = image.header
    peer.publisher(f'/{name}/camera_info', CameraInfo).publish(info)
    peer.publisher(f'/{name}/image', Image).publish(image)
    return image


def check_cloud(cloud, name, image, depth=None):
    """A cloud is of this camera's geometry and of this image's colours, stamp and frame."""
    (width, height), (fx, fy, cx, cy) = CAMERAS[name]
    assert cloud.header == image.header
    assert (cloud.width, cloud.height) == (width, height)
    values = np.frombuffer(cloud.data, '<f4').reshape(height, width, 4)
    v, u = np.mgrid[:height, :width]
    depth = values[..., 2] if depth is None else depth
    np.testing.assert_allclose(values[..., 0], depth * (u - cx) / fx, atol=1e-4)
    np.testing.assert_allclose(values[..., 1], depth * (v - cy) / fy, atol=1e-4)
    np.testing.assert_allclose(values[..., 2], depth, atol=1e-4)
    bgr0 = values[..., 3].copy().view(np.uint8).reshape(height, width, 4)
    rgb = np.frombuffer(image.data, np.uint8).reshape(height, width, 3)
    np.testing.assert_array_equal(bgr0[..., 2::-1], rgb)


def statuses(peer, condition=lambda found: len(found) == len(CAMERAS)):
    """The status of each camera by its name, once they satisfy a condition."""
    arrays = peer.received.get('/diagnostics')
    arrays = peer.subscribe('/diagnostics', DiagnosticArray) if arrays is None else arrays
    arrays.clear()

    def found():
        newest = arrays[-1].status if arrays else []
        return {one.name.rpartition(' ')[2]: one for one in newest}

    assert wait_until(lambda: arrays and condition(found()), 15.0), found()
    return found()


@pytest.fixture(scope='module')
def node(run_shared_node):
    """A node with three cameras, whose network sees 2 m everywhere."""
    params = {'cameras': NAMES, 'rear.depth_scale': 1.5, 'edge_filter': 0.0, 'max_batch': 4}
    return run_shared_node({'model': 'two', **params}, fake=True)


@pytest.fixture(scope='module')
def peer(shared_peer):
    """What talks to it."""
    return shared_peer


def test_each_camera_gets_its_own_clouds(node, peer):
    """By its own intrinsics, in its own frame, of its own pixels, with its own parameters."""
    clouds = {name: peer.subscribe(f'/{name}/points', PointCloud2) for name in CAMERAS}
    images = {name: [] for name in CAMERAS}
    for second in range(1, 6):
        for name in CAMERAS:
            images[name].append(show(peer, name, second))
        assert wait_until(lambda n=second: all(len(some) == n for some in clouds.values()))
    for name, some in clouds.items():
        for cloud, image in zip(some, images[name], strict=True):
            check_cloud(cloud, name, image, 3.0 if name == 'rear' else 2.0)


def test_each_camera_has_a_status(node, peer):
    """With its name, its image topic and its own counts."""
    peer.subscribe('/front/points', PointCloud2)
    before = {name: int(values(one)['frames received']) for name, one in statuses(peer).items()}
    show(peer, 'front', 6)
    found = statuses(
        peer, lambda all_: int(values(all_['front'])['frames received']) == before['front'] + 1
    )
    for name in ('left', 'rear'):
        assert int(values(found[name])['frames received']) == before[name]
    assert {one.hardware_id for one in found.values()} == {f'/{name}/image' for name in CAMERAS}
    assert values(found['rear'])['depth scale'] == '1.5'
    assert values(found['front'])['depth scale'] == '1'


def values(status):
    """The values of a status by their names."""
    return {pair.key: pair.value for pair in status.values}


def test_a_camera_that_is_silent_is_named(node, peer):
    """The others are well meanwhile."""
    peer.subscribe('/front/points', PointCloud2)

    def told(found):
        show(peer, 'front', 7)
        return found['left'].level == DiagnosticStatus.STALE

    found = statuses(peer, told)
    assert 'no image for' in found['left'].message
    assert '/left/image' in found['left'].message
    assert found['front'].level == DiagnosticStatus.WARN  # stamps of 1970
    assert 'results/s' in found['front'].message


def parameter(peer, name):
    """The value of a parameter of the node."""
    answer = peer.call(GetParameters, 'get_parameters', GetParameters.Request(names=[name]))
    return answer.values[0].double_value


def test_parameters_of_one_camera_while_running(node, peer):
    """One that is set for a camera is its own from then on; without, it follows the common one."""
    assert parameter(peer, 'left.depth_scale') == 1.0
    assert peer.set_parameters(depth_scale=2.0) == ''
    read = [parameter(peer, f'{name}.depth_scale') for name in CAMERAS]
    assert read == [2.0, 2.0, 1.5]
    assert peer.set_parameters(**{'left.depth_scale': 0.5}) == ''
    assert peer.set_parameters(depth_scale=1.25) == ''
    clouds = {name: peer.subscribe(f'/{name}/points', PointCloud2) for name in CAMERAS}
    images = {name: show(peer, name, 8) for name in CAMERAS}
    assert wait_until(lambda: all(clouds.values()))
    for name, depth in (('front', 2.5), ('left', 1.0), ('rear', 3.0)):
        check_cloud(clouds[name][0], name, images[name], depth)
    assert peer.set_parameters(**{'left.depth_scale': 1.0, 'depth_scale': 1.0}) == ''


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('rear.stride', 0, 'stride'),
        ('rear.max_range', 0.05, 'rear.max_range is 0.05 m, expected 0 or more than min_depth'),
        ('rear.rectified', True, 'rectified can be changed only while the node is unconfigured'),
        ('rear.stride', 2.0, 'rear.stride is 2.0 (float), expected int'),
        ('back.stride', 2, 'back.stride'),
        ('cameras', ['front'], 'cameras can be changed only while the node is unconfigured'),
    ],
)
def test_a_wrong_change_for_a_camera(node, peer, name, value, reason):
    """It is refused with a reason that names it."""
    assert reason in peer.set_parameters(**{name: value})
