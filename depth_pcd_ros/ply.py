# SPDX-License-Identifier: Apache-2.0
"""Write points as PLY, which MeshLab, CloudCompare and Open3D open."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

_POSITION, _COLOUR = ('x', 'y', 'z'), ('red', 'green', 'blue')
_VERTEX = np.dtype([(name, '<f4') for name in _POSITION] + [(name, 'u1') for name in _COLOUR])


def write_ply(path: Path, points: npt.NDArray[np.float32]) -> int:
    """Write the valid points of a cloud as binary little-endian PLY, whole or not at all.

    Args:
        path: the file; a file that is there is replaced.
        points: x, y, z [m] and the packed colour, (..., 4) float32; NaN points are left out.

    Returns:
        The number of points written.
    """
    points = points.reshape(-1, 4)
    points = points[np.isfinite(points[:, :3]).all(axis=1)]
    colours = np.ascontiguousarray(points[:, 3]).view(np.uint8).reshape(-1, 4)  # b g r 0
    vertices = np.empty(len(points), _VERTEX)
    for i, name in enumerate(_POSITION):
        vertices[name] = points[:, i]
    for i, name in enumerate(_COLOUR):
        vertices[name] = colours[:, 2 - i]
    header = [
        'ply',
        'format binary_little_endian 1.0',
        f'element vertex {len(vertices)}',
        *(f'property float {name}' for name in _POSITION),
        *(f'property uchar {name}' for name in _COLOUR),
        'end_header',
    ]
    half = path.with_name(path.name + '.part')
    with half.open('wb') as file:
        file.write('\n'.join(header).encode('ascii') + b'\n')
        vertices.tofile(file)
    os.replace(half, path)
    return len(vertices)
