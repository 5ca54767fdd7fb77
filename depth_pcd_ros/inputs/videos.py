# SPDX-License-Identifier: Apache-2.0
"""Reads videos, with OpenCV."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from depth_pcd_ros.inputs.orientation import Matrix, mirrored, upright
from depth_pcd_ros.inputs.photos import PhotoHeader
from depth_pcd_ros.messages.encodings import ImageError, Rgb

USUAL_RATE = 30.0  # Hz, of a video that does not say
# EXIF's orientation, by how far OpenCV turns a video to the right to be upright [deg].
ORIENTATIONS = {0: 1, 90: 6, 180: 3, 270: 8}


class Video:
    """A video that is open.

    Attributes:
        rate: pictures a second, on average.
        announced: how many pictures there are, as its header says, which may be wrong.
        alike: how many pictures were decoded so far, if they are all the same to the bit; else 0.
            OpenCV 5.0 gives those of interlaced video so, which it cannot convert: mostly black.

    Raises:
        ImageError: `corrupt_video`.
    """

    def __init__(self, path: Path) -> None:
        try:
            str(path).encode()
        except UnicodeEncodeError as err:  # with such a name OpenCV 5.0 ends the process
            raise ImageError('corrupt_video', 'its name is not UTF-8: rename it') from err
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ImageError('corrupt_video', 'OpenCV cannot read it as a video')
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0.0 < rate < math.inf else USUAL_RATE
        self.announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.alike = 0
        self._first: Rgb | None = None
        self._all_alike = True
        turned = int(self._capture.get(cv2.CAP_PROP_ORIENTATION_META))
        self._orientation = ORIENTATIONS.get(turned % 360, 1)
        self._mirrored = mirrored(_shown_from_stored(path))
        if self._mirrored:  # OpenCV would turn it, to somewhere else
            self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
            self._orientation = self._mirrored
        across = self._capture.get(cv2.CAP_PROP_SAR_NUM)
        down = self._capture.get(cv2.CAP_PROP_SAR_DEN)
        # width of a pixel of the upright picture, as a share of its height; often it is not said
        self._pixel_aspect = 1.0
        if across > 0.0 and down > 0.0:
            self._pixel_aspect = float(down / across if turned % 180 == 90 else across / down)

    def numbers(self) -> Iterator[tuple[int, float]]:
        """Go from picture to picture; yield number, from 0, and time from the first [s].

        The times are the video's own: a phone's pictures are not evenly spaced.

        Raises:
            ImageError: `corrupt_video`, it has no picture.
        """
        number, seconds, first = 0, 0.0, 0.0
        while self._capture.grab():
            shown = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            if not number:
                first = shown  # OpenCV 4.5 counts from 1
            elif (since_first := round(shown - first, 6)) > seconds:
                seconds = since_first
            else:  # a stream without times
                seconds += 1.0 / self.rate
            yield number, seconds
            number += 1
        if not number:
            raise ImageError('corrupt_video', 'it has no picture that OpenCV can decode')

    def picture(self, number: int) -> tuple[Rgb, PhotoHeader]:
        """Decode the picture that was come to, upright, (H, W, 3) RGB.

        Raises:
            ImageError: `corrupt_picture`.
        """
        found, bgr = self._capture.retrieve()
        if not found:
            raise ImageError('corrupt_picture', f'picture {number} cannot be decoded')
        rgb = upright(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), self._mirrored)
        if self._all_alike:
            self._first = rgb if self._first is None else self._first
            self._all_alike = np.array_equal(rgb, self._first)
            self.alike = self.alike + 1 if self._all_alike else 0
        size = (rgb.shape[1], rgb.shape[0])
        return rgb, PhotoHeader(size, self._orientation, pixel_aspect=self._pixel_aspect)

    def close(self) -> None:
        """Close it."""
        self._capture.release()


def _shown_from_stored(path: Path) -> Matrix:
    """The turn in the header of an MP4's pictures, the identity where there is none.

    Source: ISO/IEC 14496-12, 8.3.2: (right, down) times the matrix, of fixed-point numbers.
    """
    data, at = _movie_header(path), -1
    while (at := data.find(b'tkhd', at + 1)) >= 0:
        start = at + (44 if data[at + 4 : at + 5] == b'\0' else 56)  # behind times of 4 or 8 bytes
        if len(data) < start + 44:
            break
        a, b, _, c, d, *_, width, height = struct.unpack_from('>9i2I', data, start)
        if width and height:  # sound has none
            return (_sign(a), _sign(c)), (_sign(b), _sign(d))
    return (1, 0), (0, 1)


def _movie_header(path: Path) -> bytes:
    with path.open('rb') as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack('>I4s', head)
            left = size - 8
            if size == 1:  # the length follows, in 8 bytes
                left = int.from_bytes(file.read(8), 'big') - 16
            if kind == b'moov':
                return file.read(left)
            if left < 0:  # up to the end, or no MP4
                break
            file.seek(left, os.SEEK_CUR)
    return b''


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
