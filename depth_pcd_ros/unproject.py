# SPDX-License-Identifier: Apache-2.0
"""From depth and rays to structured points, and to the 16 bytes a point that PointCloud2 wants."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

# Rows at a time: a block's inputs and output stay in the processor's cache.
BLOCK_ROWS = 64


def unproject(depth: npt.NDArray[Any], rays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scale each pixel's ray by its depth.

    Args:
        depth: depth along z [m], (H, W).
        rays: (x / z, y / z) of each pixel, (H, W, 2).

    Returns:
        Points in the camera's optical frame [m], (H, W, 3); NaN where the depth or the ray is.
    """
    xy = rays * depth[..., None]  # HxWx2
    z = np.where(np.isfinite(xy[..., 0]), depth, np.nan)
    return np.concatenate([xy, z[..., None]], axis=-1)  # HxWx3


def pack_rgb(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Pack colours as RViz and PCL read them: 0x00RRGGBB in the bits of a float32.

    Args:
        rgb: (H, W, 3) uint8, RGB.

    Returns:
        (H, W) float32, to be copied but never calculated with.
    """
    packed = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA).view('<u4')[..., 0]  # b g r 255
    np.bitwise_and(packed, 0x00FFFFFF, out=packed)
    return packed.view('<f4')


def pack_points(
    depth: npt.NDArray[np.float32],
    rays: npt.NDArray[np.float32],
    rgb: npt.NDArray[np.uint8] | None = None,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Unproject and interleave in one pass over the picture.

    Args:
        depth: depth along z [m], (H, W) float32, NaN where invalid.
        rays: (x / z, y / z) of each pixel, (H, W, 2) float32, NaN where there is none.
        rgb: colours, (H, W, 3) uint8, or None for a cloud without.
        out: where to put the points; new memory of a cloud's size costs more than the points.

    Returns:
        x, y, z [m] and, with `rgb`, the packed colour: (H, W, 4) or (H, W, 3) float32. x, y and z
        are NaN where the depth or the ray is.
    """
    height, width = depth.shape
    shape = (height, width, 3 if rgb is None else 4)
    points = np.empty(shape, np.float32) if out is None else out
    if points.shape != shape:
        raise ValueError(f'out is {points.shape}, expected {shape}')
    for top in range(0, height, BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        z = depth[rows]
        x = cv2.multiply(rays[rows, :, 0], z)
        y = cv2.multiply(rays[rows, :, 1], z)
        planes = [x, y, z] if rgb is None else [x, y, z, pack_rgb(rgb[rows])]
        cv2.merge(planes, points[rows])
    return points
