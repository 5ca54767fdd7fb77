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
        limits = cv2.multiply(ranges, growth)
        farther = cv2.compare(ranges[step.after], limits[step.before], cv2.CMP_GT)
        nearer = cv2.compare(ranges[step.before], limits[step.after], cv2.CMP_GT)
        flying[step.inner] |= farther[step.before] & farther[step.after]
        flying[step.inner] |= nearer[step.before] & nearer[step.after]
    return cv2.bitwise_not(flying)


def invalidate(depth: Depth, keep: Mask) -> Depth:
    """Set what is not kept to NaN, in place, and return it."""
    np.copyto(depth, np.float32(np.nan), where=keep == 0)
    return depth


def voxel_means(points: npt.NDArray[np.float32], size: float) -> npt.NDArray[np.float32]:
    """Merge the points of each cube of a fixed grid into their mean.

    Args:
        points: x, y, z [m] and possibly a packed colour, (N, 3 or 4) float32, all finite.
        size: edge of the cubes [m].

    Returns:
        (M, 3 or 4) float32, M <= N, one mean of position and colour for each cube with points.
    """
    cells = np.floor(points[:, :3] / np.float32(size)).astype(np.int64)  # Nx3
    cells -= cells.min(axis=0, initial=0)
    shape = cells.max(axis=0, initial=0) + 1
    flat = np.ravel_multi_index((cells[:, 0], cells[:, 1], cells[:, 2]), tuple(shape))
    _, voxel, count = np.unique(flat, return_inverse=True, return_counts=True)
    voxel = voxel.reshape(-1)  # its shape differs between NumPy versions

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.bincount(voxel, values, len(count)) / count

    means = [mean(points[:, i]) for i in range(3)]
    if points.shape[1] == 3:
        return np.column_stack(means).astype(np.float32)
    colours = points[:, 3].copy().view(np.uint8).reshape(-1, 4)  # b g r 0
    packed = np.column_stack([np.rint(mean(colours[:, i])) for i in range(4)]).astype(np.uint8)
    return np.column_stack([*means, packed.view('<f4')[:, 0]]).astype(np.float32)


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
        # the last row or column has no next one: it takes its neighbour's factor
        missing = [(0, height - sin.shape[0]), (0, width - sin.shape[1])]
        return np.pad(factor, missing, mode='edge').astype(np.float32)

    return norms.astype(np.float32), growth(_ALONG_U), growth(_ALONG_V)
