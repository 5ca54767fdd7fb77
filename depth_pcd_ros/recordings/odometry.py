# SPDX-License-Identifier: Apache-2.0
"""The poses of the pictures of a recording, by its odometry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from depth_pcd_ros.geometry.transform import StaticTransforms
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.motion.messages import odometry_reading, transform_reading
from depth_pcd_ros.recordings.reader import Recording
from depth_pcd_ros.recordings.topics import find_odometry_topic
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.odometry import Odometry, OdometryReading, odom_from_camera

MOVING_TRANSFORMS = '/tf'


class RecordedOdometry:
    """Interpolates the odometry to the stamps of the pictures.

    Args:
        settings: `odometry_transform`.
        asked: topic of the odometry; empty to be found by its type. Where there is none, /tf tells,
            if it has the frame that the camera is fixed to.
        transforms: the fixed ones.

    Attributes:
        topic: of the odometry; empty where there is none.

    Raises:
        RecordingError: no such topic, or several.
    """

    def __init__(
        self, reader: Recording, settings: Settings, asked: str, transforms: StaticTransforms
    ) -> None:
        self._settings = settings
        self._transforms = transforms
        self._odometry = Odometry()
        self._reader = reader
        self._frame_id = ''  # the frame that moves, of those in /tf
        self.topic = find_odometry_topic(reader, asked)
        found = (odometry_reading(msg) for _, msg in reader.decoded(self.topic))
        self._to_come: Iterator[OdometryReading] = filter(None, found)
        if not self.topic and any(c.topic == MOVING_TRANSFORMS for c in reader.connections):
            self.topic = MOVING_TRANSFORMS
            self._to_come = self._moving()

    def odom_from_camera(self, header: Any) -> tuple[tuple[float, ...] | None, str]:
        """Return the pose of the picture with this header, or why it is not known."""
        if not self.topic:
            return None, 'the recording has neither an Odometry topic nor /tf'
        camera = header.frame_id.removeprefix('/')
        self._frame_id = self._frame_id or camera
        stamp = stamp_ns(header)
        self._odometry.find(stamp)
        while not self._odometry.complete(stamp) and (following := next(self._to_come, None)):
            self._odometry.add(following)
        reading, given = self._odometry.find(stamp), self._settings.optical_from_base
        return odom_from_camera(reading, camera, given, self._transforms.find)

    def _moving(self) -> Iterator[OdometryReading]:
        """Yield the transforms of /tf whose child the camera is fixed to."""
        for _, msg in self._reader.decoded(MOVING_TRANSFORMS):
            for one in msg.transforms:
                reading = transform_reading(one)
                if reading is not None and self._is_fixed(reading.child_frame_id):
                    yield reading

    def _is_fixed(self, frame: str) -> bool:
        if self._settings.optical_from_base is not None and frame.startswith('base'):
            return True
        return self._transforms.find(self._frame_id, frame) is not None
