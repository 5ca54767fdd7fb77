# SPDX-License-Identifier: Apache-2.0
"""From depth and rays to structured points, and to the 16 bytes a point that PointCloud2 wants."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Planes
from depth_pcd_ros.kernels import BOOL, INT, inner, kernel, readonly, writable

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

FIELD_NAMES = ('x', 'y', 'z', 'rgb')  # of a point; the last only where there are colours

_NO_COLOURS = np.empty((0, 0), np.uint8)
_EIGHT_VALID = np.uint64(0x0101010101010101)


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
    """Colours as `pack_points` packs them, and RViz and PCL read them: 0x00RRGGBB as float32.

    Args:
        packed: (...) float32, never calculated with.

    Returns:
        (..., 3) uint8, RGB.
    """
    bytes_ = np.ascontiguousarray(packed)[..., None].view(np.uint8)  # b g r 0
    return bytes_[..., 2::-1]


def pack_points(
    depth: Floats, rays: Planes, rgb: Rgb | None = None, out: Floats | None = None
) -> Floats:
    """Unproject and interleave in one pass over the picture.

    Args:
        depth: depth along z [m], (H, W) float32, contiguous, NaN where invalid (and where there is
            no ray).
        rays: x / z and y / z of each pixel, as `Camera.ray_maps`.
        rgb: colours, (H, W, 3) uint8, or None for a cloud without.
        out: where to put the points; new memory of a cloud's size costs more than the points.

    Returns:
        x, y, z [m] and, with `rgb`, the packed colour: (H, W, 4) or (H, W, 3) float32. x, y and z
        are NaN where the depth is.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_shapes(depth, rays, rgb)
    shape = (*depth.shape, floats_per_point(rgb))
    points = _checked(out, shape)
    _pack(depth, *rays, rows_of(rgb), False, points.reshape(-1))
    return points


def pack_valid_points(
    depth: Floats, rays: Planes, rgb: Rgb | None, count: int, out: Floats | None = None
) -> Floats:
    """Unproject and interleave the pixels that have a depth, in their order.

    Args:
        depth: as for `pack_points`.
        rays: the same.
        rgb: the same.
        count: how many pixels have a depth.
        out: where to put the points.

    Returns:
        As `pack_points`, (N, 4) or (N, 3).

    Raises:
        ValueError: the shapes do not fit each other, or `count` the depth.
    """
    check_shapes(depth, rays, rgb)
    points = _checked(out, (count, floats_per_point(rgb)))
    packed = _pack(depth, *rays, rows_of(rgb), True, points.reshape(-1))
    if packed != count:
        raise ValueError(f'count is {count}, expected the number of pixels with a depth')
    return points


def check_shapes(depth: Floats, rays: Planes, rgb: Rgb | None) -> None:
    """Raise ValueError unless these are of one picture: the kernels would read beyond the ends."""
    height, width = depth.shape
    shapes = [plane.shape for plane in rays]
    if shapes not in ([(height, width)] * 2, [(1, width), (height, 1)]):
        raise ValueError(f'rays are {shapes}, expected two planes of the depth, {depth.shape}')
    if rgb is not None and rgb.shape != (height, width, 3):
        raise ValueError(f'rgb is {rgb.shape}, expected {(height, width, 3)}')


def floats_per_point(rgb: Rgb | None) -> int:
    """How many numbers a point has."""
    return 3 if rgb is None else 4


def rows_of(rgb: Rgb | None) -> Rgb:
    """Colours as the kernels take them: (H, 3 W), contiguous; of no size where there are none."""
    return _NO_COLOURS if rgb is None else np.ascontiguousarray(rgb).reshape(len(rgb), -1)


def _checked(out: Floats | None, shape: tuple[int, ...]) -> Floats:
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or not out.flags.c_contiguous:
        raise ValueError(f'out is {out.shape}, expected {shape}, contiguous')
    return out


@inner
def _eight_eights(eights: npt.NDArray[np.uint64], i: Any) -> np.uint64:
    one = np.uintp(1)
    bits = eights[i]
    for j in range(one, np.uintp(8)):
        bits &= eights[i + j]
    return bits


@inner
def _valid_runs_end(valid: npt.NDArray[np.uint8], u: int) -> int:
    """Where a run that begins at `u` ends; the last byte of `valid` is 0."""
    eights = valid.view(np.uint64)
    while valid[u]:
        u += 1
        if u % 8 == 0:
            while u + 64 < valid.size and _eight_eights(eights, np.uintp(u // 8)) == _EIGHT_VALID:
                u += 64
            while eights[u // 8] == _EIGHT_VALID:
                u += 8
    return u


@kernel(
    readonly('float32', 2),
    readonly('float32', 2),
    readonly('float32', 2),
    readonly('uint8', 2),
    BOOL,
    writable('float32', 1),
    returns=INT,
)
def _pack(depth: Floats, x: Floats, y: Floats, rgb: Rgb, only_valid: bool, out: Floats) -> int:
    height, width = depth.shape
    room = out.size // (4 if rgb.size else 3)
    row_y = np.empty(width, np.float32)
    colours = np.empty(width, np.uint32)
    floats = colours.view(np.float32)
    valid = np.zeros(width // 8 * 8 + 8, np.uint8)
    count = 0
    for v in range(height):
        z, row_x = depth[v], x[min(v, x.shape[0] - 1)]
        if y.shape[1] == width:
            row_y[:] = y[v]
        else:
            row_y[:] = y[v, 0]
        if rgb.size:
            bytes_ = rgb[v]
            for u in range(width):
                r, g, b = bytes_[3 * u], bytes_[3 * u + 1], bytes_[3 * u + 2]
                colours[u] = np.uint32(r) << np.uint32(16) | np.uint32(g) << np.uint32(8) | b
        if only_valid:
            for u in range(width):
                valid[u] = z[u] == z[u]
        begin = 0
        while begin < width:
            end = width
            if only_valid:
                if not valid[begin]:
                    begin += 1
                    continue
                end = _valid_runs_end(valid, begin)
            if count + end - begin > room:
                return -1
            # Unsigned, so that no index is looked at for its sign; and at most one slice, which
            # takes as long as some points.
            first = np.uintp(begin)
            if rgb.size:
                points = out[4 * count :]
                for i in range(np.uintp(end - begin)):
                    pixel, j = first + i, np.uintp(4) * i
                    points[j] = row_x[pixel] * z[pixel]
                    points[j + np.uintp(1)] = row_y[pixel] * z[pixel]
                    points[j + np.uintp(2)] = z[pixel]
                    points[j + np.uintp(3)] = floats[pixel]
            else:
                points = out[3 * count :]
                for i in range(np.uintp(end - begin)):
                    pixel, j = first + i, np.uintp(3) * i
                    points[j] = row_x[pixel] * z[pixel]
                    points[j + np.uintp(1)] = row_y[pixel] * z[pixel]
                    points[j + np.uintp(2)] = z[pixel]
            count += end - begin
            begin = end
    return count
