# SPDX-License-Identifier: Apache-2.0
"""The figures of a setting from the measurements of its frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.evaluate import regions
from depth_pcd_ros.evaluate.metrics import NAMES
from depth_pcd_ros.evaluate.results import Row

Array = npt.NDArray[Any]
Summary = dict[str, Any]


def summarize(name: str, parameters: dict[str, Any], rows: Sequence[Row]) -> Summary:
    """Make the entry of one setting in report.json, from its frames, at least one.

    Returns:
        As JSON has it. `metrics`, `points` and `obstacles` are means over frames, `by_distance`,
        `by_place` and `edges` over the pixels of all frames, None where there is none.
    """
    distances = [_figures(sums) for sums in _total(rows, 'by_distance')]
    away, at = (_figures(sums) for sums in _total(rows, 'by_edge'))
    pixels = sum(row['pixels'] for row in rows)
    return {
        'name': name,
        'parameters': parameters,
        'frames': len(rows),
        'metrics': _means(rows, 'metrics'),
        'aligned': _means(rows, 'aligned'),
        'known': _mean(row['known'] for row in rows),
        'coverage': _mean(row['coverage'] for row in rows),
        'scale': scale_figures(rows),
        'scale_held': _mean(row['held'] for row in rows),
        'by_distance': [
            {'from_m': low, 'to_m': None if math.isinf(high) else high, **figures}
            for (low, high), figures in zip(
                itertools.pairwise(regions.DISTANCES), distances, strict=True
            )
        ],
        'by_place': [
            [_figures(sums)['abs_rel'] for sums in row]
            for row in _total(rows, 'by_place').reshape(regions.PLACES, regions.PLACES, -1)
        ],
        'edges': {
            'at': at,
            'elsewhere': away,
            'flying': sum(row['flying'] for row in rows) / pixels,
        },
        'points': _means(rows, 'points'),
        'obstacles': _means(rows, 'obstacles'),
        'floor_frames': sum(row['floor'] for row in rows),
        'temporal_alignment_error': _mean(row['temporal'] for row in rows),
        'network_ms': float(np.median([row['network_ms'] for row in rows])),
    }


def scale_figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the scale that the frames lack, median(truth / depth), its spread and its jumps.

    Returns:
        `median`, the 10th and 90th percentile, `spread`, the standard deviation of its logarithm,
        and `jumps`, that of its differences from one frame of an input to the next; None where
        none follows another.
    """
    scales = np.array([row['scale'] for row in rows])
    jumps = [
        math.log(after['scale'] / before['scale'])
        for before, after in itertools.pairwise(rows)
        if before['input'] == after['input'] and after['number'] == before['number'] + 1
    ]
    low, median, high = np.percentile(scales, (10, 50, 90)).tolist()
    return {
        'median': median,
        'p10': low,
        'p90': high,
        'spread': float(np.std(np.log(scales))),
        'jumps': float(np.std(jumps)) if jumps else None,
    }


def errors(rows: Sequence[Row]) -> tuple[Array, Array]:
    """Middle of each bin of ln(z / t), and its share of the pixels; frames weigh the same."""
    counts = np.array([row['errors'] for row in rows], np.float64)
    middle = regions.ERROR_BINS // 2
    bins = regions.ERROR_BIN * (np.arange(regions.ERROR_BINS) - middle)
    shares: Array = counts / counts.sum(axis=1, keepdims=True)
    return bins, np.asarray(np.mean(shares, axis=0))


def best_median_worst(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Choose the frames of the lowest, the middle and the highest AbsRel, as far as there are."""
    ordered = sorted(rows, key=lambda row: row['metrics']['abs_rel'])
    chosen = {'best': ordered[0], 'median': ordered[len(ordered) // 2], 'worst': ordered[-1]}
    return list(chosen.items())[: len(ordered)]


def _total(rows: Sequence[Row], name: str) -> Array:
    return np.asarray(np.sum([row[name] for row in rows], axis=0, dtype=np.float64))


def _figures(sums: Array) -> dict[str, float | None]:
    """Means of `regions.SUMS`; the bias is that of the logarithm, as a share of the distance."""
    pixels, relative, squared, logarithm, close = sums.tolist()
    if not pixels:
        return {'pixels': 0, 'abs_rel': None, 'rmse': None, 'bias': None, 'delta1': None}
    return {
        'pixels': int(pixels),
        'abs_rel': relative / pixels,
        'rmse': math.sqrt(squared / pixels),
        'bias': math.expm1(logarithm / pixels),
        'delta1': close / pixels,
    }


def _means(rows: Sequence[Row], name: str) -> dict[str, float] | None:
    """Means of figures over the frames that have them, in the order of the first."""
    found = [row[name] for row in rows if row[name] is not None]
    if not found:
        return None
    names = NAMES if set(found[0]) == set(NAMES) else list(found[0])
    return {key: float(np.mean([one[key] for one in found])) for key in names}


def _mean(values: Any) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
