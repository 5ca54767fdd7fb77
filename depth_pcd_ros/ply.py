# SPDX-License-Identifier: Apache-2.0
"""Points to PLY, which MeshLab, CloudCompare and Open3D open, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.whole_file import whole_file

_POSITION, _COLOUR = ('x', 'y', 'z'), ('red', 'green', 'blue')
_PROPERTIES = [(name, '<f4') for name in _POSITION] + [(name, 'u1') for name in _COLOUR]
_KEYWORDS = {'<f4': 'float', 'u1': 'uchar'}


class PlyError(ValueError):
    """A file is not a PLY of the kind that `write_ply` writes."""


def write_ply(path: Path, points: npt.NDArray[np.float32]) -> int:
    """Write the valid points of a cloud as binary little-endian PLY, whole or not at all.

    Args:
        path: the file; a file that is there is replaced.
        points: x, y, z [m] and, as the fourth of each point, the packed colour, (..., 3 or 4)
            float32; NaN points are left out.

    Returns:
        The number of points written.
    """
    points = points.reshape(-1, points.shape[-1])
    points = points[np.isfinite(points[:, :3]).all(axis=1)]
    properties = _PROPERTIES[: 6 if points.shape[1] == 4 else 3]
    vertices = np.empty(len(points), np.dtype(properties))
    for i, name in enumerate(_POSITION):
        vertices[name] = points[:, i]
    if points.shape[1] == 4:
        colours = np.ascontiguousarray(points[:, 3]).view(np.uint8).reshape(-1, 4)  # b g r 0
        for i, name in enumerate(_COLOUR):
            vertices[name] = colours[:, 2 - i]
    with whole_file(path) as file:
        file.write(_header(len(vertices), properties))
        file.write(vertices.tobytes())
    return len(vertices)


def read_ply(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]:
    """Read a file that `write_ply` has written.

    Returns:
        Positions [m], (N, 3) float32, and colours RGB, (N, 3) uint8, or None where it has none.

    Raises:
        PlyError: another kind of file, or a part of one.
    """
    data = path.read_bytes()
    end = data.find(b'end_header\n')
    words = data[:end].split() if data.startswith(b'ply') and end >= 0 else []
    count = int(words[words.index(b'vertex') + 1]) if b'vertex' in words else -1
    for properties in (_PROPERTIES, _PROPERTIES[:3]):
        header = _header(count, properties)
        size = np.dtype(properties).itemsize * count
        if count < 0 or not data.startswith(header):
            continue
        if len(data) != len(header) + size:
            raise PlyError(
                f'{path} has {len(data) - len(header)} bytes of points, expected {size} for {count}'
            )
        vertices = np.frombuffer(data, np.dtype(properties), count, len(header))
        xyz = np.column_stack([vertices[name] for name in _POSITION])
        if len(properties) == 3:
            return xyz, None
        return xyz, np.column_stack([vertices[name] for name in _COLOUR])
    raise PlyError(
        f'{path} is not a binary little-endian PLY with x, y, z and perhaps red, green, blue, as '
        'depth-pcd convert writes it'
    )


def _header(count: int, properties: list[tuple[str, str]]) -> bytes:
    lines = [
        'ply',
        'format binary_little_endian 1.0',
        f'element vertex {count}',
        *(f'property {_KEYWORDS[kind]} {name}' for name, kind in properties),
        'end_header',
    ]
    return ('\n'.join(lines) + '\n').encode('ascii')
