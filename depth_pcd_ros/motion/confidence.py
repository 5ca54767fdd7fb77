# SPDX-License-Identifier: Apache-2.0
"""The confidence in each depth."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EDGE = 1.08  # ratio of depths around a pixel of the grid above which there is an edge
REACH = 4.0  # pixels of the grid from an edge or the border, beyond which it has no effect


def confidence(depth: Floats, agreed: Floats) -> Floats:
    """Rate each depth from 0 to 100.

    The product of three shares: n / (n + 1) for n pictures that agree on the depth, this one
    included; the distance to the next depth edge, and that to the border, up to `REACH`.

    Args:
        depth: (H, W) m, NaN where there is none.
        agreed: how many pictures agree, of every n-th pixel, (H / n, W / n).

    Returns:
        (H, W), 0 where there is no depth.
    """
    height, width = agreed.shape
    n = -(-depth.shape[0] // height)
    z = np.ascontiguousarray(depth[::n, ::n])
    known = np.isfinite(z)
    filled = np.where(known, z, 0.0).astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    edge = ~known | (cv2.dilate(filled, around) > EDGE * cv2.erode(filled, around))
    away = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 3)
    border = np.minimum(
        np.minimum(np.arange(width), np.arange(width)[::-1])[None],
        np.minimum(np.arange(height), np.arange(height)[::-1])[:, None],
    )
    shares = np.clip(away / REACH, 0.0, 1.0) * np.clip((border + 1) / REACH, 0.0, 1.0)
    rated = (100.0 * shares * agreed / (agreed + 1.0)).astype(np.float32)
    if n > 1:
        rated = np.asarray(cv2.resize(rated, depth.shape[::-1]), np.float32)
    rated[~np.isfinite(depth)] = 0.0
    return rated
