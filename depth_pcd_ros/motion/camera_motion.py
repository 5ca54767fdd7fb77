# SPDX-License-Identifier: Apache-2.0
"""Estimate the motion of the camera between two pictures, from them and the depth of the first."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import CauseError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.motion.pose import Pose
from depth_pcd_ros.motion.tracks import Tracked

MIN_CORNERS = 20  # that agree on a motion
MIN_SHARE = 0.5  # of the corners that could be followed; with fewer, something else may be moving
TOLERANCE = 1.0  # pixels of the picture in which it is followed, that a corner may be off
ROUNDS = 100  # of RANSAC, at most
CONFIDENCE = 0.999  # of RANSAC, at which it ends


class MotionError(CauseError):
    """The motion of the camera is not known, so the depth of this picture stands alone."""


def camera_motion(tracked: Tracked, depths: npt.NDArray[np.float64], camera: Camera) -> Pose:
    """Find the motion that explains where the corners went: PnP with RANSAC, then least squares.

    Args:
        tracked: the corners that both pictures share.
        depths: of the corners in the picture before, (N,) m, NaN where there is none.
        camera: of both pictures.

    Returns:
        now_from_before, in metres of `depths`.

    Raises:
        MotionError: `few_tracks` or `no_agreement`.
    """
    before, now = camera.unproject(tracked.before), camera.unproject(tracked.now)
    usable = np.isfinite(depths) & np.isfinite(before).all(axis=1) & np.isfinite(now).all(axis=1)
    count = np.count_nonzero(usable)
    if count < MIN_CORNERS:
        raise MotionError(
            'few_tracks', f'{count} corners could be followed, expected {MIN_CORNERS} or more'
        )
    points = np.column_stack([before, np.ones(len(before))])[usable] * depths[usable, None]
    rays = np.ascontiguousarray(now[usable])
    found, turn, step, inliers = cv2.solvePnPRansac(
        points,
        rays,
        np.eye(3),
        None,
        np.zeros((3, 1)),
        np.zeros((3, 1)),
        useExtrinsicGuess=True,
        iterationsCount=ROUNDS,
        reprojectionError=TOLERANCE * tracked.pixel / ((camera.fx + camera.fy) / 2),
        confidence=CONFIDENCE,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    agree = 0 if not found or inliers is None else len(inliers)
    if agree < max(MIN_CORNERS, MIN_SHARE * count):
        raise MotionError(
            'no_agreement',
            f'{agree} of {count} corners agree on a motion, expected {MIN_SHARE:.0%} and '
            f'{MIN_CORNERS} or more',
        )
    chosen = inliers.ravel()
    turn, step = cv2.solvePnPRefineLM(points[chosen], rays[chosen], np.eye(3), None, turn, step)
    return Pose(np.asarray(cv2.Rodrigues(turn)[0], np.float64), step.ravel())
