# SPDX-License-Identifier: Apache-2.0
"""Draw a preview of a cloud: photo, inverse depth, and the cloud from another viewpoint."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import unpack_rgb
from depth_pcd_ros.kernels import DOUBLE, kernel, readonly, writable
from depth_pcd_ros.show.colorize import colorize, usual_range

BACKGROUND = 24  # grey level behind the cloud
UNCOLOURED = 200  # grey level of points without a colour
# Where the camera goes from where it was: far enough to tell a flat picture from a room, near
# enough to be looked at like the photo.
YAW, PITCH = -18.0, 14.0  # [deg]
DISTANCE = 1.35  # from the middle of the cloud, in units of its distance from the camera
# More pixels than this show no more to a person, and take long to draw.
MOST_PIXELS = 1280 * 960
NEAREST = 0.25  # nearer points than this part of that distance would fill the picture


def preview(
    rgb: npt.NDArray[np.uint8],
    depth: npt.NDArray[np.float32],
    points: npt.NDArray[np.float32],
    *,
    focal: float,
    near: float = 0.0,
    far: float = 0.0,
    sky: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Put the photo, its inverse depth and the cloud from another viewpoint side by side.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        depth: depth along z [m], (H, W) float32, NaN where invalid.
        points: x, y, z [m] and perhaps the packed colour, (..., 3 or 4) float32.
        focal: focal length of the picture [px].
        near: depth of the warm end of the colours [m]; 0: the nearest of the picture.
        far: depth of the cold end [m]; 0: the farthest of the picture.
        sky: as `colorize`.

    Returns:
        (H, 3 W, 3) uint8, BGR as cv2 writes it; of a large picture, every n-th row and column.
    """
    n = math.ceil(math.sqrt(depth.size / MOST_PIXELS))
    rgb, depth, focal = rgb[::n, ::n], depth[::n, ::n], focal / n
    if points.ndim == 3:
        points = points[::n, ::n]
    height, width = depth.shape
    photo = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    cloud = render_cloud(points, width, height, focal)
    lowest, highest = usual_range(depth)
    sky = None if sky is None else sky[::n, ::n]
    colours = colorize(depth, near or lowest, far or highest, sky=sky)
    return np.hstack([photo, colours, cloud])


def render_cloud(
    points: npt.NDArray[np.float32],
    width: int,
    height: int,
    focal: float,
    *,
    yaw: float = YAW,
    pitch: float = PITCH,
) -> npt.NDArray[np.uint8]:
    """Draw a cloud as seen by a camera that has moved around its middle, to the side and up.

    Args:
        points: x, y, z [m] in an optical frame and perhaps the packed colour, (..., 3 or 4)
            float32.
        width: of the picture [px].
        height: of the picture [px].
        focal: focal length [px].
        yaw: how far the camera goes around the middle, to the right; below zero, left [deg].
        pitch: how far it goes up and looks down [deg].

    Returns:
        (H, W, 3) uint8, BGR.
    """
    points = points.reshape(-1, points.shape[-1])
    points = points[np.isfinite(points[:, :3]).all(axis=1)]
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    if not len(points):
        return picture
    middle = np.median(points[:, :3], axis=0)
    distance = DISTANCE * float(np.linalg.norm(middle))
    xyz = np.ascontiguousarray(points[:, :3] - middle)
    _draw(
        xyz,
        np.ascontiguousarray(_bgr(points)),
        _rotation(yaw, pitch),
        distance,
        focal,
        np.full((height, width), np.inf, np.float32),
        picture,
    )
    return picture


@kernel(
    readonly('float32', 2),
    readonly('uint8', 2),
    readonly('float64', 2),
    DOUBLE,
    DOUBLE,
    writable('float32', 2),
    writable('uint8', 3),
)
def _draw(
    xyz: npt.NDArray[np.float32],
    colours: npt.NDArray[np.uint8],
    rotation: npt.NDArray[np.float64],
    distance: float,
    focal: float,
    depth: npt.NDArray[np.float32],
    picture: npt.NDArray[np.uint8],
) -> None:
    """Draw points that are turned and moved ahead: 2x2 pixels each, the nearest in front."""
    height, width = depth.shape
    for i in range(len(xyz)):
        a, b, c = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        z = rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2] * c + distance
        if not z > NEAREST * distance:
            continue
        x = rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2] * c
        y = rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2] * c
        left, top = np.rint(focal * x / z + width / 2), np.rint(focal * y / z + height / 2)
        if not (-2 < left < width and -2 < top < height):
            continue
        for v in range(max(int(top), 0), min(int(top) + 2, height)):
            for u in range(max(int(left), 0), min(int(left) + 2, width)):
                if z < depth[v, u]:
                    depth[v, u] = z
                    for k in range(3):
                        picture[v, u, k] = colours[i, k]


def _bgr(points: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the colours of points, (N, 3), BGR."""
    if points.shape[1] == 3:
        return np.full((len(points), 3), UNCOLOURED, np.uint8)
    return unpack_rgb(points[:, 3])[:, ::-1]


def _rotation(yaw: float, pitch: float) -> npt.NDArray[np.float64]:
    """Return the rotation by `yaw` about y (down), then by `pitch` about x (right) [deg]."""
    a, b = math.radians(yaw), math.radians(pitch)
    about_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    return about_x @ about_y
