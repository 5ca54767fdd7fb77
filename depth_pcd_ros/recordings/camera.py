# SPDX-License-Identifier: Apache-2.0
"""One camera of a recording: from its messages to pictures and what belongs to each."""

from __future__ import annotations

from collections import Counter
from typing import Any

from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.rectification import rectified_advice
from depth_pcd_ros.inputs.intrinsics import COMMAND_LINE, Intrinsics, Say
from depth_pcd_ros.inputs.photos import PhotoHeader
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.calibrations import RecordedCalibrations
from depth_pcd_ros.recordings.reader import Recording, RecordingError
from depth_pcd_ros.recordings.scale_readings import RecordedScale
from depth_pcd_ros.recordings.topics import Topics, find_camera_info_topic
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import NO_EVIDENCE, Header


class RecordedCamera:
    """Reads the pictures of one camera in their order.

    Args:
        image_topic: that of the pictures; `topics` are those of what belongs to them.
        intrinsics: they go before the recording's, where they are given.
        name: of the camera, '' where it is the only one.
        label: the recording and the camera, for what it says.

    Attributes:
        scale: what the recording says about its scale and its motion; None where nothing is asked.

    Raises:
        RecordingError: a topic is missing, or not the only one.
    """

    def __init__(
        self,
        reader: Recording,
        image_topic: str,
        *,
        topics: Topics,
        settings: Settings,
        intrinsics: Intrinsics,
        name: str = '',
        label: str = '',
        say: Say,
    ) -> None:
        self.name, self.settings = name, settings
        self._reader, self._topics = reader, topics.of_camera(name)
        self._intrinsics, self._label, self._say = intrinsics, label, say
        self._stamps: Counter[int] = Counter()  # how many pictures had this stamp so far
        advice = rectified_advice(image_topic, settings.rectified)
        if advice:
            self._tell(advice)
        self._calibrations = self._find_calibrations(image_topic)
        self.scale = self._find_scale()

    def file_name(self, header: Any) -> str:
        """Name a picture's files: by its stamp, and a number where others had that before."""
        stamp = stamp_ns(header)
        self._stamps[stamp] += 1
        again = f'_{self._stamps[stamp]}' if self._stamps[stamp] > 1 else ''
        return f'{self.name}/{stamp}{again}' if self.name else f'{stamp}{again}'

    def picture(self, msg: Any, time_ns: int, sequence: str) -> Picture:
        """Decode the picture in a message, with what the recording says about scale and motion.

        Args:
            msg: an Image or CompressedImage.
            time_ns: when it was recorded.
            sequence: names those that it follows.

        Raises:
            FrameError: it cannot be decoded, or has no calibration.
            RecordingError: of a CameraInfo.
        """
        rgb = rgb_from_msg(msg)
        size = rgb.shape[1], rgb.shape[0]
        if self._calibrations is None:
            calibration = self._intrinsics.fitted(PhotoHeader(size), self._say)
        else:
            calibration = self._calibrations.find(time_ns, msg.header, *size)
            if advice := calibration.size_advice(rectified=self.settings.rectified):
                self._say(advice)
        header = Header(stamp_ns(msg.header), msg.header.frame_id, sequence)
        evidence = NO_EVIDENCE if self.scale is None else self.scale.evidence(msg.header)
        return Picture(rgb, calibration, header, evidence)

    def _tell(self, sentence: str) -> None:
        self._say(f'{self._label}: {sentence}')

    def _find_calibrations(self, image_topic: str) -> RecordedCalibrations | None:
        if self._intrinsics.given:
            self._tell("the intrinsics given are used, not the recording's")
            return None
        asked = self._topics.camera_info
        try:
            topic = find_camera_info_topic(self._reader, image_topic, asked)
        except RecordingError as err:
            raise RecordingError(f'{err}; or give {COMMAND_LINE}') from err
        self._tell(f'pictures of {image_topic}, intrinsics of {topic}')
        return RecordedCalibrations(self._reader, topic, named=bool(asked))

    def _find_scale(self) -> RecordedScale | None:
        if not self.settings.needs_motion:
            return None
        scale = RecordedScale(self._reader, self.settings, self._topics, self.name)
        if scale.topic:
            what = 'motion' if self.settings.scale_source in ('none', 'motion') else 'scale'
            self._tell(f'{what} from {scale.topic}')
        return scale
