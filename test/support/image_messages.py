# SPDX-License-Identifier: Apache-2.0
"""Image messages of given pixels, as rosbags' types."""

import array
from typing import Any

import numpy as np

from depth_pcd_ros.recordings.store import TYPES

RNG = np.random.default_rng(0)


def message(pixels: np.ndarray, encoding: str, *, padding: int = 0, big: bool = False) -> Any:
    """Return an Image of (H, W[, C]) with some bytes of rubbish after each row."""
    if pixels.dtype == np.uint16:
        pixels = pixels.astype('>u2' if big else '<u2')
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.hstack([rows, RNG.integers(0, 256, (height, padding), np.uint8)])
    return raw_message(rows.tobytes(), encoding, width, height, rows.shape[1], big)


def raw_message(
    data: bytes, encoding: str, width: int, height: int, step: int, big: bool = False
) -> Any:
    """Return an Image with these bytes, in an array.array as in rclpy."""
    return TYPES['sensor_msgs/msg/Image'](
        header=None,
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=big,
        data=array.array('B', data),
    )


def by_hand(value: np.ndarray) -> np.ndarray:
    """Scale 16 to 8 bits: value * 255 / 65535 rounded, in integers."""
    return ((value.astype(np.int64) + 128) // 257).astype(np.uint8)
