# SPDX-License-Identifier: Apache-2.0
"""Pictures to measure on: of photos, videos and recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.inputs.intrinsics import Intrinsics, IntrinsicsError, Say
from depth_pcd_ros.inputs.photos import PhotoHeader, read_photo
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.inputs.videos import Video
from depth_pcd_ros.messages.encodings import Rgb
from depth_pcd_ros.recordings.camera import RecordedCamera
from depth_pcd_ros.recordings.reader import open_recording
from depth_pcd_ros.recordings.topics import Topics, find_image_topic
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Header


def of_inputs(
    sources: Sequence[Source],
    intrinsics: Intrinsics,
    *,
    topics: Topics,
    settings: Settings,
    count: int,
    say: Say,
) -> Iterator[Picture]:
    """About `count` pictures, spread evenly over the inputs.

    The intrinsics are for photos and videos, the topics and the settings for recordings.

    Raises:
        RecordingError: a recording cannot be read, or a topic is missing or not the only one.
        IntrinsicsError: nothing is known about the camera.
        FrameError: none of the pictures can be read.
    """
    each = -(-count // len(sources))
    good = 0
    for source in sources[:: max(1, len(sources) // count)]:
        if source.kind == 'recording':
            yield from _of_recording(source, topics, settings, each, say)
            good += 1
            continue
        try:
            for rgb, header, seconds in _of_file(source, each):
                if intrinsics.lacks_size:
                    intrinsics = intrinsics.with_size(header.size, f'as the size of {source.path}')
                at = Header(round(seconds * 1e9), sequence=str(source.path))
                yield Picture(rgb, intrinsics.fitted(header, say), at)
                good += 1
        except (FrameError, IntrinsicsError) as err:
            if len(sources) == 1:
                raise
            say(f'{source.path}: {err}')
    if not good:
        raise FrameError('no_picture', 'none of the inputs has a picture that can be used')


def _of_file(source: Source, count: int) -> Iterator[tuple[Rgb, PhotoHeader, float]]:
    if source.kind == 'photo':
        yield *read_photo(source.path), 0.0
        return
    with closing(Video(source.path)) as video:
        step = max(1, round(video.announced / count))
        for number, seconds in video.numbers():
            if number % step == 0:
                yield *video.picture(number), seconds


def _of_recording(
    source: Source, topics: Topics, settings: Settings, count: int, say: Say
) -> Iterator[Picture]:
    with open_recording(source.path, say) as reader:
        topic = find_image_topic(reader, topics.image)
        camera = RecordedCamera(
            reader,
            topic,
            topics=topics,
            settings=settings,
            intrinsics=Intrinsics(),
            say=lambda _: None,  # the line for the YAML file is what counts
        )
        step = max(1, round(reader.count(topic) / count))
        good, problem = 0, None
        for i, (time_ns, msg) in enumerate(reader.decoded(topic)):
            # the scale from motion needs every picture, the others only some
            if i % step and settings.scale_source != 'motion':
                continue
            try:
                yield camera.picture(msg, time_ns, str(source.path))
                good += 1
            except FrameError as err:
                problem = err
                say(str(err))
        for damage in reader.damage:
            say(damage)
        if problem is not None and not good:
            raise problem
