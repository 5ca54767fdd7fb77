# SPDX-License-Identifier: Apache-2.0
"""Colour the inverse depth, for people to look at."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.kernels import FLOAT, kernel, readonly, writable
from depth_pcd_ros.memory import Buffer

# The warmest colour is for this share of the range, and nearer: of 20 m indoors, 1.25 m.
WARMEST = 1 / 16
# Where depth has no end, the coldest colour is for this, and farther [m].
ENDLESS = 40.0
SKY = (224, 208, 192)  # BGR: pale grey blue, which no depth has


def color_range(min_depth: float, max_range: float) -> tuple[float, float]:
    """Choose a range of colours that depends on the settings only, so that nothing flickers.

    Args:
        min_depth: nearest valid depth [m], 0 or more.
        max_range: deepest valid depth [m], above 0; inf: there is none.

    Returns:
        near and far for `colorize` [m], in order even where no depth is valid.
    """
    if math.isinf(max_range):
        max_range = ENDLESS
    near = max(min_depth, max_range * WARMEST)
    return near, max(max_range, 2.0 * near)


def usual_range(depth: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the depths between which most of a picture lies [m], however little they differ."""
    valid = depth[np.isfinite(depth)]
    if not valid.size:
        return 1.0, 2.0
    near, far = np.percentile(valid, [1.0, 99.0]).tolist()
    return max(near, 1e-3), max(far, 1.01 * near, 2e-3)


def colorize(
    depth: npt.NDArray[np.float32],
    near: float,
    far: float,
    memory: Buffer | None = None,
    sky: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Colour the inverse depth, from dark red at `near` to dark blue at `far`.

    The range is fixed, so that a colour means the same distance in every frame. The map is Turbo:
    https://research.google/blog/turbo-an-improved-rainbow-colormap-for-visualization/.

    Args:
        depth: depth along z [m], (H, W), NaN where invalid.
        near: depth of the warmest colour [m]; all that is nearer has it, too.
        far: depth of the coldest colour [m]; all that is farther has it, too.
        memory: where to put the picture.
        sky: which pixels are sky, (H, W); None: nothing is known of it.

    Returns:
        (H, W, 3) uint8, BGR; black where invalid, pale where there is sky.

    Raises:
        ValueError: not 0 < near < far.
    """
    if not 0.0 < near < far:
        raise ValueError(f'near is {near} m and far {far} m, must be 0 < near < far')
    picture = (memory or Buffer()).array((*depth.shape, 3), np.uint8)
    step = 255.0 / (1.0 / near - 1.0 / far)  # levels for each 1 / m
    rows = picture.reshape(len(depth), -1)
    depth = np.ascontiguousarray(depth, np.float32)
    _colour(depth, np.float32(1.0 / far), np.float32(step), _turbo(), rows)
    if sky is not None:
        picture[sky] = SKY
    return picture


@functools.lru_cache(maxsize=1)
def _turbo() -> npt.NDArray[np.uint8]:
    """Return the colours of the levels 0 to 255, BGR, and black."""
    levels = np.arange(256, dtype=np.uint8).reshape(1, -1)
    turbo = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[0]
    return np.vstack([turbo, np.zeros((1, 3), np.uint8)])


@kernel(readonly('float32', 2), FLOAT, FLOAT, readonly('uint8', 2), writable('uint8', 2))
def _colour(
    depth: npt.NDArray[np.float32],
    farthest: np.float32,
    step: np.float32,
    colours: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
) -> None:
    levels = np.empty(depth.shape[1], np.uint16)
    zero, top = np.float32(0.0), np.float32(255.0)
    for v in range(depth.shape[0]):
        z, row = depth[v], out[v]
        for u in range(z.size):
            level = np.rint((np.float32(1.0) / z[u] - farthest) * step)
            level = min(max(level, zero), top)
            levels[u] = np.uint16(level) if abs(z[u]) < np.inf else np.uint16(256)
        for u in range(z.size):
            colour = colours[levels[u]]
            row[3 * u], row[3 * u + 1], row[3 * u + 2] = colour[0], colour[1], colour[2]
