# SPDX-License-Identifier: Apache-2.0
"""Bring the truth of another sensor into the picture: true depth for each pixel that it hits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.evaluate.metrics import known
from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import kernel, readonly, writable

Depth = npt.NDArray[np.float32]

# A point that is farther than another one beside it by more than this ratio is taken as hidden: the
# sensor saw it from elsewhere, or between the pixels of a coarser image.
HIDDEN_RATIO = 1.15
# Where the points of a LiDAR lie that may hide each other: this share of the picture's width.
LIDAR_REACH = 1 / 128


def register(
    depth: Depth,
    depth_camera: Camera,
    camera: Camera,
    optical_from_depth: Sequence[float] | None = None,
) -> Depth:
    """Move the depth image of one camera into the picture of another; the nearest point wins.

    Args:
        depth: depth along z of the depth camera [m], (h, w) float32; NaN, infinity and 0 invalid.
        depth_camera: the model of its pixels.
        camera: the model of the picture, (H, W).
        optical_from_depth: the depth camera's place in the picture's optical frame, x y z [m] and
            qx qy qz qw; None where both have one frame.

    Returns:
        Depth along z of the picture's camera [m], (H, W) float32, NaN where there is none.

    Raises:
        ValueError: the depth is not of its camera's size, or the quaternion is not of length 1.
    """
    if depth.shape != (depth_camera.height, depth_camera.width):
        raise ValueError(
            f'the depth is {depth.shape}, expected {(depth_camera.height, depth_camera.width)}'
        )
    if optical_from_depth is None and depth_camera == camera:
        return np.where(known(depth), depth, np.float32(np.nan)).astype(np.float32)
    x, y = depth_camera.ray_maps
    points = np.stack(np.broadcast_arrays(x * depth, y * depth, depth), axis=-1).reshape(-1, 3)
    # the points of a coarser image have gaps between them, which must hide what is behind
    coarser = max(camera.fx / depth_camera.fx, camera.fy / depth_camera.fy)
    reach = math.ceil(coarser / 2.0) if coarser > 1.0 else 0
    return splat(points, camera, optical_from_depth, reach)


def register_points(
    xyz: npt.NDArray[Any], camera: Camera, optical_from_sensor: Sequence[float] | None = None
) -> Depth:
    """Draw the points of a LiDAR into a picture; those behind others are left out.

    Args:
        xyz: points in the sensor's frame [m], (N, 3); NaN is no point.
        camera: the model of the picture.
        optical_from_sensor: as in `register`.

    Returns:
        As `register`.
    """
    reach = max(1, round(camera.width * LIDAR_REACH))
    return splat(np.asarray(xyz, np.float32), camera, optical_from_sensor, reach)


def splat(
    xyz: npt.NDArray[np.float32],
    camera: Camera,
    optical_from_sensor: Sequence[float] | None,
    reach: int,
) -> Depth:
    """Draw points: the nearest depth in each pixel, (H, W) [m], but none hidden within `reach`."""
    if optical_from_sensor is not None:
        xyz = transform.apply(optical_from_sensor, xyz).astype(np.float32)
    z = np.ascontiguousarray(xyz[:, 2])
    nearest = np.full((camera.height, camera.width), np.inf, np.float32)
    _nearest(np.ascontiguousarray(camera.project(xyz)), z, nearest)
    if reach:
        around = cv2.erode(nearest, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        nearest[nearest / HIDDEN_RATIO > around] = np.inf
    nearest[nearest == np.inf] = np.nan
    return nearest


@kernel(readonly('float64', 2), readonly('float32', 1), writable('float32', 2))
def _nearest(
    pixels: npt.NDArray[np.float64], depth: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    height, width = out.shape
    for i in range(depth.size):
        u, v, z = np.rint(pixels[i, 0]), np.rint(pixels[i, 1]), depth[i]
        # NaN, of a point behind the camera or of none, is not inside
        if u >= 0 and v >= 0 and u < width and v < height and z > 0:
            row, column = int(v), int(u)
            out[row, column] = min(out[row, column], z)
