# SPDX-License-Identifier: Apache-2.0
"""Recordings (rosbag2 as mcap or sqlite3, ROS 1 .bag) as steps to be done, without ROS."""

from __future__ import annotations

import posixpath
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore

from depth_pcd_ros.calibration import Calibration
from depth_pcd_ros.convert.inputs import Source
from depth_pcd_ros.convert.intrinsics import Intrinsics, Say
from depth_pcd_ros.convert.outputs import Outputs
from depth_pcd_ros.convert.photos import PhotoHeader
from depth_pcd_ros.convert.record import Record
from depth_pcd_ros.convert.recording_writer import RecordingError, RecordingWriter
from depth_pcd_ros.convert.steps import Action, Failure, Picture, Points, Present, Step
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.messages import calibration_from_msg, rgb_from_msg
from depth_pcd_ros.pipeline import Frame
from depth_pcd_ros.ros.camera_infos import CameraInfos

RAW, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


class Topics(NamedTuple):
    """The topics asked for; empty to be found by type."""

    image: str = ''
    camera_info: str = ''


class RecordingJob:
    """A recording; it becomes another one, and files for each picture where they are asked for.

    Args:
        source: the recording.
        intrinsics: used in place of the CameraInfo where they were given.
        depth_encoding: 32FC1 or 16UC1.
        folder: below it the new recording is made.
        topics: where the pictures and their CameraInfo are.
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
        self._topics = topics
        self._copy = copy
        self._files = files
        self._record = record
        self._say = say
        self._target = folder / source.name
        self._files_name = f'{source.name}_files'
        self._writer: RecordingWriter | None = None
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
            writer = self._writer = None if done else self._new_recording(reader)
            read = [c for c in reader.connections if self._copy or c.topic == image_topic]
            for connection, time_ns, raw in reader.messages(read):
                if self._copy and writer is not None:
                    yield Action(self.label, partial(writer.copy, connection, time_ns, bytes(raw)))
                if connection.topic == image_topic:
                    yield self._picture(reader, connection, time_ns, bytes(raw), calibrations)
            if writer is not None:
                yield Action(self.label, partial(writer.finish, self._record))

    def _new_recording(self, reader: AnyReader) -> RecordingWriter:
        writer = RecordingWriter(self._target, self._depth_encoding)
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

    def _calibrations(self, reader: AnyReader, image_topic: str) -> _Calibrations | None:
        if self._intrinsics.given:
            self._say(f"{self.label}: the intrinsics given are used, not the recording's")
            return None
        topic = find_camera_info_topic(reader, image_topic, self._topics.camera_info)
        self._say(f'{self.label}: pictures of {image_topic}, intrinsics of {topic}')
        return _Calibrations(reader, topic)

    def _picture(
        self,
        reader: AnyReader,
        connection: Connection,
        time_ns: int,
        raw: bytes,
        calibrations: _Calibrations | None,
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
        if self._writer is None and self._files is not None and self._files.are_done(name):
            return Present(self.label)
        return Picture(self.label, rgb, calibration, partial(self._save, time_ns, msg.header, name))

    def _name(self, header: Any) -> str:
        """The name of a picture's files: its stamp, and a number where others had that before."""
        stamp = stamp_ns(header)
        self._stamps[stamp] += 1
        again = f'_{self._stamps[stamp]}' if self._stamps[stamp] > 1 else ''
        return f'{self._files_name}/{stamp}{again}'

    def _save(self, time_ns: int, header: Any, name: str, frame: Frame, points: Points) -> None:
        if self._writer is not None:
            self._writer.write(time_ns, header, frame, points)
        if self._files is not None:
            self._files.write(name, frame, points)


