# SPDX-License-Identifier: Apache-2.0
"""Notice odometry that jumps: where a loop is closed, or a wheel slips."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.motion.pose import Pose
from depth_pcd_ros.scale.measurement import ScaleError

# By which the odometry may turn otherwise than the pictures from one to the next: degrees, as a
# share of the turn, and of the step by the depth, since a network that is wrong takes some of a
# step for a turn.
MAX_TURN_ERROR, MAX_TURN_SHARE, MAX_STEP_SHARE = 1.0, 0.1, 0.3
# By which it may go farther than the pictures: as a share of the depth, and of the step.
MAX_FARTHER, MAX_FARTHER_SHARE = 0.01, 0.5
MIN_STEP = 0.002  # of the depth, that tells the scale of the network
STEPS = 30  # that the scale is the median of
MIN_STEPS = 5  # before which no step is compared


class Jumps:
    """Compares the odometry with how the camera moved by its pictures, from one to the next."""

    def __init__(self) -> None:
        self._ratios = deque[float](maxlen=STEPS)  # metres of the odometry by those of the network

    def check(self, odometry: Pose, seen: Pose, depth: float) -> None:
        """Compare two motions.

        Args:
            odometry: before_from_now.
            seen: the same by the pictures, in metres of the network.
            depth: how far away the scene is, in these.

        Raises:
            ScaleError: `odometry_jumped`.
        """
        off, turn = _degrees(odometry.rotation.T @ seen.rotation), _degrees(odometry.rotation)
        length = float(np.linalg.norm(odometry.translation))
        step = float(np.linalg.norm(seen.translation))
        turned = MAX_TURN_ERROR + MAX_TURN_SHARE * turn + MAX_STEP_SHARE * np.degrees(step / depth)
        farther = False
        if len(self._ratios) >= MIN_STEPS:
            scale = float(np.median(self._ratios))
            miss = float(np.linalg.norm(odometry.translation / scale - seen.translation))
            farther = length > scale * step
            farther &= miss > MAX_FARTHER * depth + MAX_FARTHER_SHARE * step
        if off > turned or farther:
            raise ScaleError(
                'odometry_jumped',
                f'from one picture to the next the odometry went {length:.3f} m and turned by '
                f'{turn:.1f} degrees, which the pictures do not show',
            )
        if step > MIN_STEP * depth:
            self._ratios.append(length / step)


def _degrees(rotation: npt.NDArray[np.float64]) -> float:
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(rotation)[0])))
