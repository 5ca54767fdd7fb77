# SPDX-License-Identifier: Apache-2.0
"""Arrays and numbers to Image, CameraInfo and PointCloud2; those of rclpy and of rosbags alike.

Both have classes of the same names and fields, so each function is given a mapping from names such
as sensor_msgs/msg/Image to the classes to use: `ros.message_types.TYPES`, or `recordings.store`'s.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import FIELD_NAMES
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import depth_pixels

Types = Mapping[str, Any]
_FLOAT32 = 7  # sensor_msgs/PointField
_IS_BIG = sys.byteorder == 'big'


def cloud_message(
    types: Types,
    points: npt.NDArray[np.float32],
    header: Any,
    memory: Buffer | None = None,
) -> Any:
    """Make a PointCloud2 of float32 points.

    Args:
        types: the classes to use.
        points: x, y, z [m] and, as the fourth of each point, the packed colour. (H, W, 3 or 4)
            gives an organized cloud, in which points may be NaN; (N, 3 or 4) an unorganized one,
            whose points are all valid.
        header: stamp and frame_id of the cloud.
        memory: the buffer that the points are in; see `set_data`.

    Raises:
        ValueError: `points` has another shape or type, or `memory` another size.
    """
    if points.ndim not in (2, 3) or points.shape[-1] not in (3, 4) or points.dtype != np.float32:
        raise ValueError(
            f'points are {points.shape} {points.dtype}, expected (H, W, 3 or 4) or (N, 3 or 4) '
            'float32'
        )
    organized = points.ndim == 3
    height, width = points.shape[:2] if organized else (1, len(points))
    step = 4 * points.shape[-1]
    field = types['sensor_msgs/msg/PointField']
    msg = types['sensor_msgs/msg/PointCloud2'](
        header=header,
        height=height,
        width=width,
        fields=[
            field(name=name, offset=4 * i, datatype=_FLOAT32, count=1)
            for i, name in enumerate(FIELD_NAMES[: points.shape[-1]])
        ],
        is_bigendian=_IS_BIG,
        point_step=step,
        row_step=step * width,
        data=(),
        is_dense=not organized,
    )
    set_data(msg, points, memory)
    return msg


def image_message(
    types: Types,
    pixels: npt.NDArray[Any],
    encoding: str,
    header: Any,
    memory: Buffer | None = None,
) -> Any:
    """Make an Image of pixels, (H, W) or (H, W, C), in an encoding that fits them.

    Raises:
        ValueError: as `set_data`, to which `memory` goes.
    """
    height, width = pixels.shape[:2]
    msg = types['sensor_msgs/msg/Image'](
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(_IS_BIG),
        step=pixels.nbytes // height,
        data=(),
    )
    set_data(msg, pixels, memory)
    return msg


def depth_image_message(
    types: Types,
    depth: npt.NDArray[np.float32],
    encoding: str,
    header: Any,
    memory: Buffer | None = None,
) -> Any:
    """Make a depth Image by REP 118; arguments and errors as `depth_pixels`."""
    memory = memory or Buffer()
    pixels = depth_pixels(depth, encoding, memory)
    return image_message(types, pixels, encoding, header, memory)


def camera_info_message(types: Types, calibration: Calibration, header: Any) -> Any:
    """Make a CameraInfo with these numbers."""
    kind = types['sensor_msgs/msg/CameraInfo']
    x_offset, y_offset, width, height = calibration.roi
    return kind(
        header=header,
        height=calibration.height,
        width=calibration.width,
        distortion_model=calibration.distortion_model,
        d=floats(kind, calibration.d),
        k=floats(kind, calibration.k),
        r=floats(kind, calibration.r),
        p=floats(kind, calibration.p),
        binning_x=calibration.binning_x,
        binning_y=calibration.binning_y,
        roi=types['sensor_msgs/msg/RegionOfInterest'](
            x_offset=x_offset,
            y_offset=y_offset,
            height=height,
            width=width,
            do_rectify=calibration.do_rectify,
        ),
    )


def floats(kind: type[Any], values: Sequence[float]) -> Any:
    """Return numbers as a field of float64[] of this class takes them."""
    return np.array(values, np.float64) if _is_of_rosbags(kind) else list(values)


def set_data(msg: Any, values: npt.NDArray[Any], memory: Buffer | None) -> None:
    """Set `msg.data` to the bytes of an array, in rclpy without a check of every byte.

    Args:
        msg: an Image or a PointCloud2.
        values: any array.
        memory: the buffer that it is in; None: its bytes are copied. The buffer may be written over
            as soon as publish() has returned: rclpy copies it there into the middleware's own
            message, and it has no publishing within a process that would hand it on.

    Raises:
        ValueError: `memory` has another size.
    """
    if memory is not None and len(memory.data) != values.nbytes:
        raise ValueError(f'memory has {len(memory.data)} bytes, expected {values.nbytes}')
    if _is_of_rosbags(msg):
        msg.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return
    data = array.array('B') if memory is None else memory.data
    if memory is None and values.size:
        data.frombytes(np.ascontiguousarray(values).data.cast('B'))
    if hasattr(msg, '_check_fields'):
        # Since ROS 2 Iron fields are not checked unless asked, and what is not checked is copied;
        # an array.array that is checked is taken as it is, as it always was on Humble.
        msg._check_fields = True
    msg.data = data


def _is_of_rosbags(kind: Any) -> bool:
    return hasattr(kind, '__msgtype__')  # its arrays are NumPy's
