# SPDX-License-Identifier: Apache-2.0
"""/tf_static alone where it is enough.

tf2_ros and tf2_msgs have no wheels: fakes stand for them, and for the node that subscribes.
"""

from types import SimpleNamespace

import pytest

from depth_pcd_ros.ros import transforms

from .fake_tf2 import tf2_ros

TURNED = (0.0, -0.2, 0.0, 0.5, -0.5, 0.5, 0.5)


class StubNode:
    """Remembers what is subscribed to and what is logged."""

    def __init__(self):
        self.topics, self.log = {}, []

    def create_subscription(self, msg_type, topic, callback, profile):
        """As a node's."""
        self.topics[topic] = callback
        return topic

    def destroy_subscription(self, topic):
        """As a node's."""
        del self.topics[topic]

    def get_logger(self):
        """A logger."""
        add = lambda text, **_: self.log.append(text)  # noqa: E731
        return SimpleNamespace(info=add, warning=add)


class Listener(tf2_ros.TransformListener):
    """Counts how many there are."""

    count = 0

    def __init__(self, buffer, node):
        super().__init__(buffer, node)
        Listener.count += 1

    def unregister(self):
        """End."""
        Listener.count -= 1


@pytest.fixture
def node(monkeypatch):
    """A stub, with the fakes in place."""
    tf2 = SimpleNamespace(**{**vars(tf2_ros), 'TransformListener': Listener})
    monkeypatch.setattr(transforms, 'tf2_ros', tf2)
    monkeypatch.setattr(transforms, 'TFMessage', object, raising=False)
    return StubNode()


def static(parent, child, values):
    """A message on /tf_static."""
    translation = SimpleNamespace(**dict(zip('xyz', values[:3], strict=True)))
    rotation = SimpleNamespace(**dict(zip('xyzw', values[3:], strict=True)))
    transform = SimpleNamespace(translation=translation, rotation=rotation)
    header = SimpleNamespace(frame_id=parent)
    one = SimpleNamespace(header=header, child_frame_id=child, transform=transform)
    return SimpleNamespace(transforms=[one])


def test_a_static_transform_needs_no_tf(node):
    """Two frames that /tf_static connects by a third."""
    found = transforms.Transforms(node)
    assert list(node.topics) == ['/tf_static']
    node.topics['/tf_static'](static('base', 'camera', (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)))
    node.topics['/tf_static'](static('base', 'sonar', (1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0)))
    assert found.find('camera', 'sonar') == pytest.approx((0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0))
    assert Listener.count == 0
    found.destroy()
    assert not node.topics


def test_else_tf_is_read_too(node):
    """From then on, with a line in the log."""
    found = transforms.Transforms(node)
    assert found.find('camera_optical_frame', 'lidar') == TURNED
    assert found.find('camera_optical_frame', 'radar') is None
    assert Listener.count == 1
    assert len(node.log) == 1
    assert "/tf_static does not connect 'lidar' with 'camera_optical_frame'" in node.log[0]
    found.destroy()
    assert Listener.count == 0


def test_a_quaternion_that_is_none_is_told(node):
    """And the sensor has no transform."""
    found = transforms.Transforms(node)
    node.topics['/tf_static'](static('camera', 'sonar', (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)))
    assert found.find('camera', 'sonar') is None
    assert 'has length 0, expected 1' in node.log[0]
