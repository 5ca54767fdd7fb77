# SPDX-License-Identifier: Apache-2.0
"""Robust fits of true depths to those of a network, whose error grows with the depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.scale.measurement import Measurement, ScaleError

Array = npt.NDArray[Any]  # float64, (N,)

MIN_POINTS = 8
MIN_SHARE = 0.5  # of the points that must agree
TOLERANCE = 0.15  # relative, within which a point agrees with the fit
# Spread of the depths (5th to 95th percentile, by their middle) below which they are one depth.
# One depth does not tell a scale from a shift, and a scale alone not for what depth it holds.
ONE_DEPTH = {'scale': 0.02, 'scale_shift': 0.2}
ITERATIONS = 15  # of reweighting
SMALL = 1e-4  # relative residual below which a weight grows no more
DEVIATION = 1.4826  # standard deviation of a normal distribution by its median absolute deviation


def fit(true: Array, depth: Array, kind: str, weights: Array | None = None) -> Measurement:
    """Find scale (and shift) with true = scale x depth + shift for most of the points.

    Args:
        true: known depths [m], (N,), above 0.
        depth: what the network says there [m], (N,), above 0.
        kind: `scale`: the median of the ratios, without a shift. `scale_shift`: least absolute
            deviations in depth, each by its depth, since the error is proportional to that.
            Both are refined by what agrees with them: points farther off than three standard
            deviations have no say.
        weights: how much each point counts, (N,); None: all alike.

    Raises:
        ScaleError: `too_few_points`, `one_depth` or `no_agreement`.
    """
    if len(true) < MIN_POINTS:
        raise ScaleError(
            'too_few_points', f'{len(true)} points to measure by, expected {MIN_POINTS} or more'
        )
    _check_spread(true, kind)
    if weights is None:
        weights = np.ones_like(depth)
    scale, shift = _median(true / depth, weights), 0.0
    if kind == 'scale_shift':
        scale, shift = _least_absolute(true, depth, weights)
    residuals = np.abs(true - scale * depth - shift) / depth  # of the depth, as is `scale`
    agrees = residuals <= TOLERANCE * scale
    count = int(np.count_nonzero(agrees))
    if count < MIN_POINTS or count < MIN_SHARE * len(true) or scale <= 0.0:
        raise ScaleError(
            'no_agreement',
            f'{count} of {len(true)} points agree, expected {MIN_SHARE:.0%} and {MIN_POINTS} '
            'or more',
        )
    _check_spread(true[agrees], kind)
    limit = 3.0 * DEVIATION * float(np.median(residuals[agrees]))
    close = residuals <= min(max(limit, SMALL), TOLERANCE * scale)
    if kind == 'scale_shift':
        scale, shift = _least_squares(
            true[close], depth[close], weights[close] * depth[close] ** -2.0
        )
    else:
        scale = _median(true[close] / depth[close], weights[close])
    return Measurement(scale, shift, count)


def _check_spread(true: Array, kind: str) -> None:
    low, middle, high = np.percentile(true, (5, 50, 95))
    if high - low < ONE_DEPTH[kind] * middle:
        raise ScaleError(
            'one_depth',
            f'all points are {low:.3g} to {high:.3g} m deep: too much one depth for '
            f'scale_fit {kind}',
        )


def _median(values: Array, weights: Array) -> float:
    """Return the value that half of the weight is below, and half above."""
    order = np.argsort(values, kind='stable')
    share = np.cumsum(weights[order])
    half = share[-1] / 2.0
    low = np.searchsorted(share, half, side='left')
    high = np.searchsorted(share, half, side='right')
    ordered = values[order]
    return float((ordered[low] + ordered[min(high, len(values) - 1)]) / 2.0)


def _least_absolute(true: Array, depth: Array, weights: Array) -> tuple[float, float]:
    """Minimize sum(|true - scale x depth - shift| / depth) by iterated reweighting."""
    squared = weights * depth**-2.0
    scale, shift = _least_squares(true, depth, squared)
    for _ in range(ITERATIONS):
        residuals = np.abs(true - scale * depth - shift) / depth
        scale, shift = _least_squares(true, depth, squared / np.maximum(residuals, SMALL))
    return scale, shift


def _least_squares(true: Array, depth: Array, weights: Array) -> tuple[float, float]:
    total = float(weights.sum())
    mean_depth = float(weights @ depth) / total
    mean_true = float(weights @ true) / total
    centred = depth - mean_depth
    weighted = weights * centred
    variance = float(weighted @ centred)
    if variance <= 1e-12 * total:  # the network sees one depth: a shift cannot be told
        return mean_true / mean_depth, 0.0
    scale = float(weighted @ true) / variance
    return scale, mean_true - scale * mean_depth
