# SPDX-License-Identifier: Apache-2.0
"""Photos and videos as steps to be done."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import cv2

from depth_pcd_ros.convert.manifest import Manifest
from depth_pcd_ros.convert.outputs import Outputs
from depth_pcd_ros.files.whole_file import is_stored
from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.frame import Picture as FramePicture
from depth_pcd_ros.inputs.intrinsics import Intrinsics, Say
from depth_pcd_ros.inputs.photos import read_header, read_photo
from depth_pcd_ros.inputs.recording_files import METADATA
from depth_pcd_ros.inputs.sources import PHOTOS, RAW_PHOTOS, RECORDINGS, VIDEOS, Source
from depth_pcd_ros.inputs.videos import Video
from depth_pcd_ros.messages.encodings import ImageError
from depth_pcd_ros.recordings.topics import Topics
from depth_pcd_ros.scale.held import Held
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Header
from depth_pcd_ros.work.job import Failure, Job, Picture, Skipped, Step, Write
from depth_pcd_ros.work.selection import Selection

ALIKE = 3  # pictures of a video that are the same, before that is said


@dataclasses.dataclass(frozen=True)
class Request:
    """The request, the same for all inputs."""

    folder: Path  # the output folder; below it each recording becomes a new one
    settings: Settings  # the node's parameters
    intrinsics: Intrinsics  # what the command line says about the camera
    outputs: Outputs  # writes the files of each picture
    manifest: Manifest  # notes each new recording
    topics: Topics  # of recordings
    # names of a recording's cameras; empty: all; None: just one
    cameras: Sequence[str] | None
    of_camera: Mapping[str, Settings]  # the settings of those that have their own
    selection: Selection  # which pictures of videos and recordings
    copy: bool  # whether a new recording has all messages of the old one, too
    with_files: bool  # whether recordings become files, too
    say: Say  # gets what a person should know


class PhotoJob(Job):
    """A photo."""

    def __init__(self, source: Source, request: Request) -> None:
        super().__init__(str(source.path))
        self._source = source
        self._request = request

    def picture_size(self) -> tuple[int, int] | None:
        """Return width and height, upright."""
        return picture_size(self._source)

    def existing(self) -> list[Path]:
        """Return the files of its results that exist."""
        return self._request.outputs.existing(self._source.name)

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the photo."""
        name, request = self._source.name, self._request
        filtered = request.settings.temporal_filter > 0.0
        if resume and not filtered and request.outputs.are_done(name):
            yield Skipped(self.label)
            return
        rgb, header = read_photo(self._source.path)
        if header.may_be_depth:
            request.say(
                f'{self._source.path.parent} has PNG of 16 bits of grey, as depth images are: they '
                'are taken for photos'
            )
        calibration = request.intrinsics.fitted(header, request.say)
        # for the filter, a folder is a sequence; it notices pictures that do not belong together
        sequence = str(self._source.path.parent) if filtered else self.label
        picture = FramePicture(rgb, calibration, Header(sequence=sequence))
        yield Picture(self.label, picture, partial(self._save, name))

    def _save(self, name: str, frame: Frame, points: Points) -> None:
        tell_of_nothing(frame, self.label, self._request.say)
        self._request.outputs.write(name, frame, points)


