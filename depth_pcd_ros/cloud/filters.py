# SPDX-License-Identifier: Apache-2.0
"""Filters that decide which depths become points; what they drop becomes NaN."""

from __future__ import annotations

import math
import weakref
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import (
    DEPTH,
    DOUBLE,
    FLOAT,
    INT,
    RAYS,
    inner,
    kernel,
    readonly,
    writable,
)

Depth = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Rays = npt.NDArray[np.float32]
Ray = tuple[float, float]
Pixels = TypeVar('Pixels', bound=np.generic)

_MARGIN = 1e-5  # for rounding, in the cheap test for steep chords
_NO_MASK = np.empty((0, 0), np.uint8)

# By camera: the last `tan`, and the least growth of depth along a chord that is as steep.
_least: weakref.WeakKeyDictionary[Camera, tuple[float, np.float32]] = weakref.WeakKeyDictionary()


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
    with the least growth of depth that a steep chord of this camera has, and only those that pass
    in full.

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
    count = _flying(depth, *camera.ray_maps, tan, _least_growth(camera, tan), indices)
    return indices[:count]


def drop(depth: Depth, indices: npt.NDArray[np.int32]) -> None:
    """Set some pixels to NaN, in place; `indices` as `flying` returns them."""
    depth.reshape(-1)[indices] = np.nan


def drop_outside(depth: Depth, minimum: float, maximum: float, visible: Mask | None = None) -> int:
    """Set to NaN, in place, what is nearer than `minimum`, farther than `maximum`, or not visible.

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
    """Take every n-th pixel in both directions, contiguous: (H, W) or (H, W, C)."""
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim == 3:  # a pixel at a time: NumPy would copy the channels one by one
        pixel = np.dtype((np.void, pixels.itemsize * pixels.shape[2]))
        nth = np.ascontiguousarray(pixels.view(pixel)[::n, ::n])
        return cast('npt.NDArray[Pixels]', nth.view(pixels.dtype))
    return np.ascontiguousarray(pixels[::n, ::n])


def _least_growth(camera: Camera, tan: float) -> np.float32:
    known = _least.get(camera)
    if known is None or known[0] != tan:
        least = _least_growth_of(*camera.ray_maps, tan)
        known = _least[camera] = tan, np.float32(least - _MARGIN)
    return known[1]


@inner
def _square(a: Ray) -> float:
    """Return |a|^2 of the ray a = (x, y, 1)."""
    return 1.0 + a[0] * a[0] + a[1] * a[1]


@inner
def _growth(a: Ray, b: Ray, tan: float) -> float:
    """Return a . b + tan |a x b|."""
    i, j, k = a[1] - b[1], b[0] - a[0], a[0] * b[1] - a[1] * b[0]
    return 1.0 + a[0] * b[0] + a[1] * b[1] + tan * math.sqrt(i * i + j * j + k * k)


@inner
def _rises(z0: float, a: Ray, z: float, b: Ray, z1: float, c: Ray, tan: float) -> bool:
    """Tell whether the chords from a to b and from b to c are steep and lead farther away."""
    return z * _square(b) > z0 * _growth(a, b, tan) and z1 * _square(c) > z * _growth(b, c, tan)


@kernel(RAYS, RAYS, DOUBLE, returns=DOUBLE)
def _least_growth_of(x: Rays, y: Rays, tan: float) -> float:
    height, width = x.shape
    least = np.inf
    for v in range(height):
        for u in range(width):
            a = x[v, u], y[v, u]
            for v1, u1 in ((v, u + 1), (v + 1, u)):
                if v1 < height and u1 < width:
                    b = x[v1, u1], y[v1, u1]
                    growth = _growth(a, b, tan) / max(_square(a), _square(b))
                    if growth < least:  # it is NaN where a pixel has no ray
                        least = growth
    return least


@kernel(DEPTH, RAYS, RAYS, DOUBLE, FLOAT, writable('int32', 1), returns=INT)
def _flying(
    depth: Depth, x: Rays, y: Rays, tan: float, least: np.float32, indices: npt.NDArray[np.int32]
) -> int:
    height, width = depth.shape
    count = 0
    for v in range(height):
        for u in range(width):
            row = (v, max(u - 1, 0)), (v, min(u + 1, width - 1))  # flat at the border
            column = (max(v - 1, 0), u), (min(v + 1, height - 1), u)
            for (v0, u0), (v1, u1) in (row, column):
                z0, z, z1 = depth[v0, u0], depth[v, u], depth[v1, u1]
                if min(z0, z1) * least < z and z * least < max(z0, z1):
                    a, b, c = (x[v0, u0], y[v0, u0]), (x[v, u], y[v, u]), (x[v1, u1], y[v1, u1])
                    if _rises(z0, a, z, b, z1, c, tan) or _rises(z1, c, z, b, z0, a, tan):
                        indices[count] = v * width + u
                        count += 1
                        break
    return count


@kernel(writable('float32', 2), FLOAT, FLOAT, readonly('uint8', 2), returns=INT)
def _drop_outside(depth: Depth, minimum: np.float32, maximum: np.float32, visible: Mask) -> int:
    left = 0
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            if minimum <= depth[v, u] <= maximum and (visible.size == 0 or visible[v, u]):
                left += 1
            else:
                depth[v, u] = np.nan
    return left
