# SPDX-License-Identifier: Apache-2.0
"""Scale from the height of the camera above a floor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.measurement import Measurement, ScaleError

Array = npt.NDArray[Any]

GRID = 64  # pixels sampled in a row; as far apart in a column
NORMAL_TOLERANCE = math.cos(math.radians(20.0))  # of a point's normal to the nominal one
PLANE_TOLERANCE = math.cos(math.radians(6.0))  # of the plane's normal
HYPOTHESES = 48
MAX_CANDIDATES = 800  # that are asked about each hypothesis
# The depth's error is a share of the depth, so that of a point's height below the camera is the
# same share of the height, wherever on the floor the point is.
HEIGHT_TOLERANCE = 0.06
BELOW = 1.2  # times the plane's height; lower points are below it
MAX_BELOW = 0.02  # share of the picture that may be below the floor
MIN_SUPPORT = 0.04  # share of the picture that must be floor
# How much the nominal normal weighs against the points: the camera is mounted, and the floor is
# even, to about 2 deg, and the network's error, of about 2 %, is that of some 30 free regions.
PRIOR = (0.02**2 / 30) / math.radians(2.0) ** 2


def measure(
    depth: npt.NDArray[np.float32], camera: Camera, height: float, pitch: float, roll: float
) -> Measurement:
    """Find the floor, as `find_floor`, and compare its distance with the camera's height [m].

    Raises:
        ScaleError: `no_floor`.
    """
    plane, inliers = find_floor(depth, camera, pitch, roll)
    return Measurement(height * float(np.linalg.norm(plane)), 0.0, inliers)


def find_floor(
    depth: npt.NDArray[np.float32], camera: Camera, pitch: float, roll: float
) -> tuple[Array, int]:
    """Find the floor.

    It is the plane with the most points among those that lie across the nominal vertical and have
    next to nothing below them: a table has the floor below it, or its own legs.

    Args:
        depth: depth along z [m], (H, W) float32.
        camera: the model of these pixels.
        pitch: nominal, positive where the camera looks down [deg].
        roll: nominal, positive where the camera is turned clockwise about its view [deg].

    Returns:
        The plane m with m . p = -1 for its points p, (3,) 1 / m: the camera is 1 / |m| above it;
        and how many of the points looked at lie on it.

    Raises:
        ScaleError: `no_floor`.
    """
    up = up_vector(pitch, roll)
    points, normals = _grid(depth, camera)
    level = points[normals @ up > NORMAL_TOLERANCE]
    level = level[level @ up < 0.0]
    every: Array = points.reshape(-1, 3)
    every = every[np.isfinite(every).all(axis=1)]
    least = max(int(MIN_SUPPORT * len(every)), 12)
    if len(level) < least:
        raise ScaleError('no_floor', f'no floor in view: {_share(level, every)} of it is level')
    rng = np.random.default_rng(0)  # the same picture gives the same
    candidates = level
    if len(level) > MAX_CANDIDATES:
        candidates = level[rng.choice(len(level), MAX_CANDIDATES, replace=False)]

    planes = _hypotheses(rng, candidates, up)
    errors = np.abs(candidates @ planes.T + 1.0)  # (N, M), shares of the height
    support = np.count_nonzero(errors < HEIGHT_TOLERANCE, axis=0)
    below = np.count_nonzero(every @ planes.T < -BELOW, axis=0) > MAX_BELOW * len(every)
    support[below] = 0
    if not support.any():
        raise ScaleError('no_floor', 'no floor in view: there is more below each level plane')
    plane = planes[np.argmax(support)]
    for _ in range(2):
        inliers = level[np.abs(level @ plane + 1.0) < HEIGHT_TOLERANCE]
        if len(inliers) < least:
            raise ScaleError(
                'no_floor', f'no floor in view: the lowest level plane is {_share(inliers, every)}'
            )
        plane = _fit(inliers, up)
    return plane, len(inliers)


def up_vector(pitch: float, roll: float) -> Array:
    """Return up in the optical frame of a camera, pitched down and rolled clockwise [deg]."""
    p, r = math.radians(pitch), math.radians(roll)
    return np.array([-math.sin(r) * math.cos(p), -math.cos(r) * math.cos(p), -math.sin(p)])


def _grid(depth: npt.NDArray[np.float32], camera: Camera) -> tuple[Array, Array]:
    """Return points and unit normals to the camera of every n-th pixel, (h, w, 3) each."""
    step = max(1, depth.shape[1] // GRID)
    nth = slice(step // 2, None, step)
    x, y, z = (plane[nth, nth] for plane in (*camera.ray_maps, depth))
    z = z.astype(np.float64)
    points = np.dstack([x * z, y * z, z])
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normals = np.cross(down, across)  # y x x = -z: towards the camera
    with np.errstate(invalid='ignore', divide='ignore'):
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return points[1:-1, 1:-1], normals


def _hypotheses(rng: np.random.Generator, points: Array, up: Array) -> Array:
    """Fit planes through three points each whose normals are near `up`, (M, 3)."""
    triples = points[rng.integers(len(points), size=(HYPOTHESES, 3))]  # (M, 3, 3)
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    normals *= np.sign(normals @ up)[:, None]
    with np.errstate(invalid='ignore', divide='ignore'):
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    good = normals @ up > PLANE_TOLERANCE
    # and the planes of nominal normal through one point each, for a floor that is a narrow strip
    normals = np.concatenate([normals[good], np.broadcast_to(up, (HYPOTHESES // 2, 3))])
    through = np.concatenate([triples[good, 0], triples[: HYPOTHESES // 2, 1]])
    heights = -(normals * through).sum(axis=1)
    under = heights > 0.0  # the camera
    return np.asarray(normals[under] / heights[under, None], np.float64)


def _fit(points: Array, up: Array) -> Array:
    """Fit the plane m that minimizes mean((m . p + 1)^2), with a prior on its direction."""
    height = -float(np.median(points @ up))
    matrix = points.T @ points / len(points)
    matrix += PRIOR * height**2 * (np.eye(3) - np.outer(up, up))
    return np.asarray(np.linalg.solve(matrix, -points.mean(axis=0)), np.float64)


def _share(some: Array, every: Array) -> str:
    return f'{len(some) / max(len(every), 1):.1%}'
