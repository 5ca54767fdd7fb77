# SPDX-License-Identifier: Apache-2.0
"""Stands for tf2_ros, which has no wheel: the names that the node uses, and one transform.

The real one is https://github.com/ros2/geometry2/tree/rolling/tf2_ros_py.
"""

from types import SimpleNamespace


class TransformException(Exception):  # noqa: N818
    """As tf2 raises it."""


class Buffer:
    """Knows where the lidar is: x ahead, y left, z up, 0.2 m above the camera."""

    def lookup_transform(self, target_frame, source_frame, time):
        """The transform of the lidar; other frames are not known."""
        if (target_frame, source_frame) != ('camera_optical_frame', 'lidar'):
            raise TransformException(f'{source_frame!r} is not known')
        translation = SimpleNamespace(x=0.0, y=-0.2, z=0.0)
        rotation = SimpleNamespace(x=0.5, y=-0.5, z=0.5, w=0.5)
        return SimpleNamespace(
            transform=SimpleNamespace(translation=translation, rotation=rotation)
        )


class TransformListener:
    """Listens to nothing."""

    def __init__(self, buffer, node):
        self.buffer, self.node = buffer, node

    def unregister(self):
        """End."""
