# SPDX-License-Identifier: Apache-2.0
"""The truth of each picture of a recording, found by the stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from depth_pcd_ros.evaluate.truth import (
    Asked,
    DepthTruth,
    PointsTruth,
    Transform,
    Truth,
    TruthError,
    depth_camera,
)
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.geometry.rectification import is_called_rectified
from depth_pcd_ros.inputs.intrinsics import Say
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.messages.depth import depth_from_msg
from depth_pcd_ros.recordings.calibrations import RecordedCalibrations
from depth_pcd_ros.recordings.reader import Recording, RecordingError
from depth_pcd_ros.recordings.scale_readings import frame_name, static_transforms
from depth_pcd_ros.recordings.topics import (
    POINTS,
    find_camera_info_topic,
    find_truth_topic,
)
from depth_pcd_ros.scale.messages import xyz_of_cloud


class RecordedTruth:
    """Yields the truth that is nearest in time to each picture.

    Depth images with the picture's frame_id and no CameraInfo beside them are registered with it
    (REP 118), pixel by pixel. Others are moved by their own CameraInfo and /tf_static, clouds by
    /tf_static alone, or both by `optical_from_sensor`.

    Args:
        recording: it has the truth.
        image_topic: that of the pictures.
        asked: the options about the truth.
        optical_from_sensor: the sensor's place, where it was given.
        say: gets what is taken for the truth.

    Attributes:
        topic: that of the truth.
        apart: the shortest time between a picture that got none and a truth [s]; None: all got one.

    Raises:
        RecordingError: no such topic, none, or several.
        CameraError: the camera that was asked for is none.
    """

    def __init__(
        self,
        recording: Recording,
        image_topic: str,
        asked: Asked,
        *,
        optical_from_sensor: Transform | None,
        say: Say,
    ) -> None:
        self.topic = find_truth_topic(recording, asked.topic)
        if self.topic == image_topic:
            raise RecordingError(f'{self.topic} has the pictures, and cannot be their truth')
        self.apart: float | None = None
        self._is_cloud = any(
            c.topic == self.topic and c.msgtype == POINTS for c in recording.connections
        )
        self._asked = asked
        self._given = optical_from_sensor
        self._transforms = static_transforms(recording)
        self._to_come: Iterator[tuple[int, Any]] = recording.decoded(self.topic)
        self._near: deque[tuple[int, int, Any]] = deque()  # stamp, time and message, about now
        self._camera: Camera | None = None
        self._calibrations: RecordedCalibrations | None = None
        if asked.calibration is not None:
            self._camera = depth_camera(asked.calibration, self.topic)
        elif not self._is_cloud:
            self._calibrations = _own(recording, self.topic)
        if not self._is_cloud and self._camera is None and self._calibrations is None:
            say(f'truth of {self.topic}, registered with the pictures: it has no CameraInfo')
        elif not self._is_cloud and is_called_rectified(self.topic):
            say(f'truth of {self.topic}, rectified, as its name says')
        else:
            say(f'truth of {self.topic}')

    def find(self, stamp: int, frame_id: str) -> Truth | None:
        """Find the truth of a picture; None where there is none within the tolerance.

        Args:
            stamp: of the picture [ns]; not before those asked for so far.
            frame_id: its optical frame.

        Raises:
            FrameError: the message is no depth or no cloud, or its place is not known.
        """
        self._forget(stamp)
        while not self._near or self._near[-1][0] < stamp:
            following = next(self._to_come, None)
            if following is None:
                break
            time_ns, msg = following
            self._near.append((stamp_ns(msg.header), time_ns, msg))
            self._forget(stamp)  # at once: many messages may lie before the first picture
        if not self._near:
            return None
        found, time_ns, msg = self._near[0]
        if abs(found - stamp) > self._asked.tolerance * 1e9:
            self.apart = min(self.apart or float('inf'), abs(found - stamp) / 1e9)
            return None
        return self._truth(time_ns, msg, frame_id)

    def _forget(self, stamp: int) -> None:
        """Let go of the messages that have a nearer one behind them."""
        near = self._near
        while len(near) > 1 and abs(near[1][0] - stamp) <= abs(near[0][0] - stamp):
            near.popleft()

    def _truth(self, time_ns: int, msg: Any, frame_id: str) -> Truth:
        place = self._place_of(frame_name(frame_id), frame_name(msg.header.frame_id))
        if self._is_cloud:
            unit = 1.0 if self._asked.unit is None else self._asked.unit
            return PointsTruth(xyz_of_cloud(msg) * unit, place)
        depth = depth_from_msg(msg, self._asked.unit)
        camera = self._camera
        if self._calibrations is not None:
            height, width = depth.shape
            calibration = self._calibrations.find(time_ns, msg.header, width, height)
            camera = depth_camera(calibration, self.topic)
        if camera is None and place is not None:
            raise TruthError(
                'truth_camera',
                f'the truth is of the frame {msg.header.frame_id!r} and has no CameraInfo beside '
                'its topic: --truth-camera-info has its intrinsics',
            )
        return DepthTruth(depth, camera, place)

    def _place_of(self, frame_id: str, of: str) -> Transform | None:
        """Return the sensor's pose; a given one is of a cloud, or of what /tf_static lacks."""
        if self._given and self._is_cloud:
            return self._given
        if of == frame_id:
            return None
        place = self._transforms.find(frame_id, of) or self._given
        if place is None:
            raise TruthError(
                'truth_frame',
                f'no transform on /tf_static from the truth of frame {of!r} to the picture of '
                f'{frame_id!r}: give --scale-transform, optical_from_sensor',
            )
        return place


def _own(recording: Recording, topic: str) -> RecordedCalibrations | None:
    """Find the CameraInfo beside a depth topic, not that of another camera."""
    try:
        found = find_camera_info_topic(recording, topic)
    except RecordingError:
        return None
    beside = {'/'.join(topic.split('/')[:-n]) for n in (1, 2)}
    if found.rpartition('/')[0] not in beside:
        return None
    return RecordedCalibrations(recording, found)
