# SPDX-License-Identifier: Apache-2.0
"""Recordings (rosbag2 as mcap or sqlite3, ROS 1 .bag) as steps to be done, without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection

from depth_pcd_ros.convert.manifest import Record
from depth_pcd_ros.convert.outputs import Outputs
from depth_pcd_ros.convert.steps import Action, Failure, Picture, Points, Present, Step
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Frame
from depth_pcd_ros.inputs.intrinsics import COMMAND_LINE, Intrinsics, Say
from depth_pcd_ros.inputs.photos import PhotoHeader
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.calibrations import RecordedCalibrations
from depth_pcd_ros.recordings.scale_readings import RecordedScale
from depth_pcd_ros.recordings.topics import (
    find_camera_info_topic,
    find_image_topic,
    open_recording,
)
from depth_pcd_ros.recordings.writer import RecordingError, RecordingWriter


class Topics(NamedTuple):
    """The topics asked for; empty to be found by type."""

    image: str = ''
    camera_info: str = ''
    scale: str = ''


class RecordingJob:
    """A recording; it becomes another one, and files for each picture where they are asked for.

    Args:
        source: the recording.
        intrinsics: used in place of the CameraInfo where they were given.
        depth_encoding: 32FC1 or 16UC1.
        folder: below it the new recording is made.
        scale_source: what corrects the scale; `none` for nothing.
        topics: where the pictures, their CameraInfo and the `scale_source` are.
        copy: whether the new recording has all messages of the old one, too.
        files: writes the files of each picture; None for none.
        record: told of the new recording.
        say: told of what a person should know.
    """

    def __init__(
        self,
        source: Source,
        intrinsics: Intrinsics,
        depth_encoding: str,
        scale_source: str,
        folder: Path,
        topics: Topics,
        copy: bool,
        files: Outputs | None,
        record: Record,
        say: Say,
    ) -> None:
        self.label = str(source.path)
        self._source = source
        self._intrinsics = intrinsics
        self._depth_encoding = depth_encoding
        self._scale_source = scale_source
        self._topics = topics
        self._copy = copy
        self._files = files
        self._record = record
        self._say = say
        self._target = folder / source.name
        self._files_name = f'{source.name}_files'
        self._writer: RecordingWriter | None = None
        self._scale: RecordedScale | None = None
        self._stamps: Counter[int] = Counter()  # how many pictures had this stamp so far

    def pictures(self) -> int:
        """The number of messages on the image topic; one where there is no telling."""
        try:
            with open_recording(self._source.path) as reader:
                topic = find_image_topic(reader, self._topics.image)
                return sum(c.msgcount for c in reader.connections if c.topic == topic)
        except Exception:  # it is told when the recording is read
            return 1

    def present(self) -> list[Path]:
        """The folder of the new recording, if it is there, and its files that are."""
        files = self._files.present_below(self._files_name) if self._files else []
        return [self._target, *files] if self._target.exists() else files

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the recording."""
        done = resume and self._record.is_done(self._target)
        if done and self._files is None:
            yield Present(self.label, self.pictures())
            return
        with open_recording(self._source.path) as reader:
            image_topic = find_image_topic(reader, self._topics.image)
            calibrations = self._calibrations(reader, image_topic)
            self._scale = self._find_scale(reader)
            writer = self._writer = None if done else self._new_recording(reader)
            read = [c for c in reader.connections if self._copy or c.topic == image_topic]
            for connection, time_ns, raw in reader.messages(read):
                if self._copy and writer is not None:
                    yield Action(self.label, partial(writer.copy, connection, time_ns, bytes(raw)))
                if connection.topic == image_topic:
                    yield self._picture(reader, connection, time_ns, bytes(raw), calibrations)
            if self._scale is not None:
                yield Action(self.label, partial(self._scale.sum_up, self.label, self._say))
            if writer is not None:
                yield Action(self.label, partial(writer.finish, self._record))

    def _new_recording(self, reader: AnyReader) -> RecordingWriter:
        with_scale = self._scale is not None
        writer = RecordingWriter(self._target, self._depth_encoding, with_scale=with_scale)
        try:
            left_out = writer.copy_topics(reader) if self._copy else []
        except RecordingError:
            writer.abort()
            raise
        for topic in left_out:
            self._say(f'{self.label}: {topic} is not copied: its type is not known')
        return writer

    def close(self) -> None:
        """Remove what was left half written."""
        if self._writer is not None:
            self._writer.abort()

    def _calibrations(self, reader: AnyReader, image_topic: str) -> RecordedCalibrations | None:
        if self._intrinsics.given:
            self._say(f"{self.label}: the intrinsics given are used, not the recording's")
            return None
        try:
            topic = find_camera_info_topic(reader, image_topic, self._topics.camera_info)
        except RecordingError as err:
            raise RecordingError(f'{err}; or give {COMMAND_LINE}') from err
        self._say(f'{self.label}: pictures of {image_topic}, intrinsics of {topic}')
        return RecordedCalibrations(reader, topic)

    def _find_scale(self, reader: AnyReader) -> RecordedScale | None:
        if self._scale_source == 'none':
            return None
        scale = RecordedScale(reader, self._scale_source, self._topics.scale, self.label)
        if scale.topic:
            self._say(f'{self.label}: scale from {scale.topic}')
        return scale

    def _picture(
        self,
        reader: AnyReader,
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
                calibration = self._intrinsics.fitted(PhotoHeader(size), self._say)
            else:
                calibration = calibrations.find(time_ns, msg.header, *size)
        except (FrameError, AnyReaderError) as err:
            return Failure(self.label, err)
        name = self._name(msg.header)
        save = partial(self._save, time_ns, msg.header, name)
        if self._scale is not None:  # it depends on the pictures before: none is left out
            evidence = self._scale.evidence(msg.header)
            return Picture(self.label, rgb, calibration, save, evidence)
        if self._writer is None and self._files is not None and self._files.are_done(name):
            return Present(self.label)
        return Picture(self.label, rgb, calibration, save)

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
