# SPDX-License-Identifier: Apache-2.0
"""The field's metrics of monocular depth, per frame and as the mean over frames."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.kernels import kernel, readonly, writable

Depth = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Means over the valid pixels of a frame, of depth z and truth t, both [m].

    Definitions of Eigen et al., Depth Map Prediction from a Single Image using a Multi-Scale Deep
    Network, NIPS 2014, as Depth Anything V2 computes them (metric_depth/util/metric.py). The
    evaluation of KITTI has another SILog: 100 sqrt(mean(d^2) - mean(d)^2).
    """

    abs_rel: float  # mean(|z - t| / t)
    sq_rel: float  # mean((z - t)^2 / t) [m]
    rmse: float  # sqrt(mean((z - t)^2)) [m]
    rmse_log: float  # sqrt(mean(d^2)) with d = ln z - ln t
    log10: float  # mean(|log10 z - log10 t|)
    silog: float  # sqrt(mean(d^2) - mean(d)^2 / 2), the scale-invariant error
    delta1: float  # share of pixels with max(z / t, t / z) < 1.25
    delta2: float  # the same below 1.25^2
    delta3: float  # the same below 1.25^3


NAMES = tuple(field.name for field in dataclasses.fields(Metrics))


def known(depth: Depth) -> npt.NDArray[np.bool_]:
    """Return the mask of the pixels that have a depth: finite and above zero."""
    with np.errstate(invalid='ignore'):
        return np.asarray((depth > 0.0) & (depth < np.inf))


def valid(depth: Depth, truth: Depth) -> npt.NDArray[np.bool_]:
    """Return the mask of the pixels that can be compared: both are known."""
    return known(depth) & known(truth)


def compare(depth: Depth, truth: Depth) -> Metrics:
    """Compute the metrics of a depth where it and the truth are valid, without any alignment.

    Args:
        depth: depth along z [m], any shape; NaN, infinity and 0 are invalid.
        truth: the true depth, of the same shape, invalid in the same way.

    Raises:
        ValueError: the shapes differ, or no pixel is valid in both.
    """
    return _compare(*pairs(depth, truth))


def compare_aligned(depth: Depth, truth: Depth) -> Metrics:
    """Compare, as `compare` does, the depth times median(truth) / median(depth).

    That is the alignment of Zhou et al., Unsupervised Learning of Depth and Ego-Motion from Video,
    CVPR 2017: what is left is wrong in shape, not in scale.
    """
    z, t = pairs(depth, truth)
    return _compare(z * (np.median(t) / np.median(z)), t)


def scale_of(depth: Depth, truth: Depth) -> float:
    """Return the factor that the depth lacks, median(truth / depth) over valid pixels.

    Raises:
        ValueError: as `compare`.
    """
    z, t = pairs(depth, truth)
    return float(np.median(t / z))


def mean(metrics: Sequence[Metrics]) -> Metrics:
    """Average each metric over frames."""
    table = np.array([dataclasses.astuple(one) for one in metrics])  # frames x metrics
    return Metrics(*table.mean(axis=0).tolist())


def pairs(depth: Depth, truth: Depth) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return depth and truth of the valid pixels, (N,) each; errors as `compare`."""
    if depth.shape != truth.shape:
        raise ValueError(f'depth is {depth.shape} and truth {truth.shape}, expected the same shape')
    both = valid(depth, truth)
    if not both.any():
        raise ValueError('no pixel has both a depth and a truth')
    return depth[both].astype(np.float64), truth[both].astype(np.float64)


def _compare(z: npt.NDArray[np.float64], t: npt.NDArray[np.float64]) -> Metrics:
    sums = np.zeros(9)
    _add_up(z, t, sums)
    abs_rel, sq_rel, squares, d, d_squares, d_distance, *below = (sums / len(z)).tolist()
    return Metrics(
        abs_rel=abs_rel,
        sq_rel=sq_rel,
        rmse=math.sqrt(squares),
        rmse_log=math.sqrt(d_squares),
        log10=d_distance / math.log(10.0),
        silog=math.sqrt(d_squares - 0.5 * d * d),
        delta1=below[0],
        delta2=below[1],
        delta3=below[2],
    )


@kernel(readonly('float64', 1), readonly('float64', 1), writable('float64', 1))
def _add_up(
    depth: npt.NDArray[np.float64], truth: npt.NDArray[np.float64], sums: npt.NDArray[np.float64]
) -> None:
    for i in range(depth.size):
        z, t = depth[i], truth[i]
        d = np.log(z / t)
        ratio = max(z / t, t / z)
        sums[0] += abs(z - t) / t
        sums[1] += (z - t) ** 2 / t
        sums[2] += (z - t) ** 2
        sums[3] += d
        sums[4] += d * d
        sums[5] += abs(d)
        sums[6] += ratio < 1.25
        sums[7] += ratio < 1.25**2
        sums[8] += ratio < 1.25**3
