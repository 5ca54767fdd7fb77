# SPDX-License-Identifier: Apache-2.0
"""Points to PointCloud2."""

from __future__ import annotations

import array
import sys

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pcd_ros.cloud.unproject import FIELD_NAMES
from depth_pcd_ros.ros.message_data import set_data

FIELDS = {
    count: [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(FIELD_NAMES[:count])
    ]
    for count in (3, 4)
}


def cloud_msg(
    points: npt.NDArray[np.float32], header: Header, data: array.array[int] | None = None
) -> PointCloud2:
    """Make a PointCloud2 of float32 points.

    Args:
        points: x, y, z [m] and, as the fourth of each point, the packed colour. (H, W, 3 or 4)
            gives an organized cloud, in which points may be NaN; (N, 3 or 4) an unorganized one,
            whose points are all valid.
        header: stamp and frame_id of the cloud.
        data: the bytes of `points` where they are in an array.array already; see `set_data`.

    Raises:
        ValueError: `points` has another shape or type, or `data` another size.
    """
    if points.ndim not in (2, 3) or points.shape[-1] not in FIELDS or points.dtype != np.float32:
        raise ValueError(
            f'points are {points.shape} {points.dtype}, expected (H, W, 3 or 4) or (N, 3 or 4) '
            'float32'
        )
    organized = points.ndim == 3
    height, width = points.shape[:2] if organized else (1, len(points))
    point_step = 4 * points.shape[-1]
    msg = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=FIELDS[points.shape[-1]],
        is_bigendian=sys.byteorder == 'big',
        point_step=point_step,
        row_step=point_step * width,
        is_dense=not organized,
    )
    set_data(msg, points, data)
    return msg
