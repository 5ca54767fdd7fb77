# SPDX-License-Identifier: Apache-2.0
"""Write LAS, the format of surveying programs, with the library laspy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import unpack_rgb
from depth_pcd_ros.files.axes import AXES, turned
from depth_pcd_ros.files.ply import valid_points
from depth_pcd_ros.files.whole_file import whole_file

STEP = 1e-4  # LAS has integers: coordinates are multiples of this [m]


def write_las(path: Path, points: npt.NDArray[np.float32], up: str = '') -> None:
    """Write the valid points of a cloud as LAS 1.2, whole or not at all.

    Args:
        path: the file; a file that is there is replaced.
        points: x, y, z [m] and, as the fourth of each point, the packed colour, (..., 3 or 4)
            float32; NaN points are left out.
        up: turn them so that this axis is up, y or z, and say so in a text record.

    Raises:
        ImportError: laspy is not installed.
    """
    import laspy

    points = valid_points(turned(points, up))
    coloured = points.shape[1] == 4
    header = laspy.LasHeader(version='1.2', point_format=2 if coloured else 0)
    header.scales = np.full(3, STEP)
    header.creation_date = None  # the same points are the same file
    if up:  # LAS 1.4 R15, 2.7: Text Area Descriptor
        text = f'axes: {AXES[up].name}'.encode('ascii')
        header.vlrs.append(laspy.VLR('LASF_Spec', 3, 'Text Area Descriptor', text))
    las = laspy.LasData(header)
    las.x, las.y, las.z = points[:, :3].T
    las.return_number[:] = las.number_of_returns[:] = 1  # the first of one; 0 is no valid number
    if coloured:
        # 8 bits are the upper ones of 16. Source: LAS 1.4 R15, table 8.
        las.red, las.green, las.blue = unpack_rgb(points[:, 3]).T.astype(np.uint16) << 8
    with whole_file(path) as file:
        las.write(file)
