# SPDX-License-Identifier: Apache-2.0
"""Scale from points that the camera's own motion has measured."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.fit import fit
from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.scale.points import compare

# [s] for which a point counts, by the stamps: what an odometry is off by lasts for a second or so,
# so that a few seconds are a few measurements.
MEMORY = 10.0
MAX_POINTS = 40  # of one picture: more say no more
MIN_POINTS = 15
MAX_UNCERTAINTY = 0.025  # of the scale, one standard deviation
# Of a depth, that the points of one picture have in common: the network's error, the pose's. So
# many points of one picture say little more than a few.
SHARED_UNCERTAINTY = 0.05


class MovingPoints(NamedTuple):
    """Points in the optical frame of a picture, each with its uncertainty."""

    ids: npt.NDArray[np.int64]  # of the corners, (N,) int64
    xyz: npt.NDArray[np.float64]  # (N, 3) m
    # standard deviations of the depth, as shares of it, (N,): of each point, and of what the poses
    # put all of them off by
    uncertainty: npt.NDArray[np.float64]
    shared: npt.NDArray[np.float64]


class MovingScale:
    """Fits the depth to the points of the last seconds."""

    def __init__(self) -> None:
        # of each picture: its stamp, and true depths, those found there and weights, 3xN
        self._pictures: deque[tuple[int, npt.NDArray[np.float64]]] = deque()

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
            ScaleError: as `points.measure`, or `too_few_points` or `uncertain`.
        """
        index, true, found = compare(depth, camera, points.xyz, max_depth)
        step = -(-len(index) // MAX_POINTS)
        index, true, found = index[::step], true[::step], found[::step]
        shared = SHARED_UNCERTAINTY**2 + points.shared[index] ** 2
        weights = 1.0 / (points.uncertainty[index] ** 2 + len(index) * shared)
        self._pictures.append((stamp_ns, np.stack([true, found, weights])))
        while stamp_ns - self._pictures[0][0] >= MEMORY * 1e9:
            self._pictures.popleft()
        true, found, weights = np.concatenate([pairs for _, pairs in self._pictures], axis=1)
        if len(true) < MIN_POINTS:
            raise ScaleError(
                'too_few_points',
                f'{len(true)} points to measure by, expected {MIN_POINTS} or more',
            )
        uncertainty = float(weights.sum()) ** -0.5
        if uncertainty > MAX_UNCERTAINTY:
            raise ScaleError(
                'uncertain',
                f'the scale is known to {uncertainty:.1%}, expected {MAX_UNCERTAINTY:.1%} or less',
            )
        return fit(true, found, kind, weights)
