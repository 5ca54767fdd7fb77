# SPDX-License-Identifier: Apache-2.0
"""The temporal alignment error of depth, where the motion of the camera is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.evaluate.clouds import points_of
from depth_pcd_ros.evaluate.metrics import known
from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.camera import Camera

Depth = npt.NDArray[Any]


def alignment_error(
    before: Depth, after: Depth, camera: Camera, after_from_before: Sequence[float]
) -> float:
    """Compute the temporal alignment error of two frames [%], as Video Depth Anything does.

    Each pixel of one frame is unprojected, carried into the other frame by the camera's motion and
    rounded to a pixel there; mean of |depth there - depth carried| / depth there over all pixels
    hit, without a mask or z-buffer; both directions; times 100. A clip's error is the mean over its
    pairs of frames. Of large pictures, not all pixels.
    Source: Chen et al., Video Depth Anything: Consistent Depth Estimation for Super-Long Videos,
    CVPR 2025.

    Args:
        before: depth along z [m], (H, W); NaN or 0 where invalid.
        after: that of the next frame, of the same size.
        camera: the model of both.
        after_from_before: the earlier camera in the later one's frame, x y z [m], qx qy qz qw.

    Raises:
        ValueError: no pixel of one is seen in the other.
    """
    there = _one_way(before, after, camera, after_from_before)
    back = _one_way(after, before, camera, transform.invert(after_from_before))
    return 50.0 * (there + back)


def _one_way(source: Depth, target: Depth, camera: Camera, motion: Sequence[float]) -> float:
    points = transform.apply(motion, points_of(source, camera))
    u, v = np.rint(camera.project(points)).T
    with np.errstate(invalid='ignore'):
        inside = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    found = target[v[inside].astype(np.intp), u[inside].astype(np.intp)].astype(np.float64)
    there = known(found)
    if not there.any():
        raise ValueError('no pixel of one frame is seen in the other')
    found, carried = found[there], points[inside, 2][there]
    return float(np.mean(np.abs(found - carried) / found))
