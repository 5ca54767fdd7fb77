# SPDX-License-Identifier: Apache-2.0
"""Recordings (rosbag2 as mcap or sqlite3, ROS 1 .bag) as steps to be done, without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from depth_pcd_ros import frame
from depth_pcd_ros.convert.jobs import Request
from depth_pcd_ros.convert.steps import Failure, Picture, Skipped, Step, Write
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.geometry.rectification import rectified_advice
from depth_pcd_ros.inputs.intrinsics import COMMAND_LINE
from depth_pcd_ros.inputs.photos import PhotoHeader
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.calibrations import RecordedCalibrations
from depth_pcd_ros.recordings.connection import Connection, is_latched
from depth_pcd_ros.recordings.reader import Recording, RecordingError, open_recording
from depth_pcd_ros.recordings.scale_readings import RecordedScale
from depth_pcd_ros.recordings.topics import find_camera_info_topic, find_image_topic
from depth_pcd_ros.recordings.writer import RecordingWriter
from depth_pcd_ros.sync.readings import NO_EVIDENCE, Header


class RecordingJob:
    """A recording; it becomes another one, and files for each picture where they are asked for."""

    is_recording = True

    def __init__(self, source: Source, request: Request) -> None:
        self.label = str(source.path)
        self._source = source
        self._request = request
        self._files = request.outputs if request.with_files else None
        self._target = request.folder / source.name
        self._files_name = f'{source.name}_files'
        self._writer: RecordingWriter | None = None
        self._scale: RecordedScale | None = None
        self._stamps: Counter[int] = Counter()  # how many pictures had this stamp so far

    def pictures(self) -> int:
        """The number of messages on the image topic; one where there is no telling."""
        try:
            with open_recording(self._source.path) as reader:
                topic = find_image_topic(reader, self._request.topics.image)
                total = sum(c.msgcount for c in reader.connections if c.topic == topic)
                return self._request.selection.count(total)
        except Exception:  # it is told when the recording is read
            return 1

    def picture_size(self) -> tuple[int, int] | None:
        """Those of the first picture."""
        try:
            with open_recording(self._source.path) as reader:
                topic = find_image_topic(reader, self._request.topics.image)
                height, width = rgb_from_msg(next(reader.decoded(topic))[1]).shape[:2]
                return width, height
        except Exception:  # it is told when the recording is read
            return None

    def existing(self) -> list[Path]:
        """The folder of the new recording, if it is there, and its files that are."""
        files = self._files.existing_below(self._files_name) if self._files else []
        return [self._target, *files] if self._target.exists() else files

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the recording."""
        done = resume and self._request.manifest.is_done(self._target)
        if done and self._files is None:
            yield Skipped(self.label, self.pictures())
            return
        with open_recording(self._source.path, self._say) as reader:
            image_topic = find_image_topic(reader, self._request.topics.image)
            advice = rectified_advice(image_topic, self._request.settings.rectified)
            if advice:
                self._say(advice)
            calibrations = self._calibrations(reader, image_topic)
            self._scale = self._find_scale(reader)
            writer = self._writer = None if done else self._new_recording(reader)
            read = [c for c in reader.connections if self._request.copy or c.topic == image_topic]
            number, first_ns, selection = 0, 0, self._request.selection
            for connection, time_ns, raw in reader.messages(read):
                if connection.topic == image_topic and not number:
                    first_ns = time_ns
                # what comes before the first picture counts as of its time
                seconds = (time_ns - first_ns) / 1e9 if number else 0.0
                if seconds > selection.end:
                    break
                is_here = selection.start <= seconds or is_latched(connection)
                if self._request.copy and writer is not None and is_here:
                    yield Write(self.label, partial(writer.copy, connection, time_ns, bytes(raw)))
                if connection.topic == image_topic:
                    if selection.has(number, seconds):
                        yield self._picture(reader, connection, time_ns, bytes(raw), calibrations)
                    number += 1
            if self._scale is not None:
                yield Write(self.label, partial(self._scale.sum_up, self.label, self._request.say))
            if writer is not None:
                yield Write(self.label, partial(self._finish, writer), results=1)
            for damage in reader.damage:
                yield Failure(self.label, RecordingError(f'{damage}; what can be read is used'))

    def _say(self, sentence: str) -> None:
        self._request.say(f'{self.label}: {sentence}')

    def _new_recording(self, reader: Recording) -> RecordingWriter:
        writer = RecordingWriter(self._target, self._request.settings)
        try:
            left_out = writer.copy_topics(reader) if self._request.copy else []
        except RecordingError:
            writer.abort()
            raise
        for topic in left_out:
            self._say(f'{topic} is not copied: its type is not known')
        return writer

    def _finish(self, writer: RecordingWriter) -> None:
        writer.close()
        self._request.manifest.begin(self._target)
        writer.rename()

    def close(self) -> None:
        """Remove what was left half written."""
        if self._writer is not None:
            self._writer.abort()

    def _calibrations(self, reader: Recording, image_topic: str) -> RecordedCalibrations | None:
        if self._request.intrinsics.given:
            self._say("the intrinsics given are used, not the recording's")
            return None
        try:
            asked = self._request.topics.camera_info
            topic = find_camera_info_topic(reader, image_topic, asked)
        except RecordingError as err:
            raise RecordingError(f'{err}; or give {COMMAND_LINE}') from err
        self._say(f'pictures of {image_topic}, intrinsics of {topic}')
        return RecordedCalibrations(reader, topic, named=bool(asked))

    def _find_scale(self, reader: Recording) -> RecordedScale | None:
        settings, topics = self._request.settings, self._request.topics
        if not settings.needs_motion:
            return None
        scale = RecordedScale(reader, settings, topics.scale, topics.odometry)
        if scale.topic:
            what = 'motion' if settings.scale_source in ('none', 'motion') else 'scale'
            self._say(f'{what} from {scale.topic}')
        return scale

    def _picture(
        self,
        reader: Recording,
        connection: Connection,
        time_ns: int,
        raw: bytes,
        calibrations: RecordedCalibrations | None,
    ) -> Step:
        try:
            msg: Any = reader.deserialize(raw, connection.msgtype)
            rgb = rgb_from_msg(msg)
            size = rgb.shape[1], rgb.shape[0]
            if calibrations is None:
                calibration = self._request.intrinsics.fitted(PhotoHeader(size), self._request.say)
            else:
                calibration = calibrations.find(time_ns, msg.header, *size)
        except (FrameError, RecordingError) as err:
            return Failure(self.label, err)
        name = self._name(msg.header)
        if self._scale is not None:  # it depends on the pictures before: none is left out
            evidence = self._scale.evidence(msg.header)
        elif self._writer is None and self._files is not None and self._files.are_done(name):
            return Skipped(self.label)
        else:
            evidence = NO_EVIDENCE
        header = Header(stamp_ns(msg.header), msg.header.frame_id, self.label)
        picture = frame.Picture(rgb, calibration, header, evidence)
        save = partial(self._save, time_ns, msg.header, name)
        return Picture(self.label, picture, save, is_result=self._writer is None)

    def _name(self, header: Any) -> str:
        """The name of a picture's files: its stamp, and a number where others had that before."""
        stamp = stamp_ns(header)
        self._stamps[stamp] += 1
        again = f'_{self._stamps[stamp]}' if self._stamps[stamp] > 1 else ''
        return f'{self._files_name}/{stamp}{again}'

    def _save(self, time_ns: int, header: Any, name: str, frame: Frame, points: Points) -> None:
        if self._scale is not None and frame.scale is not None:
            self._scale.count(frame.scale)
        if self._writer is not None:
            self._writer.write(time_ns, header, frame, points)
        if self._files is not None:
            self._files.write(name, frame, points)
