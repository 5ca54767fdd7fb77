# SPDX-License-Identifier: Apache-2.0
"""The node's messages as rosbags has them, like ros/cloud_msgs.py and ros/image_msgs.py."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.typesys import Stores, get_typestore

from depth_pcd_ros.cloud.unproject import FIELD_NAMES
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.scale.tracker import MESSAGE_FIELDS, ScaleState

STORE = get_typestore(Stores.ROS2_HUMBLE)
TYPES: Any = STORE.types
_BIG = sys.byteorder == 'big'


def header_of(header: Any) -> Any:
    """A ROS 2 Header like that of any message, also of ROS 1."""
    stamp = TYPES['builtin_interfaces/msg/Time'](header.stamp.sec, header.stamp.nanosec)
    return TYPES['std_msgs/msg/Header'](stamp, header.frame_id)


def cloud_message(points: npt.NDArray[np.float32], header: Any) -> Any:
    """A PointCloud2 of points, (H, W, 3 or 4) organized or (N, 3 or 4); see `cloud_msgs`."""
    organized = points.ndim == 3
    height, width = points.shape[:2] if organized else (1, len(points))
    field = TYPES['sensor_msgs/msg/PointField']
    n = points.shape[-1]
    return TYPES['sensor_msgs/msg/PointCloud2'](
        header=header,
        height=height,
        width=width,
        fields=[field(name, 4 * i, field.FLOAT32, 1) for i, name in enumerate(FIELD_NAMES[:n])],
        is_bigendian=_BIG,
        point_step=4 * n,
        row_step=4 * n * width,
        data=_bytes(points),
        is_dense=not organized,
    )


def image_message(pixels: npt.NDArray[Any], encoding: str, header: Any) -> Any:
    """An Image with these pixels, (H, W), in an encoding that fits them."""
    height, width = pixels.shape
    return TYPES['sensor_msgs/msg/Image'](
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(_BIG),
        step=pixels.itemsize * width,
        data=_bytes(pixels),
    )


def camera_info_message(calibration: Calibration, header: Any) -> Any:
    """The CameraInfo with these numbers."""
    x_offset, y_offset, width, height = calibration.roi
    return TYPES['sensor_msgs/msg/CameraInfo'](
        header=header,
        height=calibration.height,
        width=calibration.width,
        distortion_model=calibration.distortion_model,
        d=np.array(calibration.d, np.float64),
        k=np.array(calibration.k, np.float64),
        r=np.array(calibration.r, np.float64),
        p=np.array(calibration.p, np.float64),
        binning_x=calibration.binning_x,
        binning_y=calibration.binning_y,
        roi=TYPES['sensor_msgs/msg/RegionOfInterest'](
            x_offset=x_offset,
            y_offset=y_offset,
            height=height,
            width=width,
            do_rectify=calibration.do_rectify,
        ),
    )


def scale_message(state: ScaleState, header: Any) -> Any:
    """A Float64MultiArray like that of `scale_source.scale_msg`."""
    values = state.message_values(header.stamp)
    label = TYPES['std_msgs/msg/MultiArrayDimension'](
        ', '.join(MESSAGE_FIELDS), len(values), len(values)
    )
    layout = TYPES['std_msgs/msg/MultiArrayLayout']([label], 0)
    return TYPES['std_msgs/msg/Float64MultiArray'](layout, np.array(values))


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
