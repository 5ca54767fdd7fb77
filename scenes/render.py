# SPDX-License-Identifier: Apache-2.0
"""Render a room by ray casting: photo, exact depth along z, distances to the nearest surface.

Every ray is intersected analytically; light is Lambert's law from each lamp, with shadow rays, and
an ambient part. The depth is that of the ray through the pixel's centre: no rasterisation, no
interpolation.
"""

from dataclasses import dataclass, replace

import numpy as np

from scenes.casting import cast, nearest_surface
from scenes.rooms import Room


@dataclass(frozen=True)
class View:
    """A camera in a room; pixel (u, v) sees along ((u - cx) / fx, (v - cy) / fy, 1)."""

    width: int
    height: int
    fx: float  # px
    fy: float  # px
    cx: float  # px
    cy: float  # px
    position: np.ndarray  # (3,) m, in the room
    room_from_camera: np.ndarray  # (3, 3) rotation
    exposure: float = 1.0  # of a photo that is exposed for its mean
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: float = 0.0  # standard deviation, in grey levels out of 255
    noise_seed: int = 0

    def resized(self, width: int, height: int) -> 'View':
        """Return the view in another size of image, pixel areas scaled as cv2.resize does."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def intrinsics(self) -> tuple[float, float, float, float]:
        """Return fx, fy, cx and cy [px]."""
        return self.fx, self.fy, self.cx, self.cy


@dataclass(frozen=True)
class Rendering:
    """The picture and depth of a view."""

    rgb: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32 m, along z


def _spans(room: Room, view: View) -> np.ndarray:
    """Return the pixels (P, 4) that primitives can cover: first and last column, then row."""
    s = room.shapes
    signs = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
    corner = signs[None] * s[:, None, 3:6]  # (P, 8, 3): every primitive lies within its box
    c, q = s[:, None, 6], s[:, None, 7]
    x = c * corner[..., 0] - q * corner[..., 1] + s[:, None, 0]
    y = q * corner[..., 0] + c * corner[..., 1] + s[:, None, 1]
    world = np.stack([x, y, corner[..., 2] + s[:, None, 2]], -1)
    camera = (world - view.position) @ view.room_from_camera
    z = np.maximum(camera[..., 2], 0.05)
    u = camera[..., 0] / z * view.fx + view.cx
    v = camera[..., 1] / z * view.fy + view.cy
    spans = np.stack([u.min(1) - 1, u.max(1) + 1, v.min(1) - 1, v.max(1) + 1], 1)
    near = camera[..., 2].min(1) < 0.05
    spans[near] = (-1e9, 1e9, -1e9, 1e9)
    spans[camera[..., 2].max(1) < 0.05] = (1e9, -1e9, 1e9, -1e9)
    return spans


def _trace(room: Room, view: View, rgb: np.ndarray, depth: np.ndarray, samples: int) -> None:
    bounds = np.sum(room.shapes[:, 3:6] ** 2, 1)
    cast(
        view.width, view.height, view.intrinsics(), view.position, view.room_from_camera, room.size,
        room.kinds, room.shapes, bounds, _spans(room, view), room.materials_of,
        room.materials, room.lights, room.ambient, samples,
        view.width / view.fx / 640, rgb, depth,
    )  # fmt: skip


def render_depth(room: Room, view: View) -> np.ndarray:
    """Render only the depth along z, (H, W) float32 [m]."""
    depth = np.empty((view.height, view.width), np.float32)
    _trace(room, view, np.empty((0, 0, 3), np.float32), depth, 1)
    return depth


def render(room: Room, view: View, samples: int = 1) -> Rendering:
    """Render photo and depth of a view, with samples x samples colours a pixel.

    The photo is exposed for its mean and gamma-coded (2.2), and has the view's exposure change,
    tint and noise. Textures are resolved as by a camera of 640 columns, whatever the view's size,
    so that a small view looks like a large one scaled down by cv2.INTER_CUBIC, which does not
    smooth.
    """
    rgb = np.zeros((view.height, view.width, 3), np.float32)
    depth = np.empty((view.height, view.width), np.float32)
    _trace(room, view, rgb, depth, samples)
    rgb *= np.float32(0.3 * view.exposure / max(float(rgb.mean()), 1e-6))
    rgb *= np.array(view.tint, np.float32)
    np.power(rgb / (1 + 0.25 * rgb), np.float32(1 / 2.2), out=rgb)
    rgb *= 255
    if view.noise > 0:
        rng = np.random.default_rng([view.noise_seed, 3])
        rgb += view.noise * rng.standard_normal(rgb.shape, np.float32)
    return Rendering(np.clip(rgb + 0.5, 0, 255).astype(np.uint8), depth)


def distance_to_surface(room: Room, view: View, points: np.ndarray) -> np.ndarray:
    """Unsigned distance (...,) [m] of points (..., 3) [m], camera frame, to the nearest surface.

    Surfaces are the room's floor, ceiling and walls, and every primitive's; signed distances after
    Inigo Quilez, "Distance functions", https://iquilezles.org/articles/distfunctions/.
    """
    world = np.asarray(points, float).reshape(-1, 3) @ view.room_from_camera.T + view.position
    distances = nearest_surface(world, room.size, room.kinds, room.shapes)
    return distances.reshape(np.shape(points)[:-1])
