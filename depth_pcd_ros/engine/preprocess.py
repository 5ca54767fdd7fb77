# SPDX-License-Identifier: Apache-2.0
"""From a picture to what enters the network, for every engine. No torch."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.engine import EngineError

PATCH = 14  # side of a patch of the network [px]
# ImageNet's, which DINOv2 was trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def network_size(height: int, width: int, input_size: int) -> tuple[int, int]:
    """Return the height and width [px] at which a picture enters the network.

    The official rule: scaled to a short side of `input_size`, each side rounded to a multiple of
    14, halves to even. (Its lower bound never acts where `input_size` is a multiple of 14.)

    Raises:
        EngineError: `input_size` is not a positive multiple of 14.
    """
    check_input_size(input_size)
    scale = max(input_size / height, input_size / width)
    return round(scale * height / PATCH) * PATCH, round(scale * width / PATCH) * PATCH


def check_input_size(input_size: int) -> None:
    """Raise EngineError unless `input_size` is a positive multiple of 14."""
    if input_size <= 0 or input_size % PATCH:
        raise EngineError(f'input_size is {input_size} px, expected a positive multiple of 14')


def preprocess(rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Resize (cubic, in floating point, as the official code does) and normalise a picture.

    Args:
        rgb: (H, W, 3) uint8, RGB.
        size: height and width at the network [px].

    Returns:
        (1, 3, *size) float32.
    """
    # In float64, as the official code: float32 moves the sampling points of large pictures enough
    # to change the depth by a millimetre.
    resized = cv2.resize(rgb / 255.0, size[::-1], interpolation=cv2.INTER_CUBIC)
    normalised = (resized - MEAN) / STD
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], np.float32)
