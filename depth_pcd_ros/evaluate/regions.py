# SPDX-License-Identifier: Apache-2.0
"""Errors of depth by distance, by part of the picture and at edges.

All is counted in sums over pixels, which add up over frames.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.evaluate.metrics import known, pairs
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import DEPTH, kernel, readonly, writable

Array = npt.NDArray[Any]
Sums = npt.NDArray[np.float64]

# Bounds of the true distance [m].
DISTANCES = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, math.inf)
PLACES = 3  # rows and columns of the picture's parts
# What is summed up for each region, of depth z and truth t.
SUMS = ('pixels', '|z - t| / t', '(z - t)^2', 'ln z / t', 'max(z / t, t / z) < 1.25')

# Bins of the error ln(z / t), the outermost with all beyond.
ERROR_BIN, ERROR_BINS = 0.02, 201
# Bins of the estimated depth: each reaches 10 % farther than the one before, from 0.05 m on.
DEPTH_RATIO, DEPTH_BINS, FIRST_DEPTH = 1.1, 80, 0.05

# A pixel is at an edge where the truth around it, over this share of the picture's height, differs
# by more than this ratio.
EDGE_REACH = 1 / 160
EDGE_RATIO = 1.15
# A pixel flies that is farther than what is nearest around it, and nearer than what is farthest, by
# more than this ratio; one that is wrong by less is good.
FLYING_RATIO = 1.05
GOOD_RATIO = 1.1
# Angles of the edge filter that are tried [deg].
ANGLES = (89.0, 88.0, 87.0, 86.0, 84.0, 82.0, 79.0, 75.0, 70.0)


class Edges(NamedTuple):
    """Masks of pixels, (H, W): at an edge of the truth, and hanging between both sides of one."""

    at: npt.NDArray[np.bool_]
    flying: npt.NDArray[np.bool_]


class Regions(NamedTuple):
    """`SUMS` of a frame, and how its errors are distributed."""

    by_distance: Sums  # for each range of `DISTANCES` of the truth, (ranges, 5)
    by_place: Sums  # for each part of the picture, row by row, (9, 5)
    by_edge: Sums  # away from edges and at them, (2, 5)
    # the number of pixels in each bin of ln(z / t), (ERROR_BINS,), zero in the middle
    errors: npt.NDArray[np.int64]


def add_up(depth: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], edges: Edges) -> Regions:
    """Add up the errors where depth and truth are valid.

    Args:
        depth: estimated depth [m], (H, W) float32.
        truth: true depth [m], (H, W) float32; both invalid as in `metrics.compare`.
        edges: those of the truth.
    """
    n = len(SUMS)
    regions = Regions(
        np.zeros((len(DISTANCES) - 1, n)),
        np.zeros((PLACES**2, n)),
        np.zeros((2, n)),
        np.zeros(ERROR_BINS, np.int64),
    )
    z, t = (np.ascontiguousarray(one, np.float32) for one in (depth, truth))
    _add_up(z, t, edges.at.view(np.uint8), np.array(DISTANCES), *regions)
    return regions


def by_estimate(depth: Array, truth: Array) -> npt.NDArray[np.int64]:
    """Count pixels, and those off by less than 25 %, by estimated depth, (2, DEPTH_BINS)."""
    z, t = pairs(depth, truth)
    bins = np.log(z / FIRST_DEPTH) / math.log(DEPTH_RATIO)
    bins = bins.clip(0, DEPTH_BINS - 1).astype(np.intp)
    good = np.maximum(z / t, t / z) < 1.25
    return np.stack([np.bincount(some, minlength=DEPTH_BINS) for some in (bins, bins[good])])


def find_edges(depth: Array, truth: Array) -> Edges:
    """Find the edges of the truth, and what the depth has between their two sides."""
    reach = max(1, round(depth.shape[0] * EDGE_REACH))
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    with np.errstate(invalid='ignore'):
        there = known(truth)
        near = cv2.erode(np.where(there, truth, np.inf).astype(np.float32), around)
        far = cv2.dilate(np.where(there, truth, 0.0).astype(np.float32), around)
        at = there & (far / EDGE_RATIO > near)
        flying = at & (depth / FLYING_RATIO > near) & (FLYING_RATIO * depth < far)
    return Edges(at, flying)


def try_edge_filter(
    depth: npt.NDArray[np.float32], truth: Array, camera: Camera, edges: Edges
) -> npt.NDArray[np.int64]:
    """Count the pixels that each of `ANGLES` drops: flying ones, and good ones, (2, angles).

    Args:
        depth: estimated depth, not filtered, of the right scale [m], (H, W).
        truth: true depth [m].
        camera: the model of these pixels.
        edges: those of the two.
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        good = np.maximum(depth / truth, truth / depth) < GOOD_RATIO
    good &= ~edges.flying
    dropped = [filters.flying(depth, camera, angle) for angle in ANGLES]
    counts = [
        [np.count_nonzero(mask.reshape(-1)[some]) for some in dropped]
        for mask in (edges.flying, good)
    ]
    return np.array(counts, np.int64)


@kernel(
    DEPTH,
    DEPTH,
    readonly('uint8', 2),
    readonly('float64', 1),
    *[writable('float64', 2)] * 3,
    writable('int64', 1),
)
def _add_up(
    depth: Array,
    truth: Array,
    at_edge: Array,
    bounds: Array,
    by_distance: Sums,
    by_place: Sums,
    by_edge: Sums,
    errors: npt.NDArray[np.int64],
) -> None:
    height, width = depth.shape
    middle = errors.size // 2
    for v in range(height):
        for u in range(width):
            z, t = float(depth[v, u]), float(truth[v, u])
            if not (z > 0.0 and t > 0.0 and z < np.inf and t < np.inf):
                continue
            distance = 0
            while t >= bounds[distance + 1]:
                distance += 1
            place = v * PLACES // height * PLACES + u * PLACES // width
            d = np.log(z / t)
            for sums in (by_distance[distance], by_place[place], by_edge[at_edge[v, u]]):
                sums[0] += 1
                sums[1] += abs(z - t) / t
                sums[2] += (z - t) ** 2
                sums[3] += d
                sums[4] += max(z / t, t / z) < 1.25
            step = int(min(max(np.rint(d / ERROR_BIN), -middle), middle))
            errors[middle + step] += 1
