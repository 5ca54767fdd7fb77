# SPDX-License-Identifier: Apache-2.0
"""Quality of service: what adapts, what wins, and what is told; the engine is a fake."""

import time

import pytest
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import ListParameters
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from depth_pcd_ros.ros.qos import PublisherEventCallbacks
from depth_pcd_ros.ros.subscription import Gaps

from .conftest import NodeProcess, make_image, make_info, wait_until

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
DURABILITY = 'qos_overrides./camera_info.subscription.durability'
WIDTH, HEIGHT = 64, 48
IMAGE_RELIABILITY = 'qos_overrides./image.subscription.reliability'


def info():
    """The CameraInfo of the images here."""
    return make_info(WIDTH, HEIGHT, 55.0, 50.0, 30.5, 25.0)


def show_until(peer, condition):
    """Publish images with their CameraInfo until a condition holds; return whether it did."""

    def shown():
        peer.show(make_image(WIDTH, HEIGHT), info())
        return wait_until(condition, 0.1)

    return wait_until(shown)


def test_adapts_both_ways(run_node, peer):
    """Reliable, then best effort, then reliable cameras are received, whatever came before."""
    node = run_node({'model': 'slow:0'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)

    def subscribed():
        return {
            endpoint.qos_profile.reliability
            for topic in ('/camera_info', '/image')
            for endpoint in peer.node.get_subscriptions_info_by_topic(topic)
        }

    for reliability in (RELIABLE, BEST_EFFORT, RELIABLE):
        for topic, msg_type in (('/camera_info', CameraInfo), ('/image', Image)):
            peer.publisher(topic, msg_type, reliability, wait=False)
        clouds.clear()
        assert show_until(peer, lambda: bool(clouds)), node.log
        assert wait_until(lambda r=reliability: subscribed() == {r})
        peer.withdraw()
    assert node.log.count('/image: subscribing best_effort, as it is published') == 1
    assert node.log.count('/image: subscribing reliable, as it is published') == 1


def test_override_wins_and_mismatch_is_told(run_node, peer):
    """A forced reliable subscription names the best-effort camera's policy and the parameter."""
    node = run_node({'model': 'slow:0', IMAGE_RELIABILITY: 'reliable'}, fake=True)
    peer.publisher('/image', Image, BEST_EFFORT, wait=False)
    node.wait_for(
        '/image: a publisher is not received: it offers reliability best_effort, '
        f'asked for is reliable; set the parameter {IMAGE_RELIABILITY} to best_effort'
    )
    peer.wait_for_status('no image yet on /image: 1 publisher, incompatible reliability', b'\x03')


def test_every_output_takes_overrides(run_node, peer):
    """Publishers are reliable unless overridden; a subscriber that gets nothing is told of."""
    reliability = 'qos_overrides./depth/image.publisher.reliability'
    node = run_node({'model': 'slow:0', reliability: 'best_effort'}, fake=True)
    offered = {}
    for topic in ('/points', '/depth/image', '/depth/camera_info', '/depth/color', '/diagnostics'):
        assert wait_until(lambda t=topic: peer.node.count_publishers(t) == 1)
        endpoint = peer.node.get_publishers_info_by_topic(topic)[0]
        offered[topic] = endpoint.qos_profile.reliability
    assert offered.pop('/depth/image') == BEST_EFFORT
    assert set(offered.values()) == {RELIABLE}

    peer.node.create_subscription(Image, '/depth/image', print, QoSProfile(depth=1))
    node.wait_for(
        '/depth/image: a subscriber gets nothing: it asks for reliability reliable, '
        f'offered is best_effort; set the parameter {reliability} to reliable'
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(PointCloud2, '/points', print, latched)
    node.wait_for('set the parameter qos_overrides./points.publisher.durability to transient_local')


def test_each_topic_takes_each_override(run_node, peer):
    """The parameters are there for all topics, whatever they are remapped to."""
    run_node({'model': 'slow:0'}, '-r', 'image:=/cam/image_raw', fake=True)
    request = ListParameters.Request(prefixes=['qos_overrides'], depth=0)
    policies = ('history', 'depth', 'reliability', 'durability')
    roles = {
        'publisher': ('points', 'depth/image', 'depth/camera_info', 'depth/color', 'diagnostics'),
        'subscription': ('cam/image_raw', 'camera_info'),
    }
    expected = {
        f'qos_overrides./{topic}.{role}.{policy}'
        for role, topics in roles.items()
        for topic in topics
        for policy in policies
    }
    assert wait_until(
        lambda: set(peer.call(ListParameters, 'list_parameters', request).result.names) >= expected
    )


def test_a_camera_that_comes_back_otherwise_is_told(run_node, peer):
    """Images came from a reliable camera; now a best-effort one is there, and reliable is asked."""
    run_node({'model': 'slow:0', IMAGE_RELIABILITY: 'reliable'}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    assert show_until(peer, lambda: bool(clouds))
    peer.withdraw()
    peer.publisher('/image', Image, BEST_EFFORT, wait=False)
    peer.wait_for_status('s on /image: 1 publisher, incompatible reliability', b'\x03')
    assert peer.received['/diagnostics'][-1].status[0].message.startswith('no image for ')


@pytest.mark.parametrize('params', [{}, {DURABILITY: 'transient_local'}], ids=['adapt', 'forced'])
def test_latched_camera_info(run_node, peer, params):
    """A CameraInfo that was published once, before the node came, is received."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    image, camera_info = make_image(WIDTH, HEIGHT), info()
    camera_info.header = image.header
    publisher = peer.node.create_publisher(CameraInfo, '/camera_info', latched)
    publisher.publish(camera_info)
    node = run_node({'model': 'slow:0', **params}, fake=True)
    clouds = peer.subscribe('/points', PointCloud2)
    peer.show(image)
    assert wait_until(lambda: len(clouds) == 1), node.log
    peer.node.destroy_publisher(publisher)
    peer.publisher('/camera_info', CameraInfo, wait=False)  # not latched
    if params:
        node.wait_for(f'asked for is transient_local; set the parameter {DURABILITY} to volatile')
    else:
        node.wait_for('/camera_info: subscribing volatile, as it is published')


def test_publisher_of_another_type_is_told(run_node, peer):
    """A topic of another type than Image is named as the reason."""
    run_node({'model': 'slow:0'}, fake=True)
    peer.publisher('/image', PointCloud2, wait=False)
    peer.wait_for_status(
        'no image yet on /image: 1 publisher of sensor_msgs/msg/PointCloud2, '
        'expected sensor_msgs/msg/Image'
    )


@pytest.mark.parametrize(
    ('transport', 'wanted', 'published', 'msg_type'),
    [
        ('raw', '/image', '/image/compressed', CompressedImage),
        ('compressed', '/image/compressed', '/image', Image),
    ],
)
def test_the_other_transport_is_told(run_node, peer, transport, wanted, published, msg_type):
    """A recording may have the compressed images only, and a driver the others only."""
    run_node({'model': 'slow:0', 'image_transport': transport}, fake=True)
    peer.publisher(published, msg_type, wait=False)
    why = f'no publisher, but there is one of {published}: see image_transport'
    peer.wait_for_status(f'no image yet on {wanted}: {why}')


@pytest.mark.parametrize(
    ('transport', 'told'),
    [
        ('compressed', 'no publisher: remap image to /cam/image, image_transport adds /compressed'),
        ('raw', ': remap image to /cam/image and set image_transport to compressed'),
    ],
)
def test_an_image_remapped_to_compressed_is_told(run_node, peer, transport, told):
    """The node adds /compressed to the name by itself."""
    remap = ('-r', 'image:=/cam/image/compressed')
    run_node({'model': 'slow:0', 'image_transport': transport}, *remap, fake=True)
    peer.publisher('/cam/image/compressed', CompressedImage, wait=False)
    peer.wait_for_status(told)


@pytest.mark.parametrize('topic', ['/image', '/camera_info', '/scale/points'])
def test_a_failed_activation_leaves_nothing(run_node, peer, topic):
    """No subscription, whichever of them cannot be made."""
    override = f'qos_overrides.{topic}.subscription.reliability'
    params = {'model': 'slow:0', 'scale_source': 'points', override: 'sure'}
    node = run_node(params, ready='cannot activate', fake=True)
    for msg_type, name in (
        (Image, '/image'),
        (CameraInfo, '/camera_info'),
        (PointCloud2, '/scale/points'),
    ):
        peer.publisher(name, msg_type, wait=False)
    time.sleep(1.0)
    for name in ('/image', '/camera_info', '/scale/points'):
        assert not peer.node.count_subscribers(name)
    assert node.process.poll() is None


def test_wrong_override_fails_the_transition(run_node, peer):
    """A policy that does not exist is a failed transition with its reason."""
    node = run_node({'model': 'slow:0', IMAGE_RELIABILITY: 'sure'}, ready='', fake=True)
    reason = f"{IMAGE_RELIABILITY} is 'sure', expected one of adapt, reliable, best_effort"
    node.wait_for(f'cannot activate: {reason}')
    assert peer.state() == 'inactive'
    peer.wait_for_status(reason, b'\x02')


@pytest.mark.parametrize(
    ('policy', 'value', 'told'),
    [
        ('reliability', 'besteffort', "is 'besteffort', expected one of adapt, reliable"),
        ('reliability', 3, "to '3' of type 'INTEGER', expecting type 'STRING'"),
        ('depth', -1, 'is -1, expected 0 to 2147483647'),
    ],
)
def test_a_wrong_override_of_what_begins_later_ends_nothing(run_node, peer, policy, value, told):
    """The odometry is listened to once a parameter asks for it; the node goes on without it."""
    override = f'qos_overrides./odometry.subscription.{policy}'
    node = run_node({'model': 'slow:0', 'frames': 'all', override: value}, fake=True)
    peer.publisher('/odometry', Odometry, wait=False)
    clouds = peer.subscribe('/points', PointCloud2)
    assert peer.set_parameters(temporal_filter=0.5) == ''
    node.wait_for(told)
    assert show_until(peer, lambda: bool(clouds)), node.log
    status = peer.wait_for_status(told, b'\x01')
    assert override in status.message
    assert peer.set_parameters(temporal_filter=0.0) == ''
    peer.show(make_image(WIDTH, HEIGHT), info())
    peer.wait_for_status('results/s', b'\x00')


@pytest.mark.parametrize('missing', ['incompatible_qos', 'message_lost,incompatible_qos'])
def test_a_middleware_without_events_is_no_hindrance(peer, missing):
    """Some have no event for incompatible QoS; what it would tell is missed, and nothing else."""
    node = NodeProcess([missing, '--ros-args', '-p', 'model:=slow:0'], 'test.ros.poor_middleware')
    try:
        node.wait_for('listening')
        clouds = peer.subscribe('/points', PointCloud2)
        assert show_until(peer, lambda: bool(clouds)), node.log
    finally:
        node.stop()


def test_the_cameras_driver_is_not_asked_for_what_it_does_not_offer(run_node, peer):
    """It would log that at each start of the node; whichever of the two comes first."""
    warnings = []
    profile = QoSProfile(depth=5, reliability=BEST_EFFORT)

    def offer(topic):
        return peer.node.create_publisher(
            Image if topic == '/image' else CameraInfo,
            topic,
            profile,
            event_callbacks=PublisherEventCallbacks(incompatible_qos=warnings.append),
        )

    images = offer('/image')
    run_node({'model': 'slow:0'}, fake=True)
    infos = offer('/camera_info')
    for publisher in (images, infos):
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1)
    clouds = peer.subscribe('/points', PointCloud2)
    image, camera_info = make_image(WIDTH, HEIGHT), info()
    camera_info.header = image.header
    infos.publish(camera_info)
    images.publish(image)
    assert wait_until(lambda: bool(clouds))
    assert warnings == []


def test_every_policy_of_an_input_is_taken(run_node, peer):
    """From the parameters, as the subscription shows."""
    params = {
        f'qos_overrides./image.subscription.{policy}': value
        for policy, value in {
            'depth': 7,
            'history': 'keep_last',
            'durability': 'transient_local',
            'reliability': 'best_effort',
        }.items()
    }
    run_node({'model': 'slow:0', **params}, fake=True)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_publisher(Image, '/image', latched)
    found = peer.node.get_subscriptions_info_by_topic
    assert wait_until(lambda: len(found('/image')) == 1)
    profile = found('/image')[0].qos_profile
    assert profile.reliability == BEST_EFFORT
    assert profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize(
    ('steps', 'expected'),
    [
        ([1, 2, 5, 'check', 6, 9, 'check'], [2, 2]),
        ([1, 4, 'lost 2', 'check'], [0]),
        ([1, 4, 'check', 5, 'check'], [2, 0]),
        ([1, 'lost 2', 'check', 4, 'check'], [0, 0]),  # the message after them comes later
        ([1, 'lost 2', 'check', 9, 'check', 12, 'check'], [0, 5, 2]),
        ([1, 'lost 2', 'check', 2, 'check', 5, 'check'], [0, 0, 2]),  # before the first, say
        ([7, 'another', 1, 3, 'check'], [1]),  # a camera that has been started again
    ],
)
def test_what_is_lost_is_not_replaced_as_well(steps, expected):
    """By the publisher's numbers, whichever of the two is told first."""
    gaps, publisher, found = Gaps(), 'camera', []
    for step in steps:
        if step == 'check':
            found.append(gaps.replaced())
        elif step == 'another':
            publisher = step
        elif isinstance(step, int):
            gaps.add(publisher, step)
        else:
            gaps.lost += int(step.removeprefix('lost '))
    assert found == expected
