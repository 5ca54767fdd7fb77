# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as seven numbers: x y z [m] and a quaternion qx qy qz qw, as in ROS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.settings import NORM_TOLERANCE

IDENTITY: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def split(transform: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the rotation (3, 3) and the translation (3,) of a_from_b.

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
    """Transform points (N, 3) of b to a.

    Raises:
        ValueError: as `split`.
    """
    rotation, translation = split(transform)
    return np.asarray(points @ rotation.T + translation, np.float64)


def compose(a_from_b: Sequence[float], b_from_c: Sequence[float]) -> tuple[float, ...]:
    """Return the transform a_from_c.

    Raises:
        ValueError: as `split`.
    """
    translation = apply(a_from_b, np.array([b_from_c[:3]]))[0]
    x, y, z, w = a_from_b[3:]
    # the matrix of a multiplication by the quaternion from the left
    left = np.array([[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]])
    return (*translation.tolist(), *(left @ np.array(b_from_c[3:])).tolist())


def invert(a_from_b: Sequence[float]) -> tuple[float, ...]:
    """Return the transform b_from_a.

    Raises:
        ValueError: as `split`.
    """
    rotation, translation = split(a_from_b)
    x, y, z, w = a_from_b[3:]
    return (*(-rotation.T @ translation).tolist(), -x, -y, -z, w)


def of_rotation(a_from_b: npt.NDArray[Any]) -> tuple[float, ...]:
    """Return the transform of a rotation matrix (3, 3), without a translation."""
    axis = cv2.Rodrigues(np.asarray(a_from_b, np.float64))[0].ravel()  # times the angle
    angle = float(np.linalg.norm(axis))
    xyz = axis * (math.sin(angle / 2.0) / angle if angle else 0.5)
    return (0.0, 0.0, 0.0, *xyz.tolist(), math.cos(angle / 2.0))


class StaticTransforms:
    """The fixed transforms between frames, each of which has one parent, as on /tf_static."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, tuple[float, ...]]] = {}

    def add(self, parent: str, child: str, parent_from_child: Sequence[float]) -> None:
        """Remember where a frame is."""
        self._parents[child] = parent, tuple(parent_from_child)

    def find(self, target: str, source: str) -> tuple[float, ...] | None:
        """Return the transform target_from_source; None where they are not connected.

        Raises:
            ValueError: as `split`.
        """
        of_target, of_source = self._ancestors(target), self._ancestors(source)
        for ancestor, from_target in of_target.items():
            if ancestor in of_source:
                return compose(invert(from_target), of_source[ancestor])
        return None

    def _ancestors(self, frame: str) -> dict[str, tuple[float, ...]]:
        """Return ancestor_from_frame of the frame itself and all above it, nearest first."""
        found: dict[str, tuple[float, ...]] = {}
        transform = IDENTITY
        while frame not in found:  # else they form a ring
            found[frame] = transform
            if frame not in self._parents:
                break
            frame, parent_from_frame = self._parents[frame]
            transform = compose(parent_from_frame, transform)
        return found
