# SPDX-License-Identifier: Apache-2.0
"""How well a depth map agrees with the true one; no scaling of either."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """The usual three figures of monocular depth, means over pixels (Eigen et al., NIPS 2014)."""

    abs_rel: float  # mean of |z - truth| / truth
    delta1: float  # share of pixels with max(z / truth, truth / z) < 1.25
    rmse: float  # m


def compare(depth: np.ndarray, truth: np.ndarray) -> Metrics:
    """Metrics of a depth (H, W) [m] where the truth (H, W) [m] is above zero."""
    known = truth > 0
    z, t = depth[known].astype(float), truth[known].astype(float)
    ratio = z / t
    return Metrics(
        abs_rel=float(np.mean(np.abs(ratio - 1))),
        delta1=float(np.mean(np.maximum(ratio, 1 / ratio) < 1.25)),
        rmse=float(np.sqrt(np.mean((z - t) ** 2))),
    )


def mean(metrics: list[Metrics]) -> Metrics:
    """The mean of each figure over pictures."""
    table = np.array([(m.abs_rel, m.delta1, m.rmse) for m in metrics])
    return Metrics(*(float(x) for x in table.mean(0)))
