# SPDX-License-Identifier: Apache-2.0
"""Checks of what enters and leaves a network, for every engine. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import FrameError

# The cost of attention grows with the square of the long side. No camera is wider than this, and
# a broken picture of, say, 2 x 4000 pixels would stall the node for hours.
MAX_ASPECT = 20


def check_pictures(pictures: Sequence[npt.NDArray[np.uint8]]) -> tuple[int, int]:
    """Return the height and width [px] that all pictures have.

    Raises:
        ValueError: one is not (H, W, 3) uint8, or their sizes differ.
        FrameError: `aspect_ratio` for pictures more than 20 times as long as wide.
    """
    for rgb in pictures:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise ValueError(f'rgb is {rgb.shape} {rgb.dtype}, expected (H, W, 3) uint8')
    shapes = sorted({rgb.shape for rgb in pictures})
    if len(shapes) != 1:
        raise ValueError(f'the pictures are {shapes}, expected at least one, and one size')
    height, width = shapes[0][:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise FrameError(
            'aspect_ratio',
            f'the image is {width}x{height} px, expected sides of at most {MAX_ASPECT}:1',
        )
    return height, width


def check_finite(depth: npt.NDArray[np.float32], precision: str) -> None:
    """Raise FrameError `network_not_finite` where a depth is not finite."""
    if not np.isfinite(depth).all():
        raise FrameError(
            'network_not_finite',
            f'the network gives NaN at {precision}; fp32 may help, or the weights are bad',
        )
