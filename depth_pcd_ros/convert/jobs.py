# SPDX-License-Identifier: Apache-2.0
"""Photos and videos as steps to be done."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from depth_pcd_ros import frame
from depth_pcd_ros.convert.manifest import Manifest
from depth_pcd_ros.convert.outputs import Outputs
from depth_pcd_ros.convert.selection import Selection
from depth_pcd_ros.convert.steps import Failure, Picture, Skipped, Step
from depth_pcd_ros.inputs.intrinsics import Intrinsics, Say
from depth_pcd_ros.inputs.photos import PhotoHeader, read_header, read_photo
from depth_pcd_ros.inputs.sources import PHOTOS, RAW_PHOTOS, RECORDINGS, VIDEOS, Source
from depth_pcd_ros.messages.encodings import ImageError
from depth_pcd_ros.recordings.topics import Topics
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Header

USUAL_RATE = 30.0  # Hz, of a video that does not say
# How far a video is turned to the right by OpenCV to be upright [deg], to EXIF's orientation.
ORIENTATIONS = {0: 1, 90: 6, 180: 3, 270: 8}


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for, of all inputs alike.

    Attributes:
        folder: the output folder; below it each recording becomes a new one.
        settings: the node's parameters.
        intrinsics: what the command line says about the camera.
        outputs: writes the files of each picture.
        manifest: told of each new recording.
        topics: of recordings.
        selection: which pictures of videos and recordings.
        copy: whether a new recording has all messages of the old one, too.
        with_files: whether recordings become files, too.
        say: told of what a person should know.
    """

    folder: Path
    settings: Settings
    intrinsics: Intrinsics
    outputs: Outputs
    manifest: Manifest
    topics: Topics
    selection: Selection
    copy: bool
    with_files: bool
    say: Say


class Job(Protocol):
    """What is to be done with one input.

    Attributes:
        label: the input, for messages.
        is_recording: whether it becomes a recording.
    """

    label: str
    is_recording: bool

    def pictures(self) -> int:
        """How many pictures there are, at least roughly."""
        ...

    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of its first picture [px]; None where there is no telling."""
        ...

    def existing(self) -> list[Path]:
        """What is there already of what this writes."""
        ...

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the input; with `resume`, only that whose results are not there."""
        ...

    def close(self) -> None:
        """Remove what was left half written."""
        ...


class PhotoJob:
    """A photo."""

    is_recording = False

    def __init__(self, source: Source, request: Request) -> None:
        self.label = str(source.path)
        self._source = source
        self._request = request

    def pictures(self) -> int:
        """One."""
        return 1

    def picture_size(self) -> tuple[int, int] | None:
        """Width and height, upright."""
        return picture_size(self._source)

    def existing(self) -> list[Path]:
        """Those of its files that are there."""
        return self._request.outputs.existing(self._source.name)

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the photo."""
        name, request = self._source.name, self._request
        if resume and request.outputs.are_done(name):
            yield Skipped(self.label)
            return
        rgb, header = read_photo(self._source.path)
        calibration = request.intrinsics.fitted(header, request.say)
        picture = frame.Picture(rgb, calibration, Header(sequence=self.label))
        yield Picture(self.label, picture, partial(request.outputs.write, name))

    def close(self) -> None:
        """Nothing is left half written."""


class VideoJob(PhotoJob):
    """A video; its pictures are numbered from 000000."""

    def pictures(self) -> int:
        """What the header says, which may be wrong."""
        try:
            video = _opened(self._source.path)
        except ImageError:  # it is told when the video is read
            return 1
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = video.get(cv2.CAP_PROP_FPS) or USUAL_RATE
        video.release()
        return self._request.selection.count(max(count, 1), rate)

    def existing(self) -> list[Path]:
        """The files in its folder."""
        return self._request.outputs.existing_below(self._source.name)

    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the video picture by picture; OpenCV turns them upright."""
        request = self._request
        # with true scale a picture depends on those before: none is left out
        resume = resume and request.settings.scale_source == 'none'
        video = _opened(self._source.path)
        try:
            rate = video.get(cv2.CAP_PROP_FPS) or USUAL_RATE
            turned = int(video.get(cv2.CAP_PROP_ORIENTATION_META))
            orientation = ORIENTATIONS.get(turned % 360, 1)
            aspect = _pixel_aspect(video, is_turned=turned % 180 == 90)
            request.say(
                f'{self.label}: {rate:.4g} pictures a second, so {round(rate):06d} is at '
                f'{round(rate) / rate:.3f} s'
            )
            number = selected = 0
            while number / rate <= request.selection.end and video.grab():
                name = str(Path(self._source.name) / f'{number:06d}')
                wanted = request.selection.has(number, number / rate)
                number += 1
                if not wanted:
                    continue
                selected += 1
                if resume and request.outputs.are_done(name):
                    yield Skipped(self.label)
                    continue
                found, bgr = video.retrieve()
                if not found:
                    reason = f'picture {number - 1} cannot be decoded'
                    yield Failure(self.label, ImageError('corrupt_picture', reason))
                    continue
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                size = (rgb.shape[1], rgb.shape[0])
                header = PhotoHeader(size, orientation, pixel_aspect=aspect)
                calibration = request.intrinsics.fitted(header, request.say)
                at = Header(round(number * 1e9 / rate), sequence=self.label)
                picture = frame.Picture(rgb, calibration, at)
                yield Picture(self.label, picture, partial(request.outputs.write, name))
            expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            if number < expected and number / rate <= request.selection.end:
                request.say(f'{self.label}: {number} pictures could be read, {expected} announced')
            if not number:
                raise ImageError('corrupt_video', 'it has no picture that OpenCV can decode')
            if not selected:
                raise ImageError(
                    'no_picture', f'it has no picture from --start on: {number} pictures'
                )
        finally:
            video.release()