class _Calibrations:
    """The calibration of each picture, as the node chooses it among the CameraInfo so far.

    It is one with the picture's stamp, also where it was recorded a little later than the picture,
    else the newest that fits. Pictures before the first CameraInfo take that.
    """

    def __init__(self, reader: AnyReader, topic: str) -> None:
        connections = [c for c in reader.connections if c.topic == topic]
        self._to_come: deque[tuple[int, Any, Calibration]] = deque()
        for connection, time_ns, raw in reader.messages(connections):
            msg: Any = reader.deserialize(raw, connection.msgtype)
            self._to_come.append((time_ns, msg.header, calibration_from_msg(msg)))
        self._own = {stamp_ns(header): (header, c) for _, header, c in self._to_come}
        self._known = CameraInfos()

    def find(self, time_ns: int, header: Any, width: int, height: int) -> Calibration:
        """The calibration of a picture; see `CameraInfos.find` for the errors."""
        while self._to_come and (self._to_come[0][0] <= time_ns or not len(self._known)):
            _, of, calibration = self._to_come.popleft()
            self._known.add(stamp_ns(of), of.frame_id, calibration)
        stamp = stamp_ns(header)
        if stamp in self._own:
            own, calibration = self._own.pop(stamp)
            self._known.add(stamp, own.frame_id, calibration)
        return self._known.find(stamp, header.frame_id, width, height)


@contextmanager
def open_recording(path: Path) -> Iterator[AnyReader]:
    """Open a recording of any kind that rosbags reads.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as err:  # damaged files raise whatever the damage leads to
        raise RecordingError(f'it cannot be read as a recording: {err}') from err
    try:
        yield reader
    finally:
        reader.close()


def find_image_topic(reader: AnyReader, asked: str = '') -> str:
    """The topic with the pictures: the one asked for, or the only one with colour or grey ones.

    A raw topic goes before the compressed one of the same camera.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    kinds = {c.topic: c.msgtype for c in reader.connections if c.msgtype in (RAW, COMPRESSED)}
    if asked:
        return _asked(asked, kinds, 'Image or CompressedImage')
    pictures = [topic for topic in kinds if not _is_depth(reader, topic)]
    found = [t for t in pictures if posixpath.dirname(t) not in pictures]
    return _only(found, 'an Image or CompressedImage topic', '--image-topic')


def find_camera_info_topic(reader: AnyReader, image_topic: str, asked: str = '') -> str:
    """The CameraInfo topic asked for, or camera_info beside the image topic, or the only one.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    topics = {c.topic: c.msgtype for c in reader.connections if c.msgtype == CAMERA_INFO}
    if asked:
        return _asked(asked, topics, 'CameraInfo')
    namespace = posixpath.dirname(image_topic)
    for above in (namespace, posixpath.dirname(namespace)):  # a compressed topic has one more name
        beside = posixpath.join(above, 'camera_info')
        if beside in topics:
            return beside
    return _only(list(topics), 'a CameraInfo topic', '--camera-info-topic')


def find_camera(path: Path) -> dict[str, str]:
    """The camera of a recording, as the node and its launch file name it.

    Returns:
        `image` and `camera_info`, the topics to remap to, and `image_transport`.

    Raises:
        RecordingError: it cannot be read, or the topics are not clear.
    """
    with open_recording(path) as reader:
        image = find_image_topic(reader)
        camera_info = find_camera_info_topic(reader, image)
        kinds = {c.msgtype for c in reader.connections if c.topic == image}
    if kinds == {RAW}:
        return {'image': image, 'camera_info': camera_info, 'image_transport': 'raw'}
    base, _, transport = image.rpartition('/')
    if transport != 'compressed':
        raise RecordingError(f'{image} has CompressedImage, but is not named .../compressed')
    return {'image': base, 'camera_info': camera_info, 'image_transport': 'compressed'}


def stamp_ns(header: Any) -> int:
    """The stamp of a header [ns]."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def _is_depth(reader: AnyReader, topic: str) -> bool:
    """Whether the first picture of a topic is depth (REP 118) and no photo."""
    connections = [c for c in reader.connections if c.topic == topic]
    first = next(iter(reader.messages(connections)), None)
    if first is None:
        return False
    msg: Any = reader.deserialize(first[2], first[0].msgtype)
    if hasattr(msg, 'format'):
        return 'compressedDepth' in msg.format
    return msg.encoding in ('16UC1', '32FC1')


def _asked(topic: str, known: Collection[str], kind: str) -> str:
    if topic not in known:
        there = ', '.join(sorted(known)) or 'none'
        raise RecordingError(f'it has no {kind} topic {topic}; there is {there}')
    return topic


def _only(topics: list[str], what: str, option: str) -> str:
    if not topics:
        raise RecordingError(f'it lacks {what}')
    if len(topics) > 1:
        raise RecordingError(f'choose {what} with {option}: {", ".join(sorted(topics))}')
    return topics[0]
