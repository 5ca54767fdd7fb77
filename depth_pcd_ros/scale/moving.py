# SPDX-License-Identifier: Apache-2.0
"""Scale from points that the camera's own motion has measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.fit import fit
from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.scale.points import compare

MEMORY = 5.0  # [s] for which a point counts, by the stamps: those of one picture are too few
MIN_POINTS = 15
# Of a depth, that the points of one picture have in common: the network's error, the pose's. So
# many points of one picture say little more than a few.
SHARED_UNCERTAINTY = 0.02


class MovingPoints(NamedTuple):
    """Points in the optical frame of a picture, each with its uncertainty."""

    ids: npt.NDArray[np.int64]  # (N,) int64, by which a point is known again
    xyz: npt.NDArray[np.float64]  # (N, 3) m
    uncertainty: npt.NDArray[np.float64]  # standard deviation of the depth, as a share of it, (N,)


class MovingScale:
    """Fits the depth to the points of the last seconds; each counts once, as it was seen last."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[int, float, float, float]] = {}

    def measure(
        self,
        depth: npt.NDArray[np.float32],
        camera: Camera,
        points: MovingPoints,
        *,
        stamp_ns: int,
        kind: str,
        max_depth: float,
    ) -> Measurement:
        """Fit; arguments as in `points.measure`.

        Raises:
            ScaleError: as `points.measure`, or `too_few_points`.
        """
        index, true, found = compare(depth, camera, points.xyz, max_depth)
        weights = 1.0 / (points.uncertainty[index] ** 2 + len(index) * SHARED_UNCERTAINTY**2)
        known = zip(points.ids[index].tolist(), true, found, weights, strict=True)
        self._pairs.update({i: (stamp_ns, *pair) for i, *pair in known})
        self._pairs = {
            i: pair for i, pair in self._pairs.items() if stamp_ns - pair[0] < MEMORY * 1e9
        }
        if len(self._pairs) < MIN_POINTS:
            raise ScaleError(
                'too_few_points',
                f'{len(self._pairs)} points to measure by, expected {MIN_POINTS} or more',
            )
        _, true, found, weights = np.array(list(self._pairs.values())).T
        return fit(true, found, kind, weights)
