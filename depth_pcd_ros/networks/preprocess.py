# SPDX-License-Identifier: Apache-2.0
"""Resize a picture as cv2 does, cubically and in floating point, and normalise it. No torch."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.kernels import kernel, readonly, writable

Floats = npt.NDArray[np.float32]
Taps = tuple[npt.NDArray[np.int32], Floats]
_TAPS = (readonly('int32', 2), readonly('float32', 2))


def resize_normalised(
    rgb: npt.NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...], out: Floats
) -> None:
    """Fill `out`, (3, h, w) float32, with (picture / 255 - mean) / std, resized to h x w.

    Args:
        rgb: (H, W, 3) uint8, any strides.
        mean: of each channel, 0 to 1.
        std: of each channel.
        out: contiguous; where to put it.
    """
    scale, shift = scale_and_shift(mean, std)
    wide = np.empty((3, rgb.shape[0], out.shape[2]), np.float32)
    _across(np.ascontiguousarray(rgb), *cubic_taps(out.shape[2], rgb.shape[1]), scale, shift, wide)
    _down(wide, *cubic_taps(out.shape[1], rgb.shape[0]), out)


def scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return the scale and shift (3,) with which (x / 255 - mean) / std is x scale + shift."""
    mean_, std_ = np.array(mean), np.array(std)
    return (1.0 / (255.0 * std_)).astype(np.float32), (-mean_ / std_).astype(np.float32)


@functools.lru_cache(maxsize=16)
def cubic_taps(count: int, source_count: int) -> Taps:
    """Find the four pixels of a row that each pixel of the resized row is mixed of, and how much.

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


@kernel(
    readonly('uint8', 3),
    *_TAPS,
    readonly('float32', 1),
    readonly('float32', 1),
    writable('float32', 3),
)
def _across(
    rgb: npt.NDArray[np.uint8],
    indices: npt.NDArray[np.int32],
    weights: Floats,
    scale: Floats,
    shift: Floats,
    out: Floats,
) -> None:
    """(H, W, 3) to normalised channels (3, H, w)."""
    for v in range(out.shape[1]):
        for u in range(out.shape[2]):
            a, b, c, d = indices[u]
            p, q, r, s = weights[u]
            for k in range(3):
                left = p * np.float32(rgb[v, a, k]) + q * np.float32(rgb[v, b, k])
                right = r * np.float32(rgb[v, c, k]) + s * np.float32(rgb[v, d, k])
                out[k, v, u] = (left + right) * scale[k] + shift[k]


@kernel(readonly('float32', 3), *_TAPS, writable('float32', 3))
def _down(x: Floats, indices: npt.NDArray[np.int32], weights: Floats, out: Floats) -> None:
    """(3, H, w) to (3, h, w)."""
    for k in range(3):
        for v in range(out.shape[1]):
            a, b, c, d = indices[v]
            p, q, r, s = weights[v]
            for u in range(out.shape[2]):
                out[k, v, u] = (p * x[k, a, u] + q * x[k, b, u]) + (r * x[k, c, u] + s * x[k, d, u])
