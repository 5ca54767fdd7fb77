# SPDX-License-Identifier: Apache-2.0
"""Read the clouds that `depth-pcd convert` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import unpack_rgb
from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.files.axes import turned_back
from depth_pcd_ros.files.ply import PlyError, read_ply, valid_points

# Positions [m] by the camera's axes, (N, 3) float32, and colours RGB, (N, 3) uint8, or None.
Cloud = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]


class CloudFileError(DepthPcdError):
    """A file is no cloud of `depth-pcd convert`; the message says why."""


def read_cloud(path: Path) -> Cloud:
    """Read a PLY, PCD, LAS or NPZ; NaN points are left out.

    Raises:
        CloudFileError: it is none, or cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CloudFileError(f'{path} is no cloud: expected {", ".join(READERS)}')
    try:
        return reader(path)
    except PlyError as err:
        raise CloudFileError(str(err)) from err
    except Exception as err:  # laspy and NumPy raise whatever the damage leads to
        raise CloudFileError(f'{path} cannot be read: {err}') from err


def _read_pcd(path: Path) -> Cloud:
    head, _, data = path.read_bytes().partition(b'DATA binary\n')
    lines = (line.split() for line in head.decode('ascii').splitlines())
    header = {words[0]: words[1:] for words in lines if words}
    if header.get('FIELDS') not in (['x', 'y', 'z'], ['x', 'y', 'z', 'rgb']):
        raise CloudFileError('it is no binary PCD with x, y, z and perhaps rgb')
    count = len(header['FIELDS'])
    points = np.frombuffer(data, '<f4').reshape(int(header['POINTS'][0]), count)
    valid = valid_points(turned_back(points, head.decode('ascii')))
    return valid[:, :3], unpack_rgb(valid[:, 3]) if count == 4 else None


def _read_las(path: Path) -> Cloud:
    import laspy

    las = laspy.read(path)
    texts = b''.join(vlr.record_data for vlr in las.header.vlrs.get('VLR'))
    xyz = turned_back(np.ascontiguousarray(las.xyz, np.float32), texts.decode('ascii', 'replace'))
    if 'red' not in las.point_format.dimension_names:
        return xyz, None
    return xyz, (np.column_stack([las.red, las.green, las.blue]) >> 8).astype(np.uint8)


def _read_npz(path: Path) -> Cloud:
    with np.load(path) as arrays:
        xyz = np.asarray(arrays['xyz'], np.float32).reshape(-1, 3)
        valid = np.isfinite(xyz).all(axis=1)
        return xyz[valid], arrays['rgb'].reshape(-1, 3)[valid] if 'rgb' in arrays else None


READERS: dict[str, Callable[[Path], Cloud]] = {
    '.ply': read_ply,
    '.pcd': _read_pcd,
    '.las': _read_las,
    '.npz': _read_npz,
}
