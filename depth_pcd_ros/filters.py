# SPDX-License-Identifier: Apache-2.0
"""Stages that decide which depths are worth a point, and how many points there are.

A mask is what cv2 makes and takes: (H, W) uint8, 255 for a pixel that is kept and 0 for the rest.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.camera import Camera

Depth = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


class _Step(NamedTuple):
    """Slices that pair each pixel with the next one, and those with a pixel on either side."""

    before: tuple[slice, ...]
    after: tuple[slice, ...]
    inner: tuple[slice, ...]


# Bits for one coordinate of a cube in the key that cubes are sorted by.
_KEY_BITS = 21
_NO_KEY = np.iinfo(np.int64).max

_ALL, _BEFORE, _AFTER, _INNER = slice(None), slice(-1), slice(1, None), slice(1, -1)
_ALONG_U = _Step((_ALL, _BEFORE), (_ALL, _AFTER), (_ALL, _INNER))
_ALONG_V = _Step((_BEFORE, _ALL), (_AFTER, _ALL), (_INNER, _ALL))


def in_range(depth: Depth, minimum: float, maximum: float) -> Mask:
    """Keep depths from `minimum` to `maximum`, both included [m]; NaN is outside.

    Args:
        depth: depth along z [m], (H, W) float32.
        minimum: the nearest depth kept [m].
        maximum: the farthest depth kept [m].
    """
    return np.asarray(cv2.inRange(depth, minimum, maximum), np.uint8)


def not_flying(depth: Depth, camera: Camera, max_incidence: float) -> Mask:
    """Drop pixels in the ramp that a network draws between an object and what is behind it.

    Between neighbouring pixels runs a chord of the surface; its incidence angle is the one
    between the viewing ray and the chord's normal. A pixel is dropped where the chords to *both*
    its neighbours in a row, or in a column, are steeper than `max_incidence` and lead the same
    way, nearer to farther: it hangs between two surfaces. A pixel with a flat chord on one side
    belongs to a surface, and one that is nearer (or farther) than both neighbours is a thin
    object (or gap), so they stay.

    With ranges r0 <= r1 along rays that are an angle d apart, the chord's incidence at the
    farther point exceeds t where r1 > r0 (cos d + tan t sin d).

    Args:
        depth: depth along z [m], (H, W) float32.
        camera: the model of these pixels.
        max_incidence: steepest surface that is kept [deg], below 90.
    """
    norms, growth_u, growth_v = _growth_limits(camera, max_incidence)
    ranges = cv2.multiply(depth, norms)
    flying = np.zeros(depth.shape, np.uint8)
    for growth, step in ((growth_u, _ALONG_U), (growth_v, _ALONG_V)):
        if not flying[step.inner].size:
            continue  # fewer than three pixels in this direction
        limits = cv2.multiply(ranges, growth)
        farther = cv2.compare(ranges[step.after], limits[step.before], cv2.CMP_GT)
        nearer = cv2.compare(ranges[step.before], limits[step.after], cv2.CMP_GT)
        flying[step.inner] |= cv2.bitwise_or(
            cv2.bitwise_and(farther[step.before], farther[step.after]),
            cv2.bitwise_and(nearer[step.before], nearer[step.after]),
        )
    return cv2.bitwise_not(flying)


def invalidate(depth: Depth, keep: Mask) -> Depth:
    """Set what is not kept to NaN, in place, and return it."""
    np.copyto(depth, np.float32(np.nan), where=keep == 0)
    return depth


def voxel_means(
    depth: Depth,
    rays: npt.NDArray[np.float32],
    rgb: npt.NDArray[np.uint8] | None,
    size: float,
) -> npt.NDArray[np.float32]:
    """Unproject, and merge the points in each cube of a fixed grid into their mean.

    The cubes are centred at the multiples of `size`. Neighbouring pixels mostly share a cube, so
    the runs of pixels that do are summed first and only the sums are sorted by cube.

    Args:
        depth: depth along z [m], (H, W) float32, NaN where invalid.
        rays: (x / z, y / z) of each pixel, (H, W, 2) float32.
        rgb: colours, (H, W, 3) uint8, or None for a cloud without.
        size: edge of the cubes [m].

    Returns:
        x, y, z [m] and, with `rgb`, the packed colour, (N, 4) or (N, 3) float32: one point for
        each cube with at least one valid pixel, all finite.
    """
    planes = [cv2.multiply(rays[..., i], depth) for i in range(2)] + [depth]
    key = np.zeros(depth.size, np.int64)
    for plane in planes:
        key <<= _KEY_BITS
        # plane / size, rounded; with two arrays, since cv2 takes a number for an array of four
        key += cv2.addWeighted(plane, 1.0 / size, plane, 0.0, 0.0, dtype=cv2.CV_32S).ravel()
    xyz = [plane.ravel() for plane in planes]
    key[np.isnan(xyz[2])] = _NO_KEY

    runs = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    run_keys = key[runs]
    order = np.argsort(run_keys, kind='stable')
    order = order[run_keys[order] != _NO_KEY]
    sorted_keys = run_keys[order]
    cubes = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]]))
    if not len(order):
        return np.empty((0, 3 if rgb is None else 4), np.float32)

    def total(run_sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(run_sums[order].astype(np.float64), cubes)

    count = total(np.diff(runs, append=depth.size))
    means = [total(np.add.reduceat(values, runs)) / count for values in xyz]
    if rgb is not None:
        r, g, b = (
            np.rint(total(np.add.reduceat(rgb[..., i].ravel(), runs, dtype=np.uint32)) / count)
            for i in range(3)
        )
        bits = (r * 65536 + g * 256 + b).astype('<u4')
        means.append(bits.view('<f4'))
    # each column by itself: float64 would not keep the bits of a colour
    return np.stack([column.astype(np.float32) for column in means], axis=1)


@functools.lru_cache(maxsize=4)
def _growth_limits(camera: Camera, max_incidence: float) -> tuple[Depth, Depth, Depth]:
    """Return |ray|, and by which factor ranges may grow to the next u and v, each (H, W)."""
    rays = camera.rays.astype(np.float64)
    height, width = rays.shape[:2]
    norms = np.sqrt(1.0 + np.square(rays).sum(axis=-1))
    unit = np.dstack([rays, np.ones_like(norms)]) / norms[..., None]
    tan = math.tan(math.radians(max_incidence))

    def growth(step: _Step) -> Depth:
        sin = np.linalg.norm(np.cross(unit[step.before], unit[step.after]), axis=-1)
        factor = np.sqrt(1.0 - sin**2) + tan * sin
        if not factor.size:  # a single row or column: there are no steps
            return np.ones((height, width), np.float32)
        # the last row or column has no next one: it takes its neighbour's factor
        missing = [(0, height - sin.shape[0]), (0, width - sin.shape[1])]
        return np.pad(factor, missing, mode='edge').astype(np.float32)

    return norms.astype(np.float32), growth(_ALONG_U), growth(_ALONG_V)
