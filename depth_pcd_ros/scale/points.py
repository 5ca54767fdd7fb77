# SPDX-License-Identifier: Apache-2.0
"""Scale from sparse points with a known position, of a LiDAR say."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.fit import fit
from depth_pcd_ros.scale.measurement import SATURATED, Measurement, ScaleError

# Around a point, over this share of the picture's height, the depth must not change by more than
# this ratio: there, a network draws a ramp and the point may belong to either side.
EDGE_REACH = 1 / 160
EDGE_RATIO = 1.15


def measure(
    depth: npt.NDArray[np.float32],
    camera: Camera,
    xyz: npt.NDArray[Any],
    kind: str,
    max_depth: float,
) -> Measurement:
    """Fit the depth to points.

    Args:
        depth: depth along z [m], (H, W) float32.
        camera: the model of these pixels.
        xyz: points in the optical frame [m], (N, 3); NaN counts as no point.
        kind: as in `fit`.
        max_depth: depth at which the network's output ends [m].

    Raises:
        ScaleError: `no_points`, `behind`, `outside`, `no_depth`, `at_edges` if that is all there
            is, or as `fit`.
    """
    _, true, found = compare(depth, camera, xyz, max_depth)
    return fit(true, found, kind)


def compare(
    depth: npt.NDArray[np.float32], camera: Camera, xyz: npt.NDArray[Any], max_depth: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Index in `xyz`, true depth and the network's of the points that can be compared, (M,) [m].

    Raises:
        ScaleError: as `measure`.
    """
    index = np.flatnonzero(np.isfinite(xyz).all(axis=1))
    finite = xyz[index]
    _require(len(finite), 'no_points', 'the cloud has no finite point')
    in_front = finite[:, 2] > 0.0
    front, index = finite[in_front], index[in_front]
    _require(len(front), 'behind', f'all {len(finite)} points are behind the camera')
    pixels = camera.project(front)
    u, v = pixels[:, 0], pixels[:, 1]
    height, width = depth.shape
    with np.errstate(invalid='ignore'):  # NaN beyond what the lens shows is not inside
        inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    _require(np.count_nonzero(inside), 'outside', f'all {len(front)} points are out of view')
    u, v, true = u[inside], v[inside], front[inside, 2].astype(np.float64)

    near, far = _around(depth, u, v)
    found = cv2.remap(
        depth, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR
    ).ravel()  # (M,)
    _require(
        np.count_nonzero(np.isfinite(found)),
        'no_depth',
        f'all {len(true)} points in view are where there is no depth (sky)',
    )
    usable = (near > 0.0) & (far <= EDGE_RATIO * near) & (found < SATURATED * max_depth)
    _require(
        np.count_nonzero(usable), 'at_edges', f'all {len(true)} points in view are at depth edges'
    )
    return index[inside][usable], true[usable], found[usable].astype(np.float64)


def _around(
    depth: npt.NDArray[np.float32], u: npt.NDArray[Any], v: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Find the nearest and farthest depth at and around pixels, each (M,)."""
    height, width = depth.shape
    reach = max(1, round(height * EDGE_REACH))
    columns, rows = np.rint(u).astype(np.intp), np.rint(v).astype(np.intp)
    near = far = depth[rows, columns]
    for dv in (-reach, 0, reach):
        for du in (-reach, 0, reach):
            if du or dv:
                row = np.clip(rows + dv, 0, height - 1)
                there = depth[row, np.clip(columns + du, 0, width - 1)]
                near, far = np.minimum(near, there), np.maximum(far, there)
    return near, far


def _require(count: Any, cause: str, otherwise: str) -> None:
    if not count:
        raise ScaleError(cause, otherwise)
