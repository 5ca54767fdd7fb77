# SPDX-License-Identifier: Apache-2.0
"""Depth images as cameras send them (REP 118) to metres; those of rclpy and of rosbags alike."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.messages.encodings import ImageError

Depth = npt.NDArray[np.float32]

# Metres of one unit of each encoding.
UNITS = {'16UC1': 0.001, 'mono16': 0.001, '32FC1': 1.0}
NOTHING = 65535  # in 16 bits, which some cameras send where they see nothing, beside 0
_HEADER = 12  # bytes before the PNG of compressedDepth: a format, and two floats


def depth_from_msg(msg: Any, unit: float | None = None) -> Depth:
    """Decode an Image or a CompressedImage to depth along z.

    Args:
        msg: the message: 16UC1, 32FC1, a PNG of 16 bits, or compressedDepth as PNG.
        unit: metres of one unit; None: as REP 118 has it, millimetres in 16 bits, else metres.

    Returns:
        (H, W) float32 m, NaN where invalid.

    Raises:
        ImageError: `no_depth` for another encoding, `empty_image`, `short_data`, or
            `corrupt_picture`.
    """
    if hasattr(msg, 'format'):
        return metres(_decompressed(bytes(msg.data), msg.format), unit)
    if msg.encoding not in UNITS:
        raise ImageError(
            'no_depth', f'encoding {msg.encoding!r} is no depth, expected {", ".join(UNITS)}'
        )
    if not msg.width or not msg.height:
        raise ImageError('empty_image', f'depth image is {msg.width}x{msg.height}')
    dtype = np.dtype('<f4' if msg.encoding == '32FC1' else '<u2')
    data = np.frombuffer(msg.data, np.uint8)
    if msg.step < msg.width * dtype.itemsize or len(data) < msg.height * msg.step:
        raise ImageError(
            'short_data',
            f'depth image of {msg.width}x{msg.height} in {msg.encoding} has step {msg.step} and '
            f'{len(data)} bytes',
        )
    rows = data[: msg.height * msg.step].reshape(msg.height, msg.step)
    pixels = np.ascontiguousarray(rows[:, : msg.width * dtype.itemsize])
    return metres(pixels.view(dtype.newbyteorder('>' if msg.is_bigendian else '<')), unit)


def metres(pixels: npt.NDArray[Any], unit: float | None = None) -> Depth:
    """Convert the values of pixels to depth.

    Args:
        pixels: (H, W), 16 bits or floats; 0, 65535 of 16 bits, NaN and infinity are invalid.
        unit: as `depth_from_msg`.

    Returns:
        As `depth_from_msg`.
    """
    whole = np.issubdtype(pixels.dtype, np.integer)
    if unit is None:
        unit = UNITS['16UC1'] if whole else 1.0
    depth = pixels.astype(np.float32) * np.float32(unit)
    with np.errstate(invalid='ignore'):
        known = (depth > 0.0) & (depth < np.inf)
    if whole:
        known &= pixels != NOTHING
    depth[~known] = np.nan
    return depth


def _decompressed(data: bytes, picture_format: str) -> npt.NDArray[Any]:
    """Decode the pixels of a compressed depth image.

    Source: https://github.com/ros-perception/image_transport_plugins,
    compressed_depth_image_transport/src/codec.cpp: an inverse depth of 16 bits for 32FC1.
    """
    encoding = picture_format.partition(';')[0].strip()
    if 'rvl' in picture_format:
        raise ImageError('no_depth', f'format {picture_format!r}: RVL is not read, PNG is')
    packed = 'compressedDepth' in picture_format
    png = np.frombuffer(data, np.uint8)[_HEADER if packed else 0 :]
    picture = cv2.imdecode(png, cv2.IMREAD_UNCHANGED) if len(png) else None
    if picture is None or picture.ndim != 2:
        raise ImageError(
            'corrupt_picture',
            f'depth image of format {picture_format!r} with {len(data)} bytes: it is no PNG with '
            'one channel',
        )
    if not packed or encoding != '32FC1':
        return np.asarray(picture)
    a, b = struct.unpack('<ff', data[4:_HEADER])
    with np.errstate(divide='ignore'):
        return np.where(picture > 0, a / (picture.astype(np.float32) - b), np.nan)
