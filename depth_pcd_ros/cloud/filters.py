# SPDX-License-Identifier: Apache-2.0
"""Stages that decide which depths are worth a point; what is dropped becomes NaN."""

from __future__ import annotations

import functools
import math
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import DOUBLE, FLOAT, INT, PAIR, inner, kernel, readonly, writable

Depth = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Pixels = TypeVar('Pixels', bound=np.generic)

# Room for rounding where the least and the greatest growth of a chord stand for its own.
_MARGIN = 1e-5
_NO_MASK = np.empty((0, 0), np.uint8)
_NAN = np.float32(np.nan)


def flying(depth: Depth, camera: Camera, max_incidence: float) -> npt.NDArray[np.int32]:
    """Find the pixels in the ramp that a network draws between an object and what is behind it.

    Between neighbouring pixels runs a chord of the surface; its incidence angle is the one
    between the viewing ray and the chord's normal. A pixel flies where the chords to *both*
    its neighbours in a row, or in a column, are steeper than `max_incidence` and lead the same
    way, nearer to farther: it hangs between two surfaces. A pixel with a flat chord on one side
    belongs to a surface, and one that is nearer (or farther) than both neighbours is a thin
    object (or gap), so they stay.

    With ranges r0 <= r1 along rays that are an angle d apart, the chord's incidence at the
    farther point exceeds t where r1 > r0 (cos d + tan t sin d). With the rays a = (x, y, 1) and b,
    that is z1 |b|^2 > z0 (a . b + tan t |a x b|). Few chords are that steep, so all are compared
    with the least growth of depth that a steep chord of this camera has, those that pass with the
    greatest, and in full only what lies between.

    Args:
        depth: depth along z [m], (H, W) float32, contiguous; NaN leads nowhere.
        camera: the model of these pixels.
        max_incidence: steepest surface that is kept [deg], above 0 and below 90.

    Returns:
        Indices into `depth.reshape(-1)`, in order.

    Raises:
        ValueError: `depth` is not of the camera's size.
    """
    if depth.shape != (camera.height, camera.width):
        raise ValueError(
            f'depth is {depth.shape}, expected the size of the camera, '
            f'{(camera.height, camera.width)}'
        )
    tan = math.tan(math.radians(max_incidence))
    indices = np.empty(depth.size, np.int32)  # of which only what is used costs memory
    count = _flying(depth, *camera.ray_maps, tan, *_growth(camera, tan), indices)
    return indices[:count]


def drop(depth: Depth, indices: npt.NDArray[np.int32]) -> None:
    """Set some pixels to NaN, in place; `indices` as `flying` returns them."""
    depth.reshape(-1)[indices] = _NAN


def drop_outside(depth: Depth, minimum: float, maximum: float, visible: Mask | None = None) -> int:
    """Set to NaN, in place, what is nearer than `minimum`, farther than `maximum`, or not seen.

    Args:
        depth: depth along z [m], (H, W) float32, contiguous.
        minimum: the nearest depth kept [m].
        maximum: the farthest depth kept [m].
        visible: (H, W), 0 for a pixel that shows nothing; None: all do.

    Returns:
        How many pixels are left, which are all that are not NaN.
    """
    mask = _NO_MASK if visible is None else visible
    return int(_drop_outside(depth, np.float32(minimum), np.float32(maximum), mask))


