# SPDX-License-Identifier: Apache-2.0
"""The distance of a cloud from the true one, and the obstacle cells that it marks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import DEPTH, RAYS, kernel, readonly, writable

Array = npt.NDArray[Any]

NEAR, WIDE = 0.05, 0.1  # [m], within which points count for the F-scores
# Of a picture's points at most so many are taken: more change little. Fewer look for their nearest
# neighbour among those.
MOST_POINTS, MOST_ASKING = 80_000, 2_500

RANGE = 5.0  # [m] from the camera, along each axis, in which obstacles are looked for
CELL = 0.2  # [m]
# Pixels in a cell that make it occupied, where every pixel has a truth: a stray one does not.
PIXELS_IN_CELL = 10
FLOOR, CEILING = 0.1, 2.0  # [m] above the floor, between which things are obstacles


@dataclasses.dataclass(frozen=True)
class CloudDistances:
    """Distances between the estimated cloud and the true one.

    Accuracy and completeness of Seitz et al., A Comparison and Evaluation of Multi-View Stereo
    Reconstruction Algorithms, CVPR 2006, as means; F-score of Knapitsch et al., Tanks and Temples,
    SIGGRAPH 2017.
    """

    accuracy: float  # mean distance from an estimated point to the nearest true one [m]
    completeness: float  # mean distance from a true point to the nearest estimated one [m]
    f_5cm: float  # harmonic mean of the shares of both that are nearer than 5 cm
    f_10cm: float  # the same at 10 cm


@dataclasses.dataclass(frozen=True)
class Obstacles:
    """Cells of 20 cm within 5 m that an obstacle layer takes from the truth and from the estimate.

    A cell is missed where no estimated point lies in it or a cell beside it, and a ghost where no
    true point does.
    """

    true_cells: int  # how many are occupied by the truth
    missed: float  # share of them where the estimate has nothing
    found_cells: int  # how many are occupied by the estimate, of pixels whose truth is known
    ghosts: float  # share of them where the truth has nothing


def points_of(depth: Array, camera: Camera, most: int = MOST_POINTS) -> Array:
    """Return the valid points, (N, 3) [m]; of more than `most` a random sample, always the same.

    Not those on a grid of pixels: a depth that was moved from a coarser camera has a grid of its
    own, and may have no pixel in common with it.
    """
    x, y, z = np.broadcast_arrays(*camera.ray_maps, depth)
    with np.errstate(invalid='ignore'):
        rows, columns = np.nonzero((z > 0.0) & (z < np.inf) & np.isfinite(x) & np.isfinite(y))
    if len(rows) > most:
        chosen = np.random.default_rng(0).choice(len(rows), most, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    x, y, z = (plane[rows, columns].astype(np.float64) for plane in (x, y, z))
    return np.stack([x * z, y * z, z], axis=-1)


def distances(depth: Array, truth: Array, camera: Camera) -> CloudDistances:
    """Measure how far apart two clouds are; the estimate's counts where the truth is known.

    Args:
        depth: estimated depth along z [m], (H, W).
        truth: true depth [m], (H, W); both NaN or 0 where invalid.
        camera: the model of these pixels.

    Raises:
        ValueError: one of the clouds is empty.
    """
    judged = np.where(truth > 0.0, depth, np.nan)
    accuracy = _nearest(points_of(judged, camera, MOST_ASKING), points_of(truth, camera))
    completeness = _nearest(points_of(truth, camera, MOST_ASKING), points_of(depth, camera))
    f_scores = []
    for reach in (NEAR, WIDE):
        precision, recall = np.mean(accuracy < reach), np.mean(completeness < reach)
        both = precision + recall
        f_scores.append(float(2.0 * precision * recall / both) if both else 0.0)
    return CloudDistances(float(accuracy.mean()), float(completeness.mean()), *f_scores)


def _nearest(of: Array, among: Array) -> npt.NDArray[np.float64]:
    """Measure the distance of each point (N, 3) to the nearest of others (M, 3)."""
    from scipy.spatial import cKDTree  # an extra: only this command needs it

    if not len(of) or not len(among):
        raise ValueError(f'the clouds have {len(of)} and {len(among)} points, expected some')
    tree = cKDTree(among, leafsize=32, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(of)[0], np.float64)


def obstacles(
    depth: Array, truth: Array, camera: Camera, floor: npt.ArrayLike | None = None
) -> Obstacles | None:
    """Compare the cells that both occupy; None where neither has an obstacle in range.

    Args:
        depth: estimated depth along z [m], (H, W).
        truth: true depth [m], (H, W); both NaN or 0 where invalid.
        camera: the model of these pixels.
        floor: the plane m with m . p = -1 for its points; None: all is an obstacle.
    """
    with np.errstate(invalid='ignore'):
        known = truth > 0.0
        judged = np.where(known, depth, np.nan)
    least = max(1, round(PIXELS_IN_CELL * float(np.mean(known))))
    true, found, every = (_cells(one, camera, floor) for one in (truth, judged, depth))
    occupied, seen = true >= least, found >= least
    if not occupied.any() and not seen.any():
        return None
    missed = occupied & ~_beside(every > 0)
    ghosts = seen & ~_beside(true > 0)
    return Obstacles(
        int(np.count_nonzero(occupied)),
        _share(missed, occupied),
        int(np.count_nonzero(seen)),
        _share(ghosts, seen),
    )


def _cells(depth: Array, camera: Camera, floor: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    """Count the obstacle points of each cell, (cells along x, y, z)."""
    across, ahead = 2 * round(RANGE / CELL), round(RANGE / CELL)
    counts = np.zeros((across, across, ahead), np.int64)
    plane = np.zeros(3) if floor is None else np.asarray(floor, np.float64)
    _count(np.ascontiguousarray(depth, np.float32), *camera.ray_maps, plane, counts)
    return counts


@kernel(DEPTH, RAYS, RAYS, readonly('float64', 1), writable('int64', 3))
def _count(depth: Array, rays_x: Array, rays_y: Array, plane: Array, counts: Array) -> None:
    a, b, c = plane
    norm = math.sqrt(a * a + b * b + c * c)
    across, _, ahead = counts.shape
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            z = float(depth[v, u])
            x, y = rays_x[v, u] * z, rays_y[v, u] * z
            if norm > 0.0:
                height = (a * x + b * y + c * z + 1.0) / norm
                if not (height > FLOOR and height < CEILING):
                    continue
            i, j, k = x / CELL + across // 2, y / CELL + across // 2, z / CELL
            # NaN and infinity are not inside
            if i >= 0 and j >= 0 and k > 0 and i < across and j < across and k < ahead:
                counts[int(i), int(j), int(k)] += 1


def _beside(cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark the cells given and those that touch one of them."""
    for axis in range(3):
        padded = np.pad(cells, [(1, 1) if i == axis else (0, 0) for i in range(3)])
        n = cells.shape[axis]
        cells = np.logical_or.reduce([padded.take(range(i, i + n), axis) for i in range(3)])
    return cells


def _share(some: Array, of: Array) -> float:
    count = np.count_nonzero(of)
    return float(np.count_nonzero(some) / count) if count else 0.0
