# SPDX-License-Identifier: Apache-2.0
"""From a picture to what enters the network, for every engine. No torch."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.engine import EngineError
from depth_pcd_ros.kernels import FLOAT, given, kernel, written

PATCH = 14  # side of a patch of the network [px]
# ImageNet's, which DINOv2 was trained with.
MEAN = np.array((0.485, 0.456, 0.406))
STD = np.array((0.229, 0.224, 0.225))
# (x / 255 - mean) / std is x scale + shift
_SCALE = 1.0 / (255.0 * STD)
_SHIFT = -MEAN / STD

Taps = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


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


class Preprocessor:
    """Resizes pictures (cubic, in floating point, as the official code does) and normalises them.

    A channel is resized along its rows, which needs it transposed for the processor to work on
    many pixels at once, then along its columns. Memory is kept from picture to picture, so one
    thread at a time may use a preprocessor.
    """

    def __init__(self) -> None:
        self._for: tuple[tuple[int, ...], tuple[int, int]] | None = None

    def __call__(
        self,
        rgb: npt.NDArray[np.uint8],
        size: tuple[int, int],
        out: npt.NDArray[np.float32] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Resize and normalise a picture.

        Args:
            rgb: (H, W, 3) uint8, RGB.
            size: height and width at the network [px].
            out: where to put it, (1, 3, *size) float32.

        Returns:
            (1, 3, *size) float32; without `out` it is overwritten by the next call.
        """
        if self._for != (rgb.shape, size):
            self._make_room(rgb.shape, size)
        if out is None:
            out = self._out
        cv2.split(rgb, self._planes)
        for channel, plane in enumerate(self._planes):
            cv2.transpose(plane, self._turned)
            _mix_bytes(self._turned, *cubic_taps(size[1], rgb.shape[1]), self._wide)
            cv2.transpose(self._wide, self._wide_rows)
            scale, shift = np.float32(_SCALE[channel]), np.float32(_SHIFT[channel])
            rows = cubic_taps(size[0], rgb.shape[0])
            _mix_floats(self._wide_rows, *rows, scale, shift, out[0, channel])
        return out

    def _make_room(self, shape: tuple[int, ...], size: tuple[int, int]) -> None:
        height, width = shape[:2]
        self._for = (shape, size)
        self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self._turned = np.empty((width, height), np.uint8)
        self._wide = np.empty((size[1], height), np.float32)
        self._wide_rows = np.empty((height, size[1]), np.float32)
        self._out = np.empty((1, 3, *size), np.float32)


@functools.lru_cache(maxsize=16)
def cubic_taps(count: int, source_count: int) -> Taps:
    """Which four pixels of a row each pixel of the resized row is mixed of, and how much of each.

    With Keys' cubic kernel (a = -0.75), half-pixel centres and the border repeated: what
    `cv2.resize` computes for float64 pictures, whose positions are float32. Exact positions (those
    of cv2 5 for float32 pictures) differ enough to move the depth of large pictures by 1.4 mm.

    Returns:
        Indices (count, 4) int32 and weights (count, 4) float32.
    """
    scale = source_count / count
    position = ((np.arange(count) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(position)
    t = position - first
    a = np.float32(-0.75)
    weights = np.empty((count, 4), np.float32)
    weights[:, 0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a
    weights[:, 1] = ((a + 2) * t - (a + 3)) * t * t + 1
    weights[:, 2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1
    weights[:, 3] = 1 - weights[:, 0] - weights[:, 1] - weights[:, 2]
    indices = first.astype(np.int32)[:, None] + np.arange(-1, 3, dtype=np.int32)
    return np.clip(indices, 0, source_count - 1).astype(np.int32), weights


@kernel(given('uint8', 2), given('int32', 2), given('float32', 2), written('float32', 2))
def _mix_bytes(
    source: npt.NDArray[np.uint8],
    indices: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    for v in range(out.shape[0]):
        row, mixed = indices[v], out[v]
        a, b, c, d = source[row[0]], source[row[1]], source[row[2]], source[row[3]]
        p, q, r, s = weights[v]
        for u in range(mixed.size):
            mixed[u] = (
                p * np.float32(a[u])
                + q * np.float32(b[u])
                + (r * np.float32(c[u]) + s * np.float32(d[u]))
            )


@kernel(
    given('float32', 2), given('int32', 2), given('float32', 2), FLOAT, FLOAT, written('float32', 2)
)
def _mix_floats(
    source: npt.NDArray[np.float32],
    indices: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    scale: np.float32,
    shift: np.float32,
    out: npt.NDArray[np.float32],
) -> None:
    for v in range(out.shape[0]):
        row, mixed = indices[v], out[v]
        a, b, c, d = source[row[0]], source[row[1]], source[row[2]], source[row[3]]
        p, q, r, s = weights[v]
        for u in range(mixed.size):
            mixed[u] = (p * a[u] + q * b[u] + (r * c[u] + s * d[u])) * scale + shift
