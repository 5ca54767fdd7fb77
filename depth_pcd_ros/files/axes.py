# SPDX-License-Identifier: Apache-2.0
"""The axes of the points in a file: those of the camera, or turned for viewers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Axes(NamedTuple):
    """The words of a header for them, and the rotation (3, 3) from the camera's axes."""

    name: str
    rotation: npt.NDArray[np.float32]


# By what is up; '' is as the camera sees it.
AXES = {
    '': Axes('x right, y down, z ahead', np.eye(3, dtype=np.float32)),
    'y': Axes('x right, y up, z back', np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]], np.float32)),
    'z': Axes('x right, y ahead, z up', np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)),
}


def turned(points: npt.NDArray[Any], up: str) -> npt.NDArray[Any]:
    """Turn points of the camera, (..., 3 or 4), so that y or z is up."""
    if up:
        points = points.copy()
        points[..., :3] = points[..., :3] @ AXES[up].rotation.T
    return points


def turned_back(points: npt.NDArray[Any], header: str) -> npt.NDArray[Any]:
    """Turn the points of a file, (..., 3 or 4), back to the camera's axes, as its header says."""
    up = next((up for up, axes in AXES.items() if axes.name in header), '')
    if up:
        points = points.copy()
        points[..., :3] = points[..., :3] @ AXES[up].rotation
    return points
