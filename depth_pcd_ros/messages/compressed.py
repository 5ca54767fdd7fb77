# SPDX-License-Identifier: Apache-2.0
"""Decode a sensor_msgs/CompressedImage to RGB: JPEG, PNG, TIFF and WebP."""

from __future__ import annotations

import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.messages.encodings import PACKED, ImageError, Rgb, to_rgb


def rgb_from_picture(data: Any, picture_format: str) -> Rgb:
    """Decode a compressed picture to RGB.

    Its first bytes tell the codec. `picture_format` gives the order of the channels, as
    image_transport's compressed subscriber reads it: in 'rgb8; jpeg compressed rgb8' OpenCV was
    given RGB where it expects BGR, everything else is an ordinary picture. A Bayer mosaic in a PNG
    ('bayer_rggb8; png compressed ') is interpolated. EXIF's orientation is ignored, because the
    calibration knows the sensor's pixels only.
    Source: https://github.com/ros-perception/image_transport_plugins, compressed_subscriber.cpp.

    Args:
        data: the bytes, as a buffer.
        picture_format: CompressedImage.format.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: `empty_image`, `unknown_format`, `corrupt_picture` (also where it is cut off,
            which OpenCV would fill with grey).
    """
    encoding, _, codec = picture_format.partition(';')
    if 'compressedDepth' in codec:
        raise ImageError('unknown_format', f'format {picture_format!r} is a depth image')
    data = bytes(data)
    if not data:
        raise ImageError('empty_image', f'compressed image of format {picture_format!r} is empty')
    kind = picture_kind(data)
    if not kind and not any(name in picture_format for name in _NAMES):
        raise ImageError(
            'unknown_format', f'format {picture_format!r} is not one of {", ".join(_NAMES)}'
        )
    if not kind:  # JPEG 2000, JPEG XL, or the page of an error
        kinds = ', '.join(_IS_COMPLETE)
        raise _corrupt(picture_format, data, f'it begins with {data[:8]!r}, as no {kinds} does')
    if not _IS_COMPLETE[kind](data):
        raise _corrupt(picture_format, data, 'it is damaged or cut off')
    try:
        picture = decoded(data)
    except ImageError as err:
        raise _corrupt(picture_format, data, str(err)) from err
    has_rgb_order = encoding.startswith(('rgb', 'bgr')) and codec and 'compressed bgr' not in codec
    is_mosaic = encoding.startswith('bayer_') and codec.strip() == 'png compressed'
    if is_mosaic and encoding in PACKED:
        return to_rgb(np.ascontiguousarray(picture[..., 0]), encoding)
    return to_rgb(picture, 'rgb8' if has_rgb_order else 'bgr8')


def decoded(data: bytes) -> npt.NDArray[Any]:
    """Decode a picture as it is stored, whatever EXIF's orientation: (H, W, 3) BGR, 8 or 16 bits.

    Raises:
        ImageError: `corrupt_picture`.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:  # for one, a size beyond OpenCV's limit
        raise ImageError('corrupt_picture', f'OpenCV cannot decode it: {err}') from err
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise ImageError('corrupt_picture', 'OpenCV cannot decode it as a picture of 8 or 16 bits')
    return np.asarray(picture)


def picture_kind(data: bytes) -> str:
    """Recognise a picture by its first bytes: jpeg, png, tiff, webp, or '' for none of these."""
    return next((kind for start, kind in _STARTS.items() if data.startswith(start)), '')


def is_deep_grey(data: bytes) -> bool:
    """Return whether it is a PNG of 16 bits of grey, as depth images are, by its header."""
    return picture_kind(data) == 'png' and data[24:26] == b'\x10\x00'  # bit depth, colour type


def _corrupt(picture_format: str, data: bytes, reason: str) -> ImageError:
    return ImageError(
        'corrupt_picture',
        f'compressed image of format {picture_format!r} with {len(data)} bytes: {reason}',
    )


def _jpeg_is_complete(data: bytes) -> bool:
    """Return whether an end marker follows the first scan; a thumbnail in a header has its own."""
    position = 2
    while data[position : position + 1] == b'\xff' and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
        if marker == 0xDA:  # start of scan; in the scan, 0xff is never followed by 0xd9
            return b'\xff\xd9' in data[position:]
    return False


def _png_is_complete(data: bytes) -> bool:
    """Return whether every chunk up to the last one is there with the right checksum."""
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], 'big')
        chunk = data[position + 4 : end]
        if zlib.crc32(chunk).to_bytes(4, 'big') != data[end : end + 4]:
            return False
        if chunk.startswith(b'IEND'):
            return True
        position = end + 4
    return False


def _webp_is_complete(data: bytes) -> bool:
    return data[8:12] == b'WEBP' and len(data) >= 8 + int.from_bytes(data[4:8], 'little')


_STARTS = {
    b'\xff\xd8\xff': 'jpeg',
    b'\x89PNG\r\n\x1a\n': 'png',
    b'II*\0': 'tiff',
    b'MM\0*': 'tiff',
    b'RIFF': 'webp',
}
_IS_COMPLETE = {
    'jpeg': _jpeg_is_complete,
    'png': _png_is_complete,
    'tiff': lambda data: True,  # OpenCV does not fill up what is cut off
    'webp': _webp_is_complete,
}
_NAMES = ('jpeg', 'jpg', 'png', 'tiff', 'webp')
