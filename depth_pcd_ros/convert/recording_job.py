# SPDX-License-Identifier: Apache-2.0
"""Recordings (rosbag2 as mcap or sqlite3, ROS 1 .bag) as steps to be done, without ROS."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from depth_pcd_ros.convert.jobs import Request, count_unmixed, tell_of_nothing, tell_of_unmixed
from depth_pcd_ros.convert.stretches import Stretch, finish, folder_of_parts, part_of
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.messages.decode import rgb_from_msg
from depth_pcd_ros.recordings.camera import RecordedCamera
from depth_pcd_ros.recordings.connection import Connection, is_latched
from depth_pcd_ros.recordings.reader import Recording, RecordingError, open_recording
from depth_pcd_ros.recordings.topics import find_cameras, find_image_topic
from depth_pcd_ros.recordings.writer import RecordingWriter
from depth_pcd_ros.scale.held import Held
from depth_pcd_ros.work.job import Failure, Job, Picture, Skipped, Step, Write, where


class RecordingJob(Job):
    """A recording; it becomes another one, and files for each picture where they are asked for.

    Of a stretch of it, to be joined with others, comes a part of the other one.
    """

    is_recording = True

    def __init__(self, source: Source, request: Request, stretch: Stretch | None = None) -> None:
        super().__init__(str(source.path))
        self._source = source
        self._request = request
        self._files = request.outputs if request.with_files else None
        self._target = request.folder / source.name
        self._stretch = stretch
        if stretch is not None:
            self._target = part_of(self._target, stretch)
        self._files_name = f'{source.name}_files'
        self._writer: RecordingWriter | None = None
        self._held = defaultdict[str, Held](Held)  # by camera
        self._unmixed = defaultdict[str, Held](Held)  # the same of the temporal filter

    def pictures(self) -> int:
        """Count the messages on the image topics; 1 where they cannot be counted."""
        if self._stretch is not None:
            return self._stretch.pictures
        try:
            with open_recording(self._source.path) as reader:
                counts = map(reader.count, self._image_topics(reader).values())
                return sum(map(self._request.selection.count, counts))
        except Exception:  # it is told when the recording is read
            return 1

    def picture_size(self) -> tuple[int, int] | None:
        """Return width and height of the first picture; None where it cannot be read."""
        try:
            with open_recording(self._source.path) as reader:
                topic = next(iter(self._image_topics(reader).values()))
                height, width = rgb_from_msg(next(reader.decoded(topic))[1]).shape[:2]
                return width, height
        except Exception:  # it is told when the recording is read
            return None

    def existing(self) -> list[Path]:
        """Return the folder of the new recording and its files, as far as they exist."""
        files = self._files.existing_below(self._files_name) if self._files else []
        return [self._target, *files] if self._target.exists() else files

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the recording."""
        done = resume and self._request.manifest.is_done(self._target)
        if done and self._files is None:
            yield Skipped(self.label, self.pictures())
            return
        with open_recording(self._source.path, self._say) as reader:
            cameras: dict[str, RecordedCamera] = {}  # by the topic of their pictures
            for name, topic in self._image_topics(reader).items():
                try:
                    cameras[topic] = self._camera(reader, topic, name)
                except RecordingError as err:
                    if not name:
                        raise
                    yield Failure(self.label, err, camera=name)
            if not cameras:
                return
            writer = self._writer = None if done else self._new_recording(reader, cameras.values())
            read = [c for c in reader.connections if self._request.copy or c.topic in cameras]
            numbers = dict.fromkeys(cameras, 0)  # of the next picture of each
            first_ns: int | None = None  # when the first picture of any camera was recorded
            selected = 0
            selection = self._request.selection
            start_ns, end_ns = 0, math.inf
            if self._stretch is not None:
                start_ns, end_ns = self._stretch.start_ns, self._stretch.end_ns or math.inf
                first_ns = self._stretch.first_ns
                numbers.update(dict.fromkeys(cameras, self._stretch.number))
            for connection, time_ns, raw in reader.messages(read, start=start_ns):
                camera = cameras.get(connection.topic)
                if camera is not None and first_ns is None:
                    first_ns = time_ns
                # what comes before the first picture counts as of its time
                seconds = 0.0 if first_ns is None else (time_ns - first_ns) / 1e9
                if seconds > selection.end or time_ns >= end_ns:
                    break
                is_here = selection.start <= seconds or is_latched(connection)
                if self._request.copy and writer is not None and is_here:
                    yield Write(self.label, partial(writer.copy, connection, time_ns, bytes(raw)))
                if camera is not None:
                    if selection.has(numbers[connection.topic], seconds):
                        selected += 1
                        yield self._picture(reader, connection, time_ns, bytes(raw), camera)
                    numbers[connection.topic] += 1
            count = sum(numbers.values())
            if self._stretch is None and count and not selected:
                raise RecordingError(f'it has no picture from --start on: {count} pictures')
            for topic, camera in cameras.items():
                if camera.name and not numbers[topic]:
                    up_to = f' up to --end {selection.end:g}' if selection.end < math.inf else ''
                    silent = RecordingError(f'it has no picture{up_to}')
                    yield Failure(self.label, silent, camera=camera.name)
            if any(camera.scale is not None for camera in cameras.values()):
                yield Write(self.label, self._sum_up)
            if writer is not None:
                is_whole = self._stretch is None
                yield Write(self.label, partial(self._finish, writer), results=int(is_whole))
            for damage in reader.damage:
                yield Failure(self.label, RecordingError(f'{damage}; what can be read is used'))

    def _say(self, sentence: str, camera: str = '') -> None:
        self._request.say(f'{where(self.label, camera)}: {sentence}')

    def _sum_up(self) -> None:
        """Say why the scale was held and the temporal filter mixed nothing, where it was so."""
        for camera, held in self._held.items():
            for share, why in held:
                self._say(f'the scale was held for {share}, {why}', camera)
        for camera, unmixed in self._unmixed.items():
            tell_of_unmixed(unmixed, where(self.label, camera), self._request.say)

    def _camera(self, reader: Recording, topic: str, name: str) -> RecordedCamera:
        request = self._request
        return RecordedCamera(
            reader,
            topic,
            topics=request.topics,
            settings=request.of_camera.get(name, request.settings),
            intrinsics=request.intrinsics,
            name=name,
            label=where(self.label, name),
            say=request.say,
        )

    def _image_topics(self, reader: Recording) -> dict[str, str]:
        """Find the image topic of each camera, by its name; '' where there is just one."""
        asked, cameras = self._request.topics.image, self._request.cameras
        if cameras is None:
            return {'': find_image_topic(reader, asked, '--image-topic, or all with --cameras all')}
        return find_cameras(reader, cameras, asked)

    def _new_recording(
        self, reader: Recording, cameras: Iterable[RecordedCamera]
    ) -> RecordingWriter:
        writer = RecordingWriter(self._target, {one.name: one.settings for one in cameras})
        try:
            left_out = writer.copy_topics(reader) if self._request.copy else []
        except RecordingError:
            writer.abort()
            raise
        for topic in left_out:
            self._say(f'{topic} is not copied: its type is not known')
        return writer

    def _finish(self, writer: RecordingWriter) -> None:
        if self._stretch is None:
            finish(writer, self._target, self._request)
            return
        writer.close(may_be_empty=True)
        self._request.manifest.begin(self._target)
        writer.rename()

    def close(self) -> None:
        """Remove what was left half written."""
        if self._writer is not None:
            self._writer.abort()

    def _picture(
        self,
        reader: Recording,
        connection: Connection,
        time_ns: int,
        raw: bytes,
        camera: RecordedCamera,
    ) -> Step:
        try:
            msg: Any = reader.deserialize(raw, connection.msgtype)
            picture = camera.picture(msg, time_ns, self.label)
        except (FrameError, RecordingError) as err:
            return Failure(self.label, err, camera=camera.name)
        name = f'{self._files_name}/{camera.file_name(msg.header)}'
        # where a picture depends on those before, none is left out
        done = self._files is not None and self._files.are_done(name)
        if done and camera.scale is None and self._writer is None:
            return Skipped(self.label)
        header = msg.header

        def save(frame: Frame, points: Points) -> None:
            self._held[camera.name].add_state(frame.scale)
            count_unmixed(self._unmixed[camera.name], frame)
            tell_of_nothing(frame, where(self.label, camera.name), self._request.say)
            if self._writer is not None:
                self._writer.write(time_ns, header, frame, points, camera.name)
            if self._files is not None:
                self._files.write(name, frame, points)

        is_result = self._writer is None
        return Picture(self.label, picture, save, is_result=is_result, camera=camera.name)


class JoinJob(RecordingJob):
    """Makes one recording of its parts, the same as if it had not been divided."""

    def __init__(self, source: Source, request: Request, stretches: Sequence[Stretch]) -> None:
        super().__init__(source, request)
        self._parts = [part_of(self._target, stretch) for stretch in stretches]

    def pictures(self) -> int:
        """Return 0: its parts have counted them."""
        return 0

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the parts."""
        # without a folder of parts, another worker had joined them before it died
        is_joined = resume or not folder_of_parts(self._target).exists()
        if is_joined and self._request.manifest.is_done(self._target):
            yield Skipped(self.label, 0)
            return
        missing = [path for path in self._parts if not path.exists()]
        if missing:
            raise RecordingError(f'{len(missing)} of its {len(self._parts)} parts have failed')
        writer = self._writer = RecordingWriter(self._target, {'': self._request.settings})
        for path in self._parts:
            with open_recording(path) as reader:
                for connection, time_ns, raw in reader.messages():
                    topic, data = connection.topic, bytes(raw)
                    yield Write(self.label, partial(writer.write_again, topic, time_ns, data))
        yield Write(self.label, partial(self._finish, writer), results=1)