class UnknownJob:
    """An input that is no file of a known kind."""

    is_recording = False

    def __init__(self, source: Source) -> None:
        self.label = str(source.path)
        self._path = source.path

    def pictures(self) -> int:
        """One, which fails."""
        return 1

    def picture_size(self) -> None:
        """Nothing is known."""

    def existing(self) -> list[Path]:
        """Nothing."""
        return []

    def steps(self, resume: bool) -> Iterator[Failure]:
        """Say what is wrong."""
        kinds = ', '.join((*PHOTOS, *VIDEOS, *RECORDINGS))
        reason = f'it is no photo, video or recording: its name should end with one of {kinds}'
        if self._path.suffix.lower() in RAW_PHOTOS:
            reason = 'it is a raw photo: develop it first, to JPEG or TIFF'
        try:
            if stat.S_ISDIR(self._path.stat().st_mode):
                reason = 'the folder cannot be read'
        except FileNotFoundError:
            reason = 'no such file'
        except OSError as err:  # its folder must not be read, say
            reason = str(err.strerror)
        yield Failure(self.label, ImageError('unknown_input', reason))

    def close(self) -> None:
        """Nothing is left half written."""


def picture_size(source: Source) -> tuple[int, int] | None:
    """Width and height of a photo or a video, upright [px]; None where there is no telling."""
    if source.kind == 'photo':
        header = read_header(source.path)
        return header.size if header else None
    if source.kind != 'video':
        return None
    try:
        video = _opened(source.path)
    except ImageError:
        return None
    found, bgr = video.read()
    video.release()
    return (int(bgr.shape[1]), int(bgr.shape[0])) if found else None


def _pixel_aspect(video: cv2.VideoCapture, *, is_turned: bool) -> float:
    """Width of a pixel of the upright picture, as a share of its height; 1 where it is not said."""
    across, down = video.get(cv2.CAP_PROP_SAR_NUM), video.get(cv2.CAP_PROP_SAR_DEN)
    if across <= 0.0 or down <= 0.0:
        return 1.0
    return float(down / across if is_turned else across / down)


def _opened(path: Path) -> cv2.VideoCapture:
    """Open a video.

    Raises:
        ImageError: `corrupt_video`.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as err:  # with such a name OpenCV 5.0 ends the process
        raise ImageError('corrupt_video', 'its name is not UTF-8: rename it') from err
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ImageError('corrupt_video', 'OpenCV cannot read it as a video')
    return video
