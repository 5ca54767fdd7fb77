# SPDX-License-Identifier: Apache-2.0
"""Read Image, CompressedImage and CameraInfo messages, of rclpy and of rosbags alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.kernels import kernel, readonly, writable
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.compressed import rgb_from_picture
from depth_pcd_ros.messages.encodings import ImageError, Layout, Rgb, rgb_from_bytes

MAX_MILLIMETRES = 65535


def stamp_ns(header: Any) -> int:
    """Return the stamp of a header [ns]."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def numbers_of(transform: Any) -> tuple[float, ...]:
    """Return the numbers of a geometry_msgs/Transform: x y z [m], qx qy qz qw."""
    t, r = transform.translation, transform.rotation
    return t.x, t.y, t.z, r.x, r.y, r.z, r.w


def rgb_from_msg(msg: Any) -> Rgb:
    """Decode an Image or a CompressedImage to RGB, (H, W, 3) uint8.

    Raises:
        ImageError: as `rgb_from_image` and `rgb_from_picture`.
    """
    if hasattr(msg, 'format'):
        return rgb_from_picture(msg.data, msg.format)
    return rgb_from_image(msg)


def rgb_from_image(msg: Any) -> Rgb:
    """Decode a sensor_msgs/Image to RGB, (H, W, 3) uint8; a view of its data where it is rgb8.

    An encoding that is not converted here goes through cv_bridge, where that is installed.

    Raises:
        ImageError: as `encodings.rgb_from_bytes`.
    """
    layout = Layout(msg.encoding, msg.width, msg.height, msg.step, bool(msg.is_bigendian))
    try:
        return rgb_from_bytes(msg.data, layout)
    except ImageError as err:
        if err.cause != 'unknown_encoding':
            raise
        return _rgb_by_cv_bridge(msg, err)


def calibration_from_msg(msg: Any) -> Calibration:
    """Read the numbers of a sensor_msgs/CameraInfo; ROS 1 writes them D, K, R and P."""
    roi = msg.roi
    return Calibration(
        width=msg.width,
        height=msg.height,
        k=_floats(msg, 'k'),
        distortion_model=msg.distortion_model,
        d=_floats(msg, 'd'),
        r=_floats(msg, 'r'),
        p=_floats(msg, 'p'),
        binning_x=msg.binning_x,
        binning_y=msg.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        do_rectify=roi.do_rectify,
    )


def depth_pixels(
    depth: npt.NDArray[np.float32], encoding: str, memory: Buffer | None = None
) -> npt.NDArray[Any]:
    """Encode depth by REP 118: 32FC1 metres, NaN invalid; or 16UC1 millimetres, 0 invalid.

    Depths beyond what 16 bits hold, 65.535 m, are invalid in 16UC1.

    Args:
        depth: depth along z [m], (H, W) float32, NaN where invalid.
        encoding: 32FC1 or 16UC1.
        memory: where to put them.

    Returns:
        (H, W) float32 or uint16; without `memory` and in 32FC1, the depth itself.

    Raises:
        ValueError: another encoding.
    """
    if encoding == '32FC1':
        if memory is None:
            return np.asarray(depth, np.float32)
        metres = memory.array(depth.shape, np.float32)
        np.copyto(metres, depth)
        return metres
    if encoding == '16UC1':
        millimetres = (memory or Buffer()).array(depth.shape, np.uint16)
        _to_millimetres(np.ascontiguousarray(depth, np.float32), millimetres)
        return millimetres
    raise ValueError(f'depth encoding is {encoding!r}, must be 32FC1 or 16UC1')


@kernel(readonly('float32', 2), writable('uint16', 2))
def _to_millimetres(depth: npt.NDArray[np.float32], out: npt.NDArray[np.uint16]) -> None:
    for v in range(depth.shape[0]):
        metres, row = depth[v], out[v]
        for u in range(row.size):
            millimetres = np.rint(metres[u] * np.float32(1000.0))
            # NaN does not fit
            fits = (millimetres > 0.0) & (millimetres <= np.float32(MAX_MILLIMETRES))
            row[u] = np.uint16(millimetres) if fits else np.uint16(0)


def _floats(msg: Any, name: str) -> tuple[float, ...]:
    numbers = getattr(msg, name) if hasattr(msg, name) else getattr(msg, name.upper())
    return tuple(float(number) for number in numbers)


def _rgb_by_cv_bridge(msg: Any, unknown: ImageError) -> Rgb:
    try:  # only here: it is often missing, or built for another NumPy
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        raise unknown from None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, 'rgb8'), np.uint8)
    except (CvBridgeError, TypeError, ValueError) as err:
        raise ImageError('unknown_encoding', f'{unknown}; cv_bridge: {err}') from err
