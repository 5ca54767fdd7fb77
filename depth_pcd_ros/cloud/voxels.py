# SPDX-License-Identifier: Apache-2.0
"""Points merged into one for each cube of a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import Floats, Rgb, check_shapes, floats_per_point, rows_of
from depth_pcd_ros.geometry.camera import Planes
from depth_pcd_ros.kernels import FLOAT, INT, inner, kernel, readonly, writable
from depth_pcd_ros.memory import Buffer

Uint32s = npt.NDArray[np.uint32]
Uint64s = npt.NDArray[np.uint64]

_INITIAL_ROOM = 2**14  # cubes
_LONGEST_RUN = 8192  # pixels


class VoxelGrid:
    """Merges the points of one picture after another; its memory grows to what they need."""

    def __init__(self) -> None:
        self._make_room(_INITIAL_ROOM)

    def means(
        self,
        depth: Floats,
        rays: Planes,
        rgb: Rgb | None,
        size: float,
        memory: Buffer | None = None,
    ) -> Floats:
        """Unproject, and merge the points in each cube of a fixed grid into their mean.

        The cubes are centred at the multiples of `size`. Neighbouring pixels mostly share a cube:
        the runs of pixels in a row that do are summed first, and a run's cube is looked for at the
        pixel above before it is looked up.

        Args:
            depth: depth along z [m], (H, W) float32, contiguous, NaN where invalid.
            rays: x / z and y / z of each pixel, as `Camera.ray_maps`.
            rgb: colours, (H, W, 3) uint8, or None for a cloud without.
            size: edge of the cubes [m].
            memory: where to put the points.

        Returns:
            x, y, z [m] and, with `rgb`, the packed colour, (N, 4) or (N, 3) float32: one point for
            each cube with at least one valid pixel, all finite, ordered by its first pixel.

        Raises:
            ValueError: the shapes do not fit each other.
        """
        check_shapes(depth, rays, rgb)
        rows = rows_of(rgb)
        inverse = np.float32(1.0 / size)
        while True:
            count = _sum_cubes(
                depth, *rays, rows, inverse, self._slots, self._cubes, self._sums, self._counts
            )
            if count >= 0:
                break
            self._make_room(2 * len(self._cubes))
        points = (memory or Buffer()).array((count, floats_per_point(rgb)), np.float32)
        _divide(self._sums, self._counts, points)
        return points

    def _make_room(self, cubes: int) -> None:
        """Make room for so many cubes, a power of two; half of the slots stay empty at least."""
        self._slots = np.empty(2 * cubes, np.uint32)
        self._cubes = np.empty((cubes, 3), np.float32)
        self._sums = np.empty((cubes, 3), np.float64)
        self._counts = np.empty((cubes, 2), np.uint64)


@inner
def _find(slots: Uint32s, cubes: Floats, i: float, j: float, k: float) -> tuple[Any, Any]:
    """The cube with these indices, 0 if it is new; and the slot where it is, or belongs."""
    bits = np.uint32(np.int64(i)) * np.uint32(73856093)
    bits ^= np.uint32(np.int64(j)) * np.uint32(19349663)
    bits ^= np.uint32(np.int64(k)) * np.uint32(83492791)
    mask = np.uint32(slots.size - 1)
    slot = (bits ^ bits >> np.uint32(15)) & mask
    while True:
        cube = np.uintp(slots[slot])
        if cube == 0 or (cubes[cube, 0] == i and cubes[cube, 1] == j and cubes[cube, 2] == k):
            return cube, slot
        slot = (slot + np.uint32(1)) & mask


# Sums share a number of 64 bits: red, green and blue of a run 21 bits each, which hold the sum of
# 8224 pixels; of a cube, red and blue, green and the count 32 bits each, for 16 million pixels.
@kernel(
    readonly('float32', 2),
    readonly('float32', 2),
    readonly('float32', 2),
    readonly('uint8', 2),
    FLOAT,
    writable('uint32', 1),
    writable('float32', 2),
    writable('float64', 2),
    writable('uint64', 2),
    returns=INT,
)
def _sum_cubes(
    depth: Floats,
    x: Floats,
    y: Floats,
    rgb: Rgb,
    inverse: np.float32,
    slots: Uint32s,
    cubes: Floats,
    sums: npt.NDArray[np.float64],
    counts: Uint64s,
) -> int:
    """Sum up each cube, from index 1 on; return how many there are, or -1 if they do not fit."""
    height, width = depth.shape
    slots[:] = 0
    cubes[0] = np.nan  # of pixels without a cube
    last = np.uint32(0)
    one = np.uintp(1)  # unsigned, so that no index is looked at for its sign
    row_y = np.empty(width, np.float32)
    px, py = np.empty(width, np.float32), np.empty(width, np.float32)
    ix, iy, iz = (
        np.empty(width, np.float32),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
    colours = np.zeros(width, np.uint64)
    bits = np.uint64(2**21 - 1)
    changes = np.zeros(width, np.uint8)
    begins = np.empty(width + 1, np.int32)
    above = np.zeros(width, np.uint32)  # the cube of each pixel of the row before
    for v in range(height):
        z, row_x = depth[v], x[min(v, x.shape[0] - 1)]
        if y.shape[1] == width:
            row_y[:] = y[v]
        else:
            row_y[:] = y[v, 0]
        for u in range(width):
            px[u], py[u] = row_x[u] * z[u], row_y[u] * z[u]
            ix[u], iy[u], iz[u] = (
                np.rint(px[u] * inverse),
                np.rint(py[u] * inverse),
                np.rint(z[u] * inverse),
            )
        if rgb.size:
            bytes_ = rgb[v]
            for u in range(width):
                r, g, b = bytes_[3 * u], bytes_[3 * u + 1], bytes_[3 * u + 2]
                colours[u] = (
                    np.uint64(r) | np.uint64(g) << np.uint64(21) | np.uint64(b) << np.uint64(42)
                )
        for u in range(1, width):  # every NaN is a change, too
            changes[u] = (ix[u] != ix[u - 1]) | (iy[u] != iy[u - 1]) | (iz[u] != iz[u - 1])
        changes[::_LONGEST_RUN] = 1
        runs = np.uintp(0)
        for u in range(width):  # without a branch, which would be mispredicted at every run
            begins[runs] = u
            runs += np.uintp(changes[u])
        begins[runs] = width
        for run in range(runs):
            begin, end = np.uintp(begins[run]), np.uintp(begins[run + one])
            i, j, k = ix[begin], iy[begin], iz[begin]
            if k != k:
                for u in range(begin, end):
                    above[u] = 0
                continue
            sx, sy, sz = px[begin], py[begin], z[begin]
            rgb_sum = colours[begin]
            for u in range(begin + one, end):
                sx += px[u]
                sy += py[u]
                sz += z[u]
                rgb_sum += colours[u]
            cube = np.uintp(above[(begin + end) // np.uintp(2)])  # the ends are less alike
            if not ((cubes[cube, 0] == i) & (cubes[cube, 1] == j) & (cubes[cube, 2] == k)):
                cube, slot = _find(slots, cubes, i, j, k)
                if cube == 0:
                    last += np.uint32(1)
                    if last == len(cubes):
                        return -1
                    slots[slot] = last
                    cube = np.uintp(last)
                    cubes[cube, 0], cubes[cube, 1], cubes[cube, 2] = i, j, k
                    sums[cube] = 0.0
                    counts[cube] = 0
            for u in range(begin, end):
                above[u] = cube
            sums[cube, 0] += sx
            sums[cube, 1] += sy
            sums[cube, 2] += sz
            green = rgb_sum >> np.uint64(21) & bits
            counts[cube, 0] += rgb_sum & bits | rgb_sum >> np.uint64(42) << np.uint64(32)
            counts[cube, 1] += green | np.uint64(end - begin) << np.uint64(32)
    return int(last)


@kernel(writable('float64', 2), writable('uint64', 2), writable('float32', 2))
def _divide(sums: npt.NDArray[np.float64], counts: Uint64s, points: Floats) -> None:
    """Means of the cubes from index 1 on; a colour rounded to even, packed into the bits."""
    colour = np.empty(1, np.uint32)
    bits = colour.view(np.float32)
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    for i in range(len(points)):
        total, red_blue, green_one = sums[i + 1], counts[i + 1, 0], counts[i + 1, 1]
        share = 1.0 / np.float64(green_one >> half)
        for axis in range(3):
            points[i, axis] = total[axis] * share
        if points.shape[1] == 4:
            r = np.uint32(np.rint(np.float64(red_blue & low) * share))
            g = np.uint32(np.rint(np.float64(green_one & low) * share))
            b = np.uint32(np.rint(np.float64(red_blue >> half) * share))
            colour[0] = r << np.uint32(16) | g << np.uint32(8) | b
            points[i, 3] = bits[0]
