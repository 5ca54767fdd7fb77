# SPDX-License-Identifier: Apache-2.0
"""Write PLY, which MeshLab, CloudCompare and Open3D open, and read it back."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.files.axes import AXES, turned, turned_back
from depth_pcd_ros.files.whole_file import whole_file

_POSITION, _COLOUR = ('x', 'y', 'z'), ('red', 'green', 'blue')
_PROPERTIES = [(name, '<f4') for name in _POSITION] + [(name, 'u1') for name in _COLOUR]
# Points written at once: they fit in the processor's cache.
_BLOCK = 1 << 14
_KEYWORDS = {'<f4': 'float', 'u1': 'uchar'}


class PlyError(DepthPcdError):
    """A file is not a PLY of the kind that `write_ply` writes."""


def write_ply(path: Path, points: npt.NDArray[np.float32], up: str = '') -> int:
    """Write the valid points of a cloud as binary little-endian PLY, whole or not at all.

    Args:
        path: the file; a file that is there is replaced.
        points: x, y, z [m] and, as the fourth of each point, the packed colour, (..., 3 or 4)
            float32; NaN points are left out.
        up: turn them so that this axis is up, y or z, and say so in a comment.

    Returns:
        The number of points written.
    """
    points = turned(points, up).reshape(-1, points.shape[-1]).astype('<f4', copy=False)
    valid = _are_valid(points)
    count = int(np.count_nonzero(valid))
    coloured = points.shape[1] == 4
    with whole_file(path) as file:
        file.write(_header(count, _PROPERTIES[: 6 if coloured else 3], up))
        for start in range(0, len(points), _BLOCK):
            block = slice(start, start + _BLOCK)
            file.write(_vertices(points[block].take(np.flatnonzero(valid[block]), axis=0)).data)
    return count


def valid_points(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Select the points, (..., 3 or 4), whose x, y and z are finite: (N, 3 or 4), contiguous."""
    points = points.reshape(-1, points.shape[-1])
    return points.take(np.flatnonzero(_are_valid(points)), axis=0)


def _are_valid(points: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    x, y, z = np.isfinite(points[:, 0]), np.isfinite(points[:, 1]), np.isfinite(points[:, 2])
    return np.asarray(x & y & z)


def _vertices(points: npt.NDArray[np.float32]) -> npt.NDArray[np.void]:
    """Convert points, (N, 3 or 4), to records of the file: 12 bytes each, or 15.

    A position is copied as a whole: number by number it would take five times longer.
    """
    coloured = points.shape[1] == 4
    vertices = np.empty(len(points), [('position', 'V12'), ('colour', 'u1', 3 * coloured)])
    parts = points.view([('position', 'V12'), ('colour', f'V{4 * coloured}')])
    vertices['position'] = parts['position'].ravel()
    if coloured:
        bgr = points.view(np.uint8)[:, 12:15]
        for i in range(3):
            vertices['colour'][:, i] = bgr[:, 2 - i]
    return vertices


def read_ply(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]:
    """Read a file that `write_ply` has written.

    Returns:
        Positions [m] by the camera's axes, (N, 3) float32, and colours RGB, (N, 3) uint8, or None
        where it has none.

    Raises:
        PlyError: another kind of file, or a part of one.
    """
    data = path.read_bytes()
    end = data.find(b'end_header\n')
    words = data[:end].split() if data.startswith(b'ply') and end >= 0 else []
    count = int(words[words.index(b'vertex') + 1]) if b'vertex' in words else -1
    for properties, up in itertools.product((_PROPERTIES, _PROPERTIES[:3]), AXES):
        header = _header(count, properties, up)
        size = np.dtype(properties).itemsize * count
        if count < 0 or not data.startswith(header):
            continue
        if len(data) != len(header) + size:
            raise PlyError(
                f'{path} has {len(data) - len(header)} bytes of points, expected {size} for {count}'
            )
        vertices = np.frombuffer(data, np.dtype(properties), count, len(header))
        xyz = np.column_stack([vertices[name] for name in _POSITION])
        xyz = turned_back(xyz, header.decode('ascii'))
        if len(properties) == 3:
            return xyz, None
        return xyz, np.column_stack([vertices[name] for name in _COLOUR])
    raise PlyError(
        f'{path} is not a binary little-endian PLY with x, y, z and perhaps red, green, blue, as '
        'depth-pcd convert writes it'
    )


def _header(count: int, properties: list[tuple[str, str]], up: str) -> bytes:
    lines = [
        'ply',
        'format binary_little_endian 1.0',
        *([f'comment axes: {AXES[up].name}'] if up else []),
        f'element vertex {count}',
        *(f'property {_KEYWORDS[kind]} {name}' for name, kind in properties),
        'end_header',
    ]
    return ('\n'.join(lines) + '\n').encode('ascii')
