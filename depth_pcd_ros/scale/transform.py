# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as seven numbers: x y z [m] and a quaternion qx qy qz qw, as in ROS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NORM_TOLERANCE = 1e-2


def split(transform: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The rotation (3, 3) and the translation (3,) of a_from_b.

    Raises:
        ValueError: the quaternion is not of length 1.
    """
    x, y, z, w = quaternion = np.array(transform[3:], np.float64)
    norm = float(np.linalg.norm(quaternion))
    if not abs(norm - 1.0) <= NORM_TOLERANCE:
        raise ValueError(f'the quaternion {list(transform[3:])} has length {norm:g}, expected 1')
    x, y, z, w = quaternion / norm
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return rotation, np.array(transform[:3], np.float64)


def apply(transform: Sequence[float], points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Points (N, 3) of b in a.

    Raises:
        ValueError: as `split`.
    """
    rotation, translation = split(transform)
    return np.asarray(points @ rotation.T + translation, np.float64)
