# SPDX-License-Identifier: Apache-2.0
"""From a picture to what enters the network, for every engine. No torch."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.engine import EngineError
from depth_pcd_ros.kernels import FLOAT, kernel, readonly, writable

PATCH = 14  # side of a patch of the network [px]
# ImageNet's, which DINOv2 was trained with.
MEAN = np.array((0.485, 0.456, 0.406))
STD = np.array((0.229, 0.224, 0.225))
# (x / 255 - mean) / std is x scale + shift
_SCALE = (1.0 / (255.0 * STD)).astype(np.float32)
_SHIFT = (-MEAN / STD).astype(np.float32)
_SAME = (np.float32(1), np.float32(0))

# Most bytes of a strip of one channel, resized along its rows, that a thread works on. Larger ones
# leave the cache; with smaller ones the threads wait more often for Python's lock.
STRIP = 768 * 1024

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
    many pixels at once, then along its columns. That is done strip by strip, so that what is
    between stays in the cache, by two threads that each take the next strip that nobody has taken.
    Buffer is kept from picture to picture, so one thread at a time may use a preprocessor.
    """

    def __init__(self) -> None:
        self._for: tuple[tuple[int, ...], tuple[int, int]] | None = None
        self._helper = ThreadPoolExecutor(1, 'preprocess')

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
        strips = iter(self._strips)  # for both threads
        helping = self._helper.submit(self._rooms[1].resize, rgb, strips, out[0])
        self._rooms[0].resize(rgb, strips, out[0])
        if not helping.cancel():  # it has begun
            helping.result()
        return out

    def close(self) -> None:
        """End the second thread; without this, Python does, in a callback that swallows Ctrl-C."""
        self._helper.shutdown()

    def _make_room(self, shape: tuple[int, ...], size: tuple[int, int]) -> None:
        height, width = shape[:2]
        self._for = (shape, size)
        self._strips = _strips(height, size)
        self._rooms = [_Room(width, size[1], self._strips) for _ in range(2)]
        self._out = np.empty((1, 3, *size), np.float32)


class _Strip(NamedTuple):
    """Some rows of the result, and those of the picture they are made of."""

    rows: slice
    source: slice
    taps: Taps  # counted from the first row of `source`


def _strips(height: int, size: tuple[int, int]) -> list[_Strip]:
    indices, weights = cubic_taps(size[0], height)
    count = math.ceil(height * size[1] * 4 / STRIP)
    edges = [size[0] * i // count for i in range(count + 1)]
    strips = []
    for rows in itertools.starmap(slice, itertools.pairwise(edges)):
        first, last = indices[rows.start, 0], indices[rows.stop - 1, 3]
        taps = indices[rows] - first, weights[rows]
        strips.append(_Strip(rows, slice(first, last + 1), taps))
    return strips


class _Room:
    """What a thread needs to make a strip."""

    def __init__(self, width: int, new_width: int, strips: list[_Strip]) -> None:
        most = max(strip.source.stop - strip.source.start for strip in strips)
        self._taps = cubic_taps(new_width, width)
        self._widths = (width, new_width)
        self._planes = np.empty((3, most * width), np.uint8)
        self._turned = np.empty(most * width, np.uint8)
        self._wide, self._wide_rows = np.empty((2, most * new_width), np.float32)

    def resize(
        self, rgb: npt.NDArray[np.uint8], strips: Iterator[_Strip], out: npt.NDArray[np.float32]
    ) -> None:
        """Fill the rows of `strips` in `out`, (3, *size)."""
        width, new_width = self._widths
        for rows, source, taps in strips:
            n = source.stop - source.start
            planes = [plane[: n * width].reshape(n, width) for plane in self._planes]
            turned = self._turned[: n * width].reshape(width, n)
            wide = self._wide[: n * new_width].reshape(new_width, n)
            wide_rows = self._wide_rows[: n * new_width].reshape(n, new_width)
            cv2.split(rgb[source], planes)
            for plane, scale, shift, result in zip(planes, _SCALE, _SHIFT, out, strict=True):
                cv2.transpose(plane, turned)
                _mix_bytes(turned, *self._taps, scale, shift, wide)
                cv2.transpose(wide, wide_rows)
                _mix_floats(wide_rows, *taps, *_SAME, result[rows])


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


def _mix(
    source: npt.NDArray[Any],
    indices: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    scale: np.float32,
    shift: np.float32,
    out: npt.NDArray[np.float32],
) -> None:
    """Make each row of `out` of four rows of `source`; the weights of these sum up to 1."""
    for v in range(out.shape[0]):
        # unsigned, so that no index is looked at for its sign
        a, b, c, d = (
            np.uint32(indices[v, 0]),
            np.uint32(indices[v, 1]),
            np.uint32(indices[v, 2]),
            np.uint32(indices[v, 3]),
        )
        p, q = scale * weights[v, 0], scale * weights[v, 1]
        r, s = scale * weights[v, 2], scale * weights[v, 3]
        row = np.uint32(v)
        for u in range(np.uint32(out.shape[1])):
            out[row, u] = (p * np.float32(source[a, u]) + q * np.float32(source[b, u])) + (
                r * np.float32(source[c, u]) + s * np.float32(source[d, u]) + shift
            )


_TAPS = (readonly('int32', 2), readonly('float32', 2))
_mix_bytes = kernel(readonly('uint8', 2), *_TAPS, FLOAT, FLOAT, writable('float32', 2))(_mix)
_mix_floats = kernel(readonly('float32', 2), *_TAPS, FLOAT, FLOAT, writable('float32', 2))(_mix)
