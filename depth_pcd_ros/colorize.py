# SPDX-License-Identifier: Apache-2.0
"""A picture of the inverse depth, for people."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# The warmest colour is for this share of the range, and nearer: of 20 m indoors, 0.8 m.
WARMEST = 1 / 25


def color_range(min_depth: float, max_range: float) -> tuple[float, float]:
    """Choose a range of colours that depends on the settings only, so that nothing flickers.

    Args:
        min_depth: nearest valid depth [m], 0 or more.
        max_range: deepest valid depth [m], above 0.

    Returns:
        near and far for `colorize` [m], in order even where no depth is valid.
    """
    near = max(min_depth, max_range * WARMEST)
    return near, max(max_range, 2.0 * near)


def colorize(depth: npt.NDArray[np.float32], near: float, far: float) -> npt.NDArray[np.uint8]:
    """Colour the inverse depth, from dark red at `near` to dark blue at `far`.

    The range is fixed, so that a colour means the same distance in every frame. The map is Turbo:
    https://research.google/blog/turbo-an-improved-rainbow-colormap-for-visualization/.

    Args:
        depth: depth along z [m], (H, W), NaN where invalid.
        near: depth of the warmest colour [m]; all that is nearer has it, too.
        far: depth of the coldest colour [m]; all that is farther has it, too.

    Returns:
        (H, W, 3) uint8, BGR; black where invalid.

    Raises:
        ValueError: not 0 < near < far.
    """
    if not 0.0 < near < far:
        raise ValueError(f'near is {near} m and far {far} m, must be 0 < near < far')
    with np.errstate(divide='ignore', invalid='ignore'):
        nearness = (1.0 / depth - 1.0 / far) / (1.0 / near - 1.0 / far)
    levels = np.rint(np.clip(np.nan_to_num(nearness), 0.0, 1.0) * 255.0).astype(np.uint8)
    picture = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), np.uint8)
    picture[~np.isfinite(depth)] = 0
    return picture
