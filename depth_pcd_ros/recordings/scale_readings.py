# SPDX-License-Identifier: Apache-2.0
"""Scale readings of a recording for its pictures, as the node would use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from depth_pcd_ros.geometry.transform import StaticTransforms
from depth_pcd_ros.messages.decode import numbers_of, stamp_ns
from depth_pcd_ros.recordings.odometry import RecordedOdometry
from depth_pcd_ros.recordings.reader import Recording
from depth_pcd_ros.recordings.topics import Topics, find_scale_topic
from depth_pcd_ros.scale.messages import READERS
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Reading, Readings

STATIC_TRANSFORMS = '/tf_static'


class RecordedScale:
    """Finds the reading of each picture by the stamps.

    Args:
        settings: `scale_source` and what has a use for odometry.
        topics: of the readings and the odometry; empty to be found by their types.
        camera: the name of one of several.

    Attributes:
        topic: of the readings; empty for what needs none.

    Raises:
        RecordingError: no such topic, none, or several.
    """

    def __init__(
        self, reader: Recording, settings: Settings, topics: Topics, camera: str = ''
    ) -> None:
        source = settings.scale_source
        self._readings = Readings()
        self._to_come: Iterator[Reading] = iter(())
        self._transforms = static_transforms(reader)
        self.topic = ''
        self._odometry: RecordedOdometry | None = None
        if settings.needs_odometry:
            self._odometry = RecordedOdometry(reader, settings, topics.odometry, self._transforms)
            self.topic = self._odometry.topic
        if source in READERS:
            self.topic = find_scale_topic(reader, source, topics.scale, camera)
            read = READERS[source]
            self._to_come = (read(msg) for _, msg in reader.decoded(self.topic))

    def evidence(self, header: Any) -> Evidence:
        """Return the evidence for the picture with this header."""
        stamp = stamp_ns(header)
        self._readings.find(stamp)  # where time jumps back, the old ones go
        while not self._readings.complete(stamp) and (following := next(self._to_come, None)):
            self._readings.add(following)
        reading = self._readings.find(stamp)
        transform = None
        if reading is not None and reading.frame_id != frame_name(header.frame_id):
            transform = self._transforms.find(frame_name(header.frame_id), reading.frame_id)
        if self._odometry is None:
            return Evidence(reading, transform)
        return Evidence(reading, transform, *self._odometry.odom_from_camera(header))


def static_transforms(reader: Recording) -> StaticTransforms:
    """Read the fixed transforms of a recording; frames are named without a leading /."""
    transforms = StaticTransforms()
    for _, msg in reader.decoded(STATIC_TRANSFORMS):
        for one in msg.transforms:
            parent, child = frame_name(one.header.frame_id), frame_name(one.child_frame_id)
            transforms.add(parent, child, numbers_of(one.transform))
    return transforms


def frame_name(frame_id: str) -> str:
    """Return the name of a frame without a leading /."""
    return frame_id.removeprefix('/')  # as ROS 1 once wrote it
