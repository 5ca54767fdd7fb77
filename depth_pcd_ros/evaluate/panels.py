# SPDX-License-Identifier: Apache-2.0
"""A frame at a glance: photo, depth, truth and the error, side by side."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.show.colorize import colorize, usual_range

WIDTH = 320  # [px] of each of the five
MOST_ERROR = 0.4  # ln(z / t) at which the error's colours end: a third too near, half too far
UNKNOWN = 40  # grey level
FEW = 0.2  # share of known pixels below which they are drawn larger
TOO_NEAR, RIGHT, TOO_FAR = (197, 105, 33), (245, 245, 245), (43, 24, 178)  # BGR


def panels(
    rgb: npt.NDArray[np.uint8],
    depth: npt.NDArray[np.float32],
    truth: npt.NDArray[np.float32],
    scale: float,
) -> npt.NDArray[np.uint8]:
    """Draw photo, depth and truth in the same colours of the inverse depth, and the error twice.

    Args:
        rgb: (H, W, 3) uint8.
        depth: estimated depth [m], (H, W) float32, NaN where invalid.
        truth: the true one.
        scale: median of truth / depth.

    Returns:
        (h, 5 x 320, 3) uint8, BGR. The errors, as they are and after alignment by the median, are
        red where too far, blue where too near, grey where unknown.
    """
    height, width = depth.shape
    size = WIDTH, max(1, round(height * WIDTH / width))
    known = np.isfinite(truth)
    if known.mean() < FEW:
        reach = math.ceil(width / WIDTH)
        spread = cv2.dilate(np.where(known, truth, 0.0), np.ones((2 * reach + 1,) * 2, np.uint8))
        truth = np.where(spread > 0.0, spread, np.nan).astype(np.float32)
    photo = cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    z, t = (cv2.resize(one, size, interpolation=cv2.INTER_NEAREST) for one in (depth, truth))
    near, far = usual_range(t)
    near, far = 0.8 * near, 1.3 * far  # also what the estimate has beyond
    drawn = [photo, colorize(z, near, far), colorize(t, near, far), _error(z, t)]
    return np.hstack([*drawn, _error(z * np.float32(scale), t)])


def _error(depth: npt.NDArray[Any], truth: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    with np.errstate(invalid='ignore', divide='ignore'):
        error = np.log(depth / truth) / MOST_ERROR
    unknown = ~np.isfinite(error)
    error[unknown] = 0.0
    share = np.clip(np.abs(error), 0.0, 1.0)[..., None]
    side = np.where(error[..., None] > 0.0, np.array(TOO_FAR), np.array(TOO_NEAR))
    picture = (1.0 - share) * np.array(RIGHT) + share * side
    picture[unknown] = UNKNOWN
    return np.rint(picture).astype(np.uint8)
