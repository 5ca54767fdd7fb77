# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as a rotation and a translation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry import transform

Array = npt.NDArray[np.float64]


class Pose(NamedTuple):
    """The transform a_from_b: a point p of b is rotation @ p + translation in a."""

    rotation: Array  # (3, 3)
    translation: Array  # (3,) m

    def inverse(self) -> Pose:
        """Return b_from_a."""
        return Pose(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, b_from_c: Pose) -> Pose:
        """Return a_from_c."""
        return Pose(
            self.rotation @ b_from_c.rotation,
            self.rotation @ b_from_c.translation + self.translation,
        )


def pose(numbers: Sequence[float]) -> Pose:
    """Make a pose of x y z [m], qx qy qz qw, as `geometry.transform` has them.

    Raises:
        ValueError: the quaternion is not of length 1.
    """
    return Pose(*transform.split(numbers))
