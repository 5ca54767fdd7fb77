# SPDX-License-Identifier: Apache-2.0
"""Points to PointCloud2."""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

_FIELD_NAMES = ('x', 'y', 'z', 'rgb')
FIELDS = {
    count: [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(_FIELD_NAMES[:count])
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
        data: of an earlier message, published and no longer needed, to be written over.

    Raises:
        ValueError: `points` has another shape or type.
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
    # as a keyword it would be copied once more, and anything but an array checked byte by byte
    msg.data = _filled(array.array('B') if data is None else data, points)
    return msg


def _filled(data: array.array[int], values: npt.NDArray[Any]) -> array.array[int]:
    """Write the bytes of an array over `data`, which grows or shrinks where it stands."""
    if not values.size:
        del data[:]
        return data
    new = np.ascontiguousarray(values).data.cast('B')
    del data[len(new) :]
    kept = len(data)
    with memoryview(data) as old:
        old[:] = new[:kept]
    data.frombytes(new[kept:])
    return data
