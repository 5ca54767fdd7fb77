# SPDX-License-Identifier: Apache-2.0
"""Arrays and numbers to Image and CameraInfo messages; `messages` reads them."""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import (
    calibration_from_msg,
    depth_pixels,
    rgb_from_compressed,
    rgb_from_image,
    rgb_from_msg,
)
from depth_pcd_ros.ros.message_data import set_data

__all__ = [
    'bgr_image_msg',
    'calibration_from_msg',
    'camera_info_msg',
    'depth_image_msg',
    'image_msg',
    'rgb_from_compressed',
    'rgb_from_image',
    'rgb_from_msg',
]


def image_msg(
    pixels: npt.NDArray[Any], encoding: str, header: Any, data: array.array[int] | None = None
) -> Image:
    """An Image with these pixels, (H, W) or (H, W, C), in an encoding that fits them.

    Raises:
        ValueError: as `set_data`, to which `data` goes.
    """
    height, width = pixels.shape[:2]
    msg = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=sys.byteorder == 'big',
        step=pixels.nbytes // height,
    )
    set_data(msg, pixels, data)
    return msg


def bgr_image_msg(
    bgr: npt.NDArray[np.uint8], header: Any, data: array.array[int] | None = None
) -> Image:
    """A bgr8 Image of (H, W, 3) uint8; `data` as in `image_msg`."""
    return image_msg(bgr, 'bgr8', header, data)


def depth_image_msg(
    depth: npt.NDArray[np.float32], encoding: str, header: Any, memory: Buffer | None = None
) -> Image:
    """A depth Image by REP 118: 32FC1 metres, NaN invalid; or 16UC1 millimetres, 0 invalid.

    Depths beyond what 16 bits hold, 65.535 m, are invalid in 16UC1.

    Args:
        depth: depth along z [m], (H, W) float32, NaN where invalid.
        encoding: 32FC1 or 16UC1.
        header: that of the image.
        memory: where to put the pixels.

    Raises:
        ValueError: another encoding.
    """
    memory = memory or Buffer()
    pixels = depth_pixels(depth, encoding, memory)
    return image_msg(pixels, encoding, header, memory.data)


def camera_info_msg(calibration: Calibration, header: Any) -> CameraInfo:
    """The CameraInfo with these numbers."""
    x_offset, y_offset, width, height = calibration.roi
    return CameraInfo(
        header=header,
        height=calibration.height,
        width=calibration.width,
        distortion_model=calibration.distortion_model,
        d=list(calibration.d),
        k=list(calibration.k),
        r=list(calibration.r),
        p=list(calibration.p),
        binning_x=calibration.binning_x,
        binning_y=calibration.binning_y,
        roi=RegionOfInterest(
            x_offset=x_offset,
            y_offset=y_offset,
            height=height,
            width=width,
            do_rectify=calibration.do_rectify,
        ),
    )
