# SPDX-License-Identifier: Apache-2.0
"""Procedural textures of known grain, evaluated at a surface point in metres.

The grain is that of real things (tiles of 0.3 m, boards of 0.12 m, bricks of 0.25 m by 0.075 m),
because it is one of the cues from which a distance can be read. Patterns fade to their mean where
they are finer than a pixel's footprint, as in a photo.
"""

import math

import numpy as np
from numba import njit

PLAIN, PLASTER, TILES, BOARDS, BRICKS, CARPET, CHECKS, STRIPES, WOOD, PANELS, BOOKS = range(11)

# A material is a row of float32: kind, grain [m], seed, two colours (rgb, linear light).
MATERIAL_SIZE = 9


def material(
    kind: int,
    colour: np.ndarray,
    second: np.ndarray | None = None,
    grain: float = 0.3,
    seed: int = 0,
) -> np.ndarray:
    """Make a material of a kind and two linear colours (3,), with a grain [m]: (MATERIAL_SIZE,)."""
    second = colour * 0.6 if second is None else second
    return np.array([kind, grain, seed, *colour, *second], np.float32)


@njit(cache=True, inline='always')
def _hash(x, y, seed):
    """Hash an integer cell to a number in [0, 1); constants of Knuth and of xxHash32."""
    h = (
        np.int64(x) * 374761393 + np.int64(y) * 668265263 + np.int64(seed) * 2246822519
    ) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    h = h ^ (h >> 16)
    return (h & 0xFFFF) / 65536.0


@njit(cache=True)
def _noise(u, v, seed):
    """Return smooth value noise of unit cells, in [0, 1)."""
    x = math.floor(u)
    y = math.floor(v)
    a = u - x
    b = v - y
    a = a * a * (3 - 2 * a)
    b = b * b * (3 - 2 * b)
    top = _hash(x, y, seed) * (1 - a) + _hash(x + 1, y, seed) * a
    bottom = _hash(x, y + 1, seed) * (1 - a) + _hash(x + 1, y + 1, seed) * a
    return top * (1 - b) + bottom * b


@njit(cache=True, inline='always')
def _line(offset, width, footprint):
    """Return how much of a pixel (footprint [m], off a line's middle) a line covers."""
    seen = max(width, footprint)
    return width / seen if abs(offset) < 0.5 * seen else 0.0


@njit(cache=True, inline='always')
def _fade(grain, footprint):
    """Return what is left of a pattern's contrast, 1 (coarse) to 0 (finer than the footprint)."""
    return min(1.0, 0.5 * grain / footprint)


@njit(cache=True)
def albedo(mat, u, v, footprint):
    """Return the linear colour (r, g, b) of a material at surface coordinates (u, v) [m]."""
    kind = int(mat[0])
    grain = mat[1]
    seed = int(mat[2])
    mix = 0.0
    shade = 1.0
    if kind == PLASTER:
        mix = (_noise(u / grain, v / grain, seed) - 0.5) * _fade(grain, footprint)
        mix += (_noise(u / 1.3, v / 1.3, seed + 1) - 0.5) * 0.7
        mix = max(0.0, mix)
    elif kind == TILES:
        x = math.floor(u / grain)
        y = math.floor(v / grain)
        mix = max(
            _line(u - (math.floor(u / grain + 0.5)) * grain, 0.012, footprint),
            _line(v - (math.floor(v / grain + 0.5)) * grain, 0.012, footprint),
        )
        shade = 1 + 0.25 * (_hash(x, y, seed) - 0.5) * _fade(grain, footprint)
        shade *= 1 + 0.15 * (_noise(u * 25, v * 25, seed) - 0.5) * _fade(0.04, footprint)
    elif kind == BOARDS:
        x = math.floor(u / grain)
        shifted = v / (10 * grain) + _hash(x, 7, seed)
        y = math.floor(shifted)
        mix = max(
            _line(u - math.floor(u / grain + 0.5) * grain, 0.006, footprint),
            _line((shifted - math.floor(shifted + 0.5)) * 10 * grain, 0.006, footprint),
        )
        shade = 1 + 0.5 * (_hash(x, y, seed) - 0.5) * _fade(grain, footprint)
        shade *= 1 + 0.3 * (_noise(u * 80, v * 4, seed) - 0.5) * _fade(0.0125, footprint)
    elif kind == BRICKS:
        row = math.floor(v / 0.075)
        shifted = u / 0.25 + 0.5 * (row % 2)
        x = math.floor(shifted)
        mix = max(
            _line(v - math.floor(v / 0.075 + 0.5) * 0.075, 0.012, footprint),
            _line((shifted - math.floor(shifted + 0.5)) * 0.25, 0.012, footprint),
        )
        shade = 1 + 0.5 * (_hash(x, row, seed) - 0.5) * _fade(0.15, footprint)
    elif kind == CARPET:
        mix = 0.5 + (_noise(u / grain, v / grain, seed) - 0.5) * _fade(grain, footprint)
        shade = 1 + 0.3 * (_noise(u / 0.25, v / 0.25, seed + 1) - 0.5)
    elif kind == CHECKS:
        parity = (math.floor(u / grain) + math.floor(v / grain)) % 2
        mix = 0.5 + (parity - 0.5) * _fade(grain, footprint)
    elif kind == STRIPES:
        mix = 0.5 + (math.floor(u / grain) % 2 - 0.5) * _fade(grain, footprint)
    elif kind == WOOD:
        mix = 0.5 + (_noise(u * 40, v * 3, seed) - 0.5) * _fade(0.025, footprint)
    elif kind == PANELS:
        mix = max(
            _line(u - math.floor(u / grain + 0.5) * grain, 0.01, footprint),
            _line(abs(abs(u) - 0.05) - 0.01, 0.012, footprint) if abs(v) < 0.08 else 0.0,
        )
        shade = 1 + 0.15 * (_noise(u * 30, v * 3, seed) - 0.5) * _fade(0.03, footprint)
    elif kind == BOOKS:
        x = math.floor(u / grain)
        strength = _fade(grain, footprint)
        shade = 1 + 0.9 * (_hash(x, 1, seed) - 0.5) * strength
        mix = 0.5 + (_hash(x, 2, seed) - 0.5) * strength
    r = (mat[3] + mix * (mat[6] - mat[3])) * shade
    g = (mat[4] + mix * (mat[7] - mat[4])) * shade
    b = (mat[5] + mix * (mat[8] - mat[5])) * shade
    return r, g, b