def every_nth(pixels: npt.NDArray[Pixels], n: int) -> npt.NDArray[Pixels]:
    """Every n-th pixel in both directions, contiguous: (H, W) or (H, W, C)."""
    if n == 1:
        return np.ascontiguousarray(pixels)
    if pixels.shape[2:] == (3,) and pixels.dtype == np.uint8:  # NumPy would copy byte by byte
        height, width = (-(-side // n) for side in pixels.shape[:2])
        out = np.empty((height, 3 * width), np.uint8)
        _every_nth(np.ascontiguousarray(pixels).reshape(len(pixels), -1), n, out)
        return cast('npt.NDArray[Pixels]', out.reshape(height, width, 3))
    return np.ascontiguousarray(pixels[::n, ::n])


@functools.lru_cache(maxsize=4)
def _growth(camera: Camera, tan: float) -> tuple[np.float32, np.float32]:
    """Factors of depth: no chord that grows by less is steep, and each that grows by more is."""
    least, most = _extremes(*camera.ray_maps, camera.height, camera.width, tan)
    return np.float32(least - _MARGIN), np.float32(most + _MARGIN)


@inner
def _cross(x0: float, y0: float, x1: float, y1: float) -> float:
    """Return |a x b|^2 of the rays a = (x0, y0, 1) and b."""
    i, j, k = y0 - y1, x1 - x0, x0 * y1 - y0 * x1
    return i * i + j * j + k * k


@kernel(readonly('float32', 2), readonly('float32', 2), INT, INT, DOUBLE, returns=PAIR)
def _extremes(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], height: int, width: int, tan: float
) -> tuple[float, float]:
    least, most = np.inf, 0.0
    last_x, last_y = x.shape[0] - 1, y.shape[1] - 1
    for v in range(height):
        for u in range(width):
            x0, y0 = x[min(v, last_x), u], y[v, min(u, last_y)]
            for v1, u1 in ((v, u + 1), (v + 1, u)):
                if v1 < height and u1 < width:
                    x1, y1 = x[min(v1, last_x), u1], y[v1, min(u1, last_y)]
                    square0, square1 = 1.0 + x0 * x0 + y0 * y0, 1.0 + x1 * x1 + y1 * y1
                    sine = math.sqrt(_cross(x0, y0, x1, y1))
                    chord = 1.0 + x0 * x1 + y0 * y1 + tan * sine
                    # where a pixel has no ray it is NaN, and neither
                    if chord / max(square0, square1) < least:
                        least = chord / max(square0, square1)
                    if chord / min(square0, square1) > most:
                        most = chord / min(square0, square1)
    return least, most


@inner
def _steep(z0: float, x0: float, y0: float, z1: float, x1: float, y1: float, tan: float) -> bool:
    excess = z1 * (1.0 + x1 * x1 + y1 * y1) - z0 * (1.0 + x0 * x1 + y0 * y1)
    return excess > 0.0 and excess * excess > z0 * z0 * tan * tan * _cross(x0, y0, x1, y1)


@inner
def _hangs(
    depth: Depth,
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
    v: int,
    u: int,
    down: int,
    right: int,
    tan: float,
) -> bool:
    """Whether the chords to both neighbours in one direction are steep and lead the same way."""
    last_x, last_y = x.shape[0] - 1, y.shape[1] - 1
    v0, u0, v1, u1 = v - down, u - right, v + down, u + right
    xm, ym = x[min(v, last_x), u], y[v, min(u, last_y)]
    x0, y0 = x[min(v0, last_x), u0], y[v0, min(u0, last_y)]
    x1, y1 = x[min(v1, last_x), u1], y[v1, min(u1, last_y)]
    z0, z, z1 = depth[v0, u0], depth[v, u], depth[v1, u1]
    if z0 * z0 * (1.0 + x0 * x0 + y0 * y0) > z1 * z1 * (1.0 + x1 * x1 + y1 * y1):
        x0, y0, z0, x1, y1, z1 = x1, y1, z1, x0, y0, z0  # nearer to farther
    return _steep(z0, x0, y0, z, xm, ym, tan) and _steep(z, xm, ym, z1, x1, y1, tan)


@inner
def _any_of_eight(w: npt.NDArray[np.uint64], i: Any) -> bool:
    one, two, three, four = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    first = w[i] | w[i + one] | w[i + two] | w[i + three]
    i += four
    return (first | w[i] | w[i + one] | w[i + two] | w[i + three]) != 0


@kernel(
    readonly('float32', 2),
    readonly('float32', 2),
    readonly('float32', 2),
    DOUBLE,
    FLOAT,
    FLOAT,
    writable('int32', 1),
    returns=INT,
)
def _flying(
    depth: Depth,
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
    tan: float,
    growth: np.float32,
    most: np.float32,
    indices: npt.NDArray[np.int32],
) -> int:
    height, width = depth.shape
    shrinkage = np.float32(1.0) / growth
    count = 0
    steep = np.zeros((width + 63) // 64 * 64, np.uint8)  # candidates in this row
    eights = steep.view(np.uint64)
    candidates = np.empty(steep.size + 1, np.int32)
    for v in range(height):
        z = depth[v]
        above, below = depth[max(v - 1, 0)], depth[min(v + 1, height - 1)]  # flat at the border
        for u in range(1, width - 1):
            far, near = z[u] * growth, z[u] * shrinkage
            steep[u] = ((max(z[u - 1], z[u + 1]) > far) & (min(z[u - 1], z[u + 1]) < near)) | (
                (max(above[u], below[u]) > far) & (min(above[u], below[u]) < near)
            )
        for u in (0, width - 1):
            far, near = z[u] * growth, z[u] * shrinkage
            steep[u] = (max(above[u], below[u]) > far) & (min(above[u], below[u]) < near)
        some = np.uintp(0)
        for block in range(np.uintp(eights.size // 8)):
            if not _any_of_eight(eights, np.uintp(8) * block):
                continue
            for eight in range(np.uintp(8) * block, np.uintp(8) * block + np.uintp(8)):
                if eights[eight]:
                    for u in range(np.uintp(8) * eight, np.uintp(8) * eight + np.uintp(8)):
                        candidates[some] = u  # without a branch, which would be mispredicted
                        some += np.uintp(steep[u])
        for i in range(some):
            u = int(candidates[i])
            left, right = z[max(u - 1, 0)], z[min(u + 1, width - 1)]
            far = z[u] * most
            if (
                (max(left, right) > far and min(left, right) * most < z[u])
                or (max(above[u], below[u]) > far and min(above[u], below[u]) * most < z[u])
                or (0 < u < width - 1 and _hangs(depth, x, y, v, u, 0, 1, tan))
                or (0 < v < height - 1 and _hangs(depth, x, y, v, u, 1, 0, tan))
            ):
                indices[count] = v * width + u
                count += 1
    return count


@kernel(writable('float32', 2), FLOAT, FLOAT, readonly('uint8', 2), returns=INT)
def _drop_outside(depth: Depth, minimum: np.float32, maximum: np.float32, visible: Mask) -> int:
    left = 0
    for v in range(depth.shape[0]):
        z = depth[v]
        if visible.size:
            row = visible[v]
            for u in range(z.size):
                if row[u] == 0:
                    z[u] = _NAN
        for u in range(z.size):
            inside = (z[u] >= minimum) & (z[u] <= maximum)
            left += int(inside)
            z[u] = z[u] if inside else _NAN
    return left


@kernel(readonly('uint8', 2), INT, writable('uint8', 2))
def _every_nth(rgb: npt.NDArray[np.uint8], n: int, out: npt.NDArray[np.uint8]) -> None:
    for v in range(out.shape[0]):
        source, target = rgb[n * v], out[v]
        for u in range(np.uintp(target.size // 3)):
            i, j = np.uintp(3) * u, np.uintp(3 * n) * u
            target[i], target[i + np.uintp(1)] = source[j], source[j + np.uintp(1)]
            target[i + np.uintp(2)] = source[j + np.uintp(2)]
