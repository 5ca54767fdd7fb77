# SPDX-License-Identifier: Apache-2.0
"""The measurements of one frame, as JSON has them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud import filters
from depth_pcd_ros.evaluate import clouds, metrics, regions
from depth_pcd_ros.evaluate.truth import TruthError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import Settings

Depth = npt.NDArray[np.float32]

# No network is off by more than this; beyond, the truth is in another unit.
SCALES = (0.05, 20.0)
# Mistaken units, by the factor that they put the truth off, in words.
UNITS = {
    1000.0: 'millimetres taken for metres',
    5000.0: "the TUM data set's 1/5000 m taken for metres",
    256.0: "KITTI's 1/256 m taken for metres",
}
UNIT_TOLERANCE = 2.0


def published(raw: Depth, camera: Camera, settings: Settings) -> Depth:
    """Filter the depth as the node would: without flying pixels and what is out of range.

    Args:
        raw: as the pipeline gives it with the filters off, (H, W) m.
        camera: the model of these pixels.
        settings: with the filters.
    """
    depth = np.array(raw, np.float32, order='C')
    if settings.edge_filter:
        filters.drop(depth, filters.flying(depth, camera, settings.edge_filter))
    filters.drop_outside(depth, settings.min_depth, settings.max_range or np.inf)
    return depth


def measure(
    raw: Depth,
    depth: Depth,
    truth: Depth,
    camera: Camera,
    floor: npt.ArrayLike | None = None,
    *,
    try_angles: bool = True,
) -> dict[str, Any]:
    """Measure one frame.

    Args:
        raw: estimated depth along z before the filters [m], (H, W), NaN where invalid.
        depth: the same as it is published.
        truth: the true depth, NaN where unknown.
        camera: the model of these pixels.
        floor: as in `clouds.obstacles`.
        try_angles: try other angles of the edge filter, too, which costs as much as all else.

    Raises:
        TruthError: `truth_empty`, `truth_unit`, or `nothing_valid`.
    """
    known = metrics.known(truth)
    if not known.any():
        raise TruthError('truth_empty', 'the truth has no valid pixel: all are 0, NaN or infinite')
    if not metrics.valid(depth, truth).any():
        raise TruthError(
            'nothing_valid',
            f'none of the {np.count_nonzero(known)} pixels with a truth has a depth: it is outside '
            'min_depth and max_range, or the edge filter drops it',
        )
    scale = metrics.scale_of(depth, truth)
    check_unit(scale)
    aligned = raw * np.float32(scale)
    edges = regions.find_edges(aligned, truth)
    tried = regions.try_edge_filter(aligned, truth, camera, edges).tolist() if try_angles else None
    summed = regions.add_up(depth, truth, edges)
    obstacles = clouds.obstacles(depth, truth, camera, floor)
    return {
        'pixels': int(np.count_nonzero(metrics.valid(depth, truth))),
        'known': float(np.mean(known)),
        'coverage': float(np.mean(depth[known] > 0.0)),
        'scale': scale,
        'metrics': dataclasses.asdict(metrics.compare(depth, truth)),
        'aligned': dataclasses.asdict(metrics.compare_aligned(depth, truth)),
        'points': dataclasses.asdict(clouds.distances(depth, truth, camera)),
        'obstacles': None if obstacles is None else dataclasses.asdict(obstacles),
        'floor': floor is not None,
        'by_distance': summed.by_distance.tolist(),
        'by_place': summed.by_place.tolist(),
        'by_edge': summed.by_edge.tolist(),
        'flying': int(np.count_nonzero(edges.flying & (depth > 0.0))),
        'errors': summed.errors.tolist(),
        'by_estimate': regions.by_estimate(aligned, truth).tolist(),
        'edge_filter': tried,
    }


def check_unit(scale: float) -> None:
    """Refuse a truth that is not in metres.

    Args:
        scale: median of truth / depth.

    Raises:
        TruthError: `truth_unit`.
    """
    if SCALES[0] <= scale <= SCALES[1]:
        return
    ratio = max(scale, 1.0 / scale)
    guess = next(
        (
            f', a factor of {unit:g}: {name if scale > 1.0 else _turned(name)}'
            for unit, name in UNITS.items()
            if 1.0 / UNIT_TOLERANCE < ratio / unit < UNIT_TOLERANCE
        ),
        '',
    )
    raise TruthError(
        'truth_unit',
        f'the truth is {scale:.4g} times the estimate{guess}; --truth-scale says how many metres '
        'one unit of the truth is',
    )


def _turned(name: str) -> str:
    unit, _, other = name.partition(' taken for ')
    return f'{other} taken for {unit}'
