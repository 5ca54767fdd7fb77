# SPDX-License-Identifier: Apache-2.0
"""Where a depth is wrong: at which distances, in which part of the picture, at edges.

All is counted in sums over pixels, which add up over frames.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.evaluate.metrics import valid
from depth_pcd_ros.geometry.camera import Camera

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
ANGLES = (89.0, 88.0, 87.0, 86.0, 85.0, 84.0, 82.0, 80.0, 77.0, 74.0, 70.0)


class Edges(NamedTuple):
    """Masks of pixels, (H, W): at an edge of the truth, and hanging between both sides of one."""

    at: npt.NDArray[np.bool_]
    flying: npt.NDArray[np.bool_]


def by_distance(depth: Array, truth: Array) -> Sums:
    """`SUMS` for each range of `DISTANCES` of the truth, (ranges, 5)."""
    z, t = _pairs(depth, truth)
    return _sums(z, t, np.searchsorted(DISTANCES, t, 'right') - 1, len(DISTANCES) - 1)


def by_place(depth: Array, truth: Array) -> Sums:
    """`SUMS` for each part of the picture, row by row, (9, 5)."""
    height, width = depth.shape
    rows, columns = (np.arange(n) * PLACES // n for n in (height, width))
    parts = np.broadcast_to(rows[:, None] * PLACES + columns, depth.shape)
    return _sums(*_pairs(depth, truth), parts[valid(depth, truth)], PLACES**2)


def by_edge(depth: Array, truth: Array, edges: Edges) -> Sums:
    """`SUMS` away from edges and at them, (2, 5)."""
    at = edges.at[valid(depth, truth)].astype(np.intp)
    return _sums(*_pairs(depth, truth), at, 2)


def errors(depth: Array, truth: Array) -> npt.NDArray[np.int64]:
    """The number of pixels in each bin of ln(z / t), (ERROR_BINS,); zero in the middle one."""
    z, t = _pairs(depth, truth)
    middle = ERROR_BINS // 2
    bins = np.rint(np.log(z / t) / ERROR_BIN).clip(-middle, middle).astype(np.intp) + middle
    return np.bincount(bins, minlength=ERROR_BINS)


def by_estimate(depth: Array, truth: Array) -> npt.NDArray[np.int64]:
    """Pixels, and those that are wrong by less than 25 %, by estimated depth, (2, DEPTH_BINS)."""
    z, t = _pairs(depth, truth)
    bins = np.log(z / FIRST_DEPTH) / math.log(DEPTH_RATIO)
    bins = bins.clip(0, DEPTH_BINS - 1).astype(np.intp)
    good = np.maximum(z / t, t / z) < 1.25
    return np.stack([np.bincount(some, minlength=DEPTH_BINS) for some in (bins, bins[good])])


def find_edges(depth: Array, truth: Array) -> Edges:
    """Find the edges of the truth, and what the depth has between their two sides."""
    reach = max(1, round(depth.shape[0] * EDGE_REACH))
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    with np.errstate(invalid='ignore'):
        known = (truth > 0.0) & (truth < np.inf)
        near = cv2.erode(np.where(known, truth, np.inf).astype(np.float32), around)
        far = cv2.dilate(np.where(known, truth, 0.0).astype(np.float32), around)
        at = known & (far / EDGE_RATIO > near)
        flying = at & (depth / FLYING_RATIO > near) & (FLYING_RATIO * depth < far)
    return Edges(at, flying)


def try_edge_filter(
    depth: npt.NDArray[np.float32], truth: Array, camera: Camera, edges: Edges
) -> npt.NDArray[np.int64]:
    """What the edge filter drops at each of `ANGLES`: flying pixels, and good ones, (2, angles).

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


def _pairs(depth: Array, truth: Array) -> tuple[Array, Array]:
    both = valid(depth, truth)
    return depth[both].astype(np.float64), truth[both].astype(np.float64)


def _sums(z: Array, t: Array, region: Array, regions: int) -> Sums:
    error = np.abs(z - t)
    summands = (
        None,
        error / t,
        error * error,
        np.log(z / t),
        np.maximum(z / t, t / z) < 1.25,
    )
    return np.stack([np.bincount(region, one, regions) for one in summands], axis=1)
