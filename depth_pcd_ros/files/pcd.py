# SPDX-License-Identifier: Apache-2.0
"""Write PCD, the format of PCL, which keeps the rows and columns of a cloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import FIELD_NAMES
from depth_pcd_ros.files.axes import AXES, turned
from depth_pcd_ros.files.whole_file import whole_file


def write_pcd(path: Path, points: npt.NDArray[np.float32], up: str = '') -> None:
    """Write a cloud as binary PCD 0.7, whole or not at all.

    Source: https://pointclouds.org/documentation/tutorials/pcd_file_format.html.

    Args:
        path: the file; a file that is there is replaced.
        points: x, y, z [m] and, as the fourth of each point, the packed colour: (H, W, 3 or 4)
            float32 for an organized cloud, in which points may be NaN, else (N, 3 or 4).
        up: turn them so that this axis is up, y or z, and say so in a comment.
    """
    points = turned(points, up)
    height, width = points.shape[:2] if points.ndim == 3 else (1, len(points))
    n = points.shape[-1]
    lines = [
        '# .PCD v0.7 - Point Cloud Data file format',
        *([f'# axes: {AXES[up].name}'] if up else []),
        'VERSION 0.7',
        f'FIELDS {" ".join(FIELD_NAMES[:n])}',
        f'SIZE {" ".join(["4"] * n)}',
        f'TYPE {" ".join(["F"] * n)}',
        f'COUNT {" ".join(["1"] * n)}',
        f'WIDTH {width}',
        f'HEIGHT {height}',
        'VIEWPOINT 0 0 0 1 0 0 0',
        f'POINTS {width * height}',
        'DATA binary',
    ]
    with whole_file(path) as file:
        file.write(('\n'.join(lines) + '\n').encode('ascii'))
        file.write(np.ascontiguousarray(points, '<f4').data)
