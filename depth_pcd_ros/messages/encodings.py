# SPDX-License-Identifier: Apache-2.0
"""Decode a sensor_msgs/Image to RGB, with NumPy and OpenCV alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import FrameError

Rgb = npt.NDArray[np.uint8]


class ImageError(FrameError):
    """An image message is not a picture; the message says why."""


class Packed(NamedTuple):
    """An encoding with all channels of a pixel side by side."""

    item_bytes: int
    channels: int
    conversion: int | None  # cv2's code for RGB of it


# OpenCV names a Bayer pattern by its second row's second and third pixel, ROS by the first two
# rows: bayer_rggb is OpenCV's BG. Source: getConversionCodes in
# https://github.com/ros-perception/vision_opencv/blob/rolling/cv_bridge/src/cv_bridge.cpp.
_CHANNELS = {
    'rgb': (3, None),
    'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB),
    'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg': (1, cv2.COLOR_BayerGB2RGB),
}
# The names are those of sensor_msgs/image_encodings.hpp. Types without a meaning (8UC3) are in
# OpenCV's channel order, as RViz takes them, too.
PACKED = {
    **{f'{name}8': Packed(1, *layout) for name, layout in _CHANNELS.items()},
    **{f'{name}16': Packed(2, *layout) for name, layout in _CHANNELS.items()},
    '8UC1': Packed(1, *_CHANNELS['mono']),
    '8UC3': Packed(1, *_CHANNELS['bgr']),
    '8UC4': Packed(1, *_CHANNELS['bgra']),
    '16UC1': Packed(2, *_CHANNELS['mono']),
    '16UC3': Packed(2, *_CHANNELS['bgr']),
    '16UC4': Packed(2, *_CHANNELS['bgra']),
    'yuv422': Packed(1, 2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': Packed(1, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': Packed(1, 2, cv2.COLOR_YUV2RGB_YUYV),
    'yuyv': Packed(1, 2, cv2.COLOR_YUV2RGB_YUYV),
}
YUV420 = {'nv12': cv2.COLOR_YUV2RGB_NV12, 'nv21': cv2.COLOR_YUV2RGB_NV21}
SUPPORTED = (*PACKED, *YUV420, 'nv24')


class Layout(NamedTuple):
    """How an image lies in its bytes, as the fields of an Image have it."""

    encoding: str  # a name of sensor_msgs/image_encodings.hpp, or nv12
    width: int  # [px]
    height: int  # [px]
    step: int  # bytes from row to row; in nv12, nv21 and nv24, of the first plane
    is_bigendian: bool  # of 16 bit values


def rgb_from_bytes(data: Any, layout: Layout) -> Rgb:
    """Decode an image's bytes to RGB; a view of them where the encoding is rgb8 already.

    16 bits become 8 by value * 255 / 65535, rounded, as in cv_bridge. YUV is BT.601 with limited
    range, as everywhere in OpenCV.

    Args:
        data: the bytes, as a buffer.
        layout: how the image lies in them.

    Returns:
        (H, W, 3) uint8; its rows may be padded.

    Raises:
        ImageError: `empty_image`, `short_data`, `bad_step`, `odd_size`, `unknown_encoding`.
    """
    encoding, width, height, step, _ = layout
    if width <= 0 or height <= 0 or not len(data):
        raise ImageError('empty_image', f'image is {width}x{height} with {len(data)} bytes')
    _check_length(data, height * step, f'{height} rows of {step}')
    raw = np.frombuffer(data, np.uint8)
    if encoding in PACKED:
        return _rgb_from_packed(raw, layout)
    if encoding in YUV420 or encoding == 'nv24':
        return _rgb_from_planes(raw, layout)
    raise ImageError(
        'unknown_encoding', f'encoding {encoding!r} is not one of {", ".join(SUPPORTED)}'
    )


def to_rgb(pixels: npt.NDArray[Any], encoding: str) -> Rgb:
    """Convert pixels in a packed encoding to RGB.

    Args:
        pixels: (H, W) or (H, W, C), uint8 or uint16.
        encoding: one of `PACKED`.

    Returns:
        (H, W, 3) uint8; `pixels` itself where nothing is to be done.
    """
    if pixels.shape[:2] == (1, 1):  # OpenCV 4.5 takes no array of one pixel
        return to_rgb(np.repeat(pixels, 2, axis=1), encoding)[:, :1]
    conversion = PACKED[encoding].conversion
    if conversion is not None:
        pixels = np.asarray(cv2.cvtColor(pixels, conversion))
    if pixels.dtype == np.uint16:
        pixels = np.asarray(cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0))
    return pixels


def _rgb_from_packed(raw: npt.NDArray[np.uint8], layout: Layout) -> Rgb:
    encoding, width, height, step, is_bigendian = layout
    item, channels, _ = PACKED[encoding]
    _check_step(layout, item * channels)
    if channels == 2:
        _check_even(encoding, width=width)
    dtype = np.dtype(f'{">" if is_bigendian else "<"}u{item}')
    strides = (step, item * channels, item)
    pixels: npt.NDArray[Any] = np.ndarray((height, width, channels), dtype, raw, strides=strides)
    if channels == 1:
        pixels = pixels[..., 0]
    if item > 1:
        pixels = np.require(pixels, dtype.newbyteorder('='), ['C_CONTIGUOUS', 'ALIGNED'])
    return to_rgb(pixels, encoding)


def _rgb_from_planes(raw: npt.NDArray[np.uint8], layout: Layout) -> Rgb:
    """A luma plane, then one of interleaved chroma, with half the rows or (nv24) twice the step.

    Drivers differ in what they call step, so the whole image's bytes over its height, which is
    what the message definition says, are also taken, where the data have just that size.
    """
    encoding, width, height, step, _ = layout
    _check_step(layout, 1)
    rows = 3 * height
    if encoding != 'nv24':
        _check_even(encoding, width=width, height=height)
        rows //= 2
    if raw.size == height * step == rows * width:
        step = width
    _check_length(raw, rows * step, f'{encoding} has {rows} rows of {step}')
    if encoding != 'nv24':
        planes: Rgb = np.ndarray((rows, width), np.uint8, raw, strides=(step, 1))
        return np.asarray(cv2.cvtColor(planes, YUV420[encoding]), np.uint8)
    luma: Rgb = np.ndarray((height, width), np.uint8, raw, strides=(step, 1))
    chroma: Rgb = np.ndarray((height, width, 2), np.uint8, raw, height * step, (2 * step, 2, 1))
    # OpenCV has no nv24: each pixel becomes a UYVY pair of itself, of which one is kept.
    pairs = np.empty((height, width, 4), np.uint8)
    cv2.mixChannels([luma, chroma], [pairs], [1, 0, 0, 1, 2, 2, 0, 3])
    rgb = cv2.cvtColor(pairs.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(rgb[:, ::2], np.uint8)


def _check_length(data: Any, expected: int, reason: str) -> None:
    if len(data) < expected:
        raise ImageError(
            'short_data', f'image has {len(data)} bytes, expected {expected}: {reason}'
        )


def _check_step(layout: Layout, pixel_bytes: int) -> None:
    least = layout.width * pixel_bytes
    if layout.step < least:
        raise ImageError(
            'bad_step',
            f'step is {layout.step} bytes, expected at least {least}: '
            f'{layout.width} {layout.encoding} pixels',
        )


def _check_even(encoding: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size % 2:
            raise ImageError('odd_size', f'{name} is {size}, {encoding} needs an even one')