class VideoJob(PhotoJob):
    """A video; its pictures are numbered from 000000."""

    def __init__(self, source: Source, request: Request) -> None:
        super().__init__(source, request)
        self._unmixed = Held()  # the pictures into which the temporal filter mixes nothing

    def pictures(self) -> int:
        """Count the pictures by the header, which may be wrong."""
        try:
            with closing(Video(self._source.path)) as video:
                return self._request.selection.count(max(video.announced, 1), video.rate)
        except ImageError:  # `steps` reports it
            return 1

    def existing(self) -> list[Path]:
        """Return the files in its folder that exist."""
        return self._request.outputs.existing_below(self._source.name)

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the video picture by picture; OpenCV turns them upright."""
        request, selection = self._request, self._request.selection
        # a picture may depend on those before: then none is left out
        resume = resume and not request.settings.needs_motion
        with closing(Video(self._source.path)) as video:
            rate = video.rate
            request.say(
                f'{self.label}: {rate:.4g} pictures a second, so {round(rate):06d} is at '
                f'{round(rate) / rate:.3f} s'
            )
            number, seconds, selected = 0, 0.0, 0
            for number, seconds in video.numbers():
                if seconds > selection.end:
                    break
                if not selection.has(number, seconds):
                    continue
                selected += 1
                name = str(Path(self._source.name) / f'{number:06d}')
                if resume and request.outputs.are_done(name):
                    yield Skipped(self.label)
                    continue
                try:
                    rgb, header = video.picture(number)
                except ImageError as err:
                    yield Failure(self.label, err)
                    continue
                if video.alike == ALIKE:
                    request.say(
                        f'{self.label}: its first {ALIKE} pictures are the same to the bit, as '
                        f'OpenCV 5.0 (here {cv2.__version__}) gives of interlaced video, black or '
                        'worse: ffmpeg -i IN -vf yadif OUT makes it progressive'
                    )
                calibration = request.intrinsics.fitted(header, request.say)
                at = Header(round((seconds + 1.0 / rate) * 1e9), sequence=self.label)
                picture = FramePicture(rgb, calibration, at)
                yield Picture(self.label, picture, partial(self._save, name))
            else:
                if seconds + 1.5 / rate < video.announced / rate:
                    request.say(
                        f'{self.label}: {number + 1} pictures could be read, {video.announced} '
                        'announced'
                    )
            if abs(seconds - number / rate) > 1.0 / rate:
                request.say(
                    f'{self.label}: its pictures are not evenly spaced: {number:06d} is at '
                    f'{seconds:.3f} s'
                )
            yield Write(self.label, self._sum_up)
            if not selected:
                reason = f'it has no picture from --start on: {number + 1} pictures'
                raise ImageError('no_picture', reason)

    def _save(self, name: str, frame: Frame, points: Points) -> None:
        count_unmixed(self._unmixed, frame)
        super()._save(name, frame, points)

    def _sum_up(self) -> None:
        tell_of_unmixed(self._unmixed, self.label, self._request.say)


def count_unmixed(unmixed: Held, frame: Frame) -> None:
    """Count a frame, and why the temporal filter mixed nothing into it."""
    if frame.steadiness is not None:
        first = frame.steadiness.cause == 'first'  # which nothing comes before
        unmixed.add(*(('', '') if first else frame.steadiness[1:]))


def tell_of_unmixed(unmixed: Held, label: str, say: Say) -> None:
    """Say into how many pictures the temporal filter mixed nothing, and why."""
    for share, why in unmixed:
        say(f'{label}: the temporal filter mixed nothing into {share}, {why}')


def tell_of_nothing(frame: Frame, label: str, say: Say) -> None:
    """Say where a picture gives no point."""
    if not frame.valid_count:
        say(f'{label}: no valid point in a picture: see --min-depth, --max-range, --edge-filter')


class UnknownJob(Job):
    """An input that is no file of a known kind."""

    def __init__(self, source: Source) -> None:
        super().__init__(str(source.path))
        self._path = source.path

    def steps(self, resume: bool) -> Iterator[Failure]:
        """Say what is wrong."""
        kinds = ', '.join((*PHOTOS, *VIDEOS, *RECORDINGS))
        reason = f'it is no photo, video or recording: its name should end with one of {kinds}'
        if self._path.suffix.lower() in RAW_PHOTOS:
            reason = 'it is a raw photo: develop it first, to JPEG or TIFF'
        if self._path.name == METADATA:
            reason = 'it belongs to a recording: give the folder that it is in'
        if is_stored(self._path):
            reason = 'only photos are read from a store: copy it to a disk first'
        try:
            if stat.S_ISDIR(self._path.stat().st_mode):
                reason = 'the folder cannot be read'
        except FileNotFoundError:
            reason = 'no such file'
        except OSError as err:  # its folder must not be read, say
            reason = str(err.strerror or err)
        yield Failure(self.label, ImageError('unknown_input', reason))


def picture_size(source: Source) -> tuple[int, int] | None:
    """Return width and height of a photo or a video, upright [px]; None where it is unknown."""
    if source.kind == 'photo':
        header = read_header(source.path)
        return header.size if header else None
    if source.kind != 'video':
        return None
    try:
        with closing(Video(source.path)) as video:
            number, _ = next(video.numbers())
            return video.picture(number)[1].size
    except ImageError:
        return None
