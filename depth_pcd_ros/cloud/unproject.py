# SPDX-License-Identifier: Apache-2.0
"""Unproject depth to points, and pack them into the 16 bytes a point of a PointCloud2."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Planes
from depth_pcd_ros.kernels import BOOL, COLOURS, DEPTH, NONE, RAYS, RGB, kernel, writable

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

FIELD_NAMES = ('x', 'y', 'z', 'rgb')  # of a point; rgb only where there are colours

XYZ = np.dtype([('x', np.float32), ('y', np.float32), ('z', np.float32)])
XYZRGB = np.dtype([*XYZ.descr, ('rgb', np.uint32)])  # 0x00RRGGBB


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


def unpack_rgb(packed: Floats) -> Rgb:
    """Unpack colours from 0x00RRGGBB as float32: how `pack_points` packs them, and RViz reads them.

    Args:
        packed: (...) float32, never calculated with.

    Returns:
        (..., 3) uint8, RGB.
    """
    bytes_ = np.ascontiguousarray(packed)[..., None].view(np.uint8)  # b g r 0
    return bytes_[..., 2::-1]


def pack_points(
    depth: Floats,
    rays: Planes,
    rgb: Rgb | None = None,
    out: Floats | None = None,
    *,
    count: int | None = None,
) -> Floats:
    """Unproject and interleave in one pass over the picture.

    Args:
        depth: depth along z [m], (H, W) float32, contiguous, NaN where invalid (and where there is
            no ray).
        rays: x / z and y / z of each pixel, as `Camera.ray_maps`.
        rgb: colours, (H, W, 3) uint8, or None for a cloud without.
        out: where to put the points; new memory of a cloud's size costs more than the points.
        count: how many pixels have a depth, to have these alone in their order; None: all.

    Returns:
        x, y, z [m] and, with `rgb`, the packed colour: (H, W, 4) or (H, W, 3) float32, or, with
        `count`, (N, 4) or (N, 3). x, y and z are NaN where the depth is.

    Raises:
        ValueError: the shapes do not fit each other, or `count` the depth.
    """
    check_shapes(depth, rays, rgb)
    if count is not None and count != (valid := np.count_nonzero(depth == depth)):
        raise ValueError(f'count is {count}, expected the number of pixels with a depth, {valid}')
    shape = (*(depth.shape if count is None else (count,)), floats_per_point(rgb))
    if out is None:
        out = np.empty(shape, np.float32)
    if out.shape != shape or not out.flags.c_contiguous:
        raise ValueError(f'out is {out.shape}, expected {shape}, contiguous')
    if not out.size:
        return out
    only_valid = count is not None
    if rgb is None:
        _pack_xyz(depth, *rays, None, only_valid, out.view(XYZ).reshape(-1))
    else:
        _pack_xyzrgb(depth, *rays, colours_of(rgb), only_valid, out.view(XYZRGB).reshape(-1))
    return out


def check_shapes(depth: Floats, rays: Planes, rgb: Rgb | None) -> None:
    """Raise ValueError unless these are of one picture: the kernels would read beyond the ends."""
    shapes = [ray_map.shape for ray_map in rays]
    if shapes != [depth.shape] * 2:
        raise ValueError(f'rays are {shapes}, expected two maps of the depth, {depth.shape}')
    if rgb is not None and rgb.shape != (*depth.shape, 3):
        raise ValueError(f'rgb is {rgb.shape}, expected {(*depth.shape, 3)}')


def floats_per_point(rgb: Rgb | None) -> int:
    """Return how many float32 values a point has."""
    return 3 if rgb is None else 4


def colours_of(rgb: Rgb) -> npt.NDArray[np.void]:
    """View an image (H, W, 3) as the kernels take it: (H, W) records of r, g and b."""
    return np.ascontiguousarray(rgb).view(RGB)[..., 0]


def _pack_pixels(depth: Any, x: Any, y: Any, rgb: Any, only_valid: bool, points: Any) -> None:
    height, width = depth.shape
    count = np.uintp(0)
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            if z == z or not only_valid:
                point = points[count]
                point.x = x[v, u] * z
                point.y = y[v, u] * z
                point.z = z
                if rgb is not None:
                    colour = rgb[v, u]
                    point.rgb = colour.r << 16 | colour.g << 8 | colour.b
                count += np.uintp(1)


_pack_xyz = kernel(DEPTH, RAYS, RAYS, NONE, BOOL, writable(XYZ, 1))(_pack_pixels)
_pack_xyzrgb = kernel(DEPTH, RAYS, RAYS, COLOURS, BOOL, writable(XYZRGB, 1))(_pack_pixels)
