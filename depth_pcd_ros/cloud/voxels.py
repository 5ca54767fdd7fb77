# SPDX-License-Identifier: Apache-2.0
"""Voxel grid: merge the points in each cube of a grid into one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.cloud.unproject import Floats, Rgb, check_shapes, colours_of, floats_per_point
from depth_pcd_ros.geometry.camera import Planes
from depth_pcd_ros.kernels import COLOURS, DEPTH, FLOAT, INT, RAYS, RGB, inner, kernel, writable
from depth_pcd_ros.memory import Buffer

_INITIAL_ROOM = 2**14  # cubes
_NO_COLOURS = np.empty((0, 0), RGB)
_INDICES, _SUMS = ('i', 'j', 'k'), ('x', 'y', 'z', 'r', 'g', 'b', 'count')
# A cube is at (i, j, k) times its edge; x, y, z, r, g and b are sums over its `count` points.
_CUBE = np.dtype([(n, np.float32) for n in _INDICES] + [(n, np.float64) for n in _SUMS], align=True)


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

        The cubes are centred at the multiples of `size`.

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
        colours = _NO_COLOURS if rgb is None else colours_of(rgb)
        inverse = np.float32(1.0 / size)
        while (count := _sum_up(depth, *rays, colours, inverse, self._slots, self._cubes)) < 0:
            self._make_room(2 * len(self._cubes))
        cubes = self._cubes[1 : count + 1]
        points = (memory or Buffer()).array((count, floats_per_point(rgb)), np.float32)
        share = 1.0 / cubes['count']
        for axis, name in enumerate('xyz'):
            points[:, axis] = cubes[name] * share
        if rgb is not None:
            r, g, b = (np.rint(cubes[name] * share).astype(np.uint32) for name in 'rgb')
            points.view(np.uint32)[:, 3] = r << 16 | g << 8 | b
        return points

    def _make_room(self, cubes: int) -> None:
        self._slots = np.empty(2 * cubes, np.uint32)  # a hash table, half empty at least
        self._cubes = np.empty(cubes, _CUBE)


@inner
def _slot_of(i: float, j: float, k: float, slots: Any, cubes: Any) -> Any:
    """Find the slot that holds the index of a cube, or 0 where the cube is new."""
    bits = np.int64(i) * 73856093 ^ np.int64(j) * 19349663 ^ np.int64(k) * 83492791
    slot = (bits ^ bits >> 15) % len(slots)
    while slots[slot] != 0:
        cube = cubes[slots[slot]]
        if cube.i == i and cube.j == j and cube.k == k:
            break
        slot = (slot + 1) % len(slots)
    return slot


@kernel(DEPTH, RAYS, RAYS, COLOURS, FLOAT, writable(np.uint32, 1), writable(_CUBE, 1), returns=INT)
def _sum_up(
    depth: Floats,
    x: Floats,
    y: Floats,
    rgb: Any,
    inverse: np.float32,
    slots: npt.NDArray[np.uint32],
    cubes: Any,
) -> int:
    """Sum up each cube, from index 1 on; return how many there are, or -1 if they do not fit."""
    height, width = depth.shape
    slots[:] = 0
    count = 0
    cube = cubes[0]  # of the pixel before
    cube.i = np.nan  # none
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            if z != z:
                continue
            px, py = x[v, u] * z, y[v, u] * z
            i, j, k = np.rint(px * inverse), np.rint(py * inverse), np.rint(z * inverse)
            if cube.i != i or cube.j != j or cube.k != k:
                slot = _slot_of(i, j, k, slots, cubes)
                if slots[slot] == 0:
                    count += 1
                    if count == len(cubes):
                        return -1
                    slots[slot] = count
                    cube = cubes[count]
                    cube.i, cube.j, cube.k = i, j, k
                    cube.x = cube.y = cube.z = cube.r = cube.g = cube.b = cube.count = 0.0
                cube = cubes[slots[slot]]
            cube.x += px
            cube.y += py
            cube.z += z
            if rgb.size:
                colour = rgb[v, u]
                cube.r += colour.r
                cube.g += colour.g
                cube.b += colour.b
            cube.count += 1.0
    return count
