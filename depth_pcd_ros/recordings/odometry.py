# SPDX-License-Identifier: Apache-2.0
"""The poses of the pictures of a recording, by its odometry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from depth_pcd_ros.geometry.transform import IDENTITY, StaticTransforms, compose
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.motion.messages import odometry_reading, transform_reading
from depth_pcd_ros.recordings.reader import Recording
from depth_pcd_ros.recordings.topics import find_odometry_topic
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.odometry import MAX_GAP, Odometry, OdometryReading, odom_from_camera

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
        self._frame: str | None = None  # that the camera is fixed to, of those that move
        self._moving: dict[str, Odometry] = {}  # by the frame that moves
        self.topic = find_odometry_topic(reader, asked)
        found = (odometry_reading(msg) for _, msg in reader.decoded(self.topic))
        self._to_come: Iterator[OdometryReading] = filter(None, found)
        if not self.topic and any(c.topic == MOVING_TRANSFORMS for c in reader.connections):
            self.topic = MOVING_TRANSFORMS
            found = (
                transform_reading(one)
                for _, msg in reader.decoded(MOVING_TRANSFORMS)
                for one in msg.transforms
            )
            self._to_come = filter(None, found)

    def odom_from_camera(self, header: Any) -> tuple[tuple[float, ...] | None, str]:
        """Return the pose of the picture with this header, or why it is not known."""
        if not self.topic:
            return None, 'the recording has neither an Odometry topic nor /tf'
        camera, stamp = header.frame_id.removeprefix('/'), stamp_ns(header)
        for one in self._moving.values():
            one.find(stamp)  # time may have jumped back
        while not self._reached(stamp) and (following := next(self._to_come, None)):
            self._add(following, camera)
        if self._moving and self._frame is None:
            known = ', '.join(map(repr, sorted(self._moving)))
            return None, f'{self.topic} moves {known}, to none of which {camera!r} is fixed'
        given = self._settings.optical_from_base
        return odom_from_camera(self._find(stamp), camera, given, self._transforms.find)

    def _add(self, reading: OdometryReading, camera: str) -> None:
        frame = reading.child_frame_id
        if self._frame is None and self._is_fixed(frame, camera):
            self._frame = frame
        self._moving.setdefault(frame, Odometry()).add(reading)

    def _is_fixed(self, frame: str, camera: str) -> bool:
        if self.topic != MOVING_TRANSFORMS:
            return True
        if self._settings.optical_from_base is not None and frame.startswith('base'):
            return True
        return self._transforms.find(camera, frame) is not None

    def _reached(self, stamp: int) -> bool:
        # frames above that of the camera may come after it
        margin = round(MAX_GAP * 1e9) if self.topic == MOVING_TRANSFORMS else 0
        return self._frame is not None and self._moving[self._frame].complete(stamp + margin)

    def _find(self, stamp: int) -> OdometryReading | None:
        """Compose the frames that move the camera's, from it up to that of the odometry.

        Above that, as REP 105 has it, map_from_odom corrects the pose in jumps.
        """
        if self._frame is None:
            return None
        frame, place, passed = self._frame, IDENTITY, set[str]()
        while frame in self._moving and frame not in passed and not (passed and 'odom' in frame):
            passed.add(frame)
            found = self._moving[frame].find(stamp)
            if found is None:
                return None
            frame, place = found.frame_id, compose(found.odom_from_base, place)
        return OdometryReading(stamp, frame, self._frame, place)
