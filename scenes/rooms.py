# SPDX-License-Identifier: Apache-2.0
"""Random furnished rooms, made of boxes, upright cylinders and spheres of usual sizes.

World frame: z up, floor at z = 0, one corner of the room at the origin; metres throughout.
"""

from dataclasses import dataclass

import numpy as np

from scenes import textures
from scenes.textures import material

BOX, CYLINDER, SPHERE = range(3)
FLOOR, CEILING, WALLS, SKIRTING = range(4)  # the first materials of every room
SKIRTING_HEIGHT = 0.1  # m


@dataclass(frozen=True)
class Room:
    """A room and all that is in it."""

    seed: int
    size: np.ndarray  # (3,) m: x, y and height
    kinds: np.ndarray  # (P,) int64: BOX, CYLINDER or SPHERE
    shapes: (
        np.ndarray
    )  # (P, 8) m: centre, half sizes (or radius, radius, half height), cos, sin of yaw
    materials_of: np.ndarray  # (P,) int64: row of `materials`
    materials: np.ndarray  # (M, MATERIAL_SIZE)
    lights: np.ndarray  # (L, 4): position [m], power
    ambient: float
    footprints: np.ndarray  # (F, 4) m: x0, y0, x1, y1 of what stands on the floor


class Builder:
    """Collects the primitives of a room; `place` finds a free spot for a piece of furniture."""

    def __init__(self, rng: np.random.Generator, size: np.ndarray) -> None:
        self.rng = rng
        self.size = size
        self.kinds: list[int] = []
        self.shapes: list[tuple[float, ...]] = []
        self.materials_of: list[int] = []
        self.materials: list[np.ndarray] = []
        self.footprints: list[tuple[float, float, float, float]] = []
        self.frame = (0.0, 0.0, 1.0, 0.0)  # x, y, cos, sin: where the piece being built stands

    def paint(self, kind: int, *args: object, **kwargs: object) -> int:
        """Add a material; return its number."""
        seed = int(self.rng.integers(1, 1 << 20))
        self.materials.append(material(kind, *args, seed=seed, **kwargs))  # type: ignore[arg-type]
        return len(self.materials) - 1

    def colour(self, low: float = 0.05, high: float = 0.8, strength: float = 0.5) -> np.ndarray:
        """Choose a random linear colour (3,) of a brightness, more or less saturated."""
        grey = self.rng.uniform(low, high)
        return np.clip(grey * (1 + strength * self.rng.uniform(-1, 1, 3)), 0.01, 0.95)

    def wood(self) -> int:
        """Add a random furniture surface; return its material's number."""
        if self.rng.random() < 0.6:
            brown = np.array([0.45, 0.26, 0.13]) * self.rng.uniform(0.3, 1.6)
            return self.paint(textures.WOOD, brown, brown * 0.65)
        colour = self.colour(0.1, 0.8, 0.25)
        return self.paint(textures.PLASTER, colour, colour * 0.8, grain=0.1)

    def fabric(self) -> int:
        """Add a random cloth; return its material's number."""
        colour = self.colour(0.05, 0.5)
        return self.paint(textures.CARPET, colour, colour * 0.7, grain=0.03)

    def add(self, kind: int, centre: tuple, half: tuple, mat: int, turn: float = 0.0) -> None:
        """Add a primitive, in the frame of the piece being built."""
        x, y, c, s = self.frame
        a, b, z = centre
        ct, st = np.cos(turn), np.sin(turn)
        position = (x + c * a - s * b, y + s * a + c * b, z)
        self.kinds.append(kind)
        self.shapes.append((*position, *half, c * ct - s * st, s * ct + c * st))
        self.materials_of.append(mat)

    def box(self, low: tuple, high: tuple, mat: int) -> None:
        """Add a box between two corners."""
        centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
        half = tuple((b - a) / 2 for a, b in zip(low, high, strict=True))
        self.add(BOX, centre, half, mat)

    def cylinder(
        self, radius: float, low: float, high: float, mat: int, at: tuple = (0, 0)
    ) -> None:
        """Add an upright cylinder."""
        self.add(CYLINDER, (*at, (low + high) / 2), (radius, radius, (high - low) / 2), mat)

    def sphere(self, radius: float, height: float, mat: int) -> None:
        """Add a sphere whose centre is at a height."""
        self.add(SPHERE, (0, 0, height), (radius, radius, radius), mat)

    def on_wall(self, width: float) -> None:
        """Go to a random place of a random wall: x runs along the wall, y into the room."""
        wall = self.rng.integers(4)
        length = self.size[wall % 2]
        at = self.rng.uniform(width / 2 + 0.05, max(length - width / 2 - 0.05, width / 2 + 0.06))
        x, y = self.size[:2]
        self.frame = [
            (at, 0.0, 1.0, 0.0),
            (x, at, 0.0, 1.0),
            (at, y, -1.0, 0.0),
            (0.0, at, 0.0, -1.0),
        ][wall]

    def place(self, width: float, depth: float, by_wall: bool) -> bool:
        """Find a free spot of a width and depth; return False where there is none left."""
        for _ in range(12):
            if by_wall:
                self.on_wall(width)
                x, y, c, s = self.frame
                gap = depth / 2 + 0.02
                x, y = x - s * gap, y + c * gap
            else:
                x, y = self.rng.uniform(0.5, self.size[:2] - 0.5)
                turn = self.rng.uniform(0, 2 * np.pi)
                c, s = np.cos(turn), np.sin(turn)
            half = abs(c) * width / 2 + abs(s) * depth / 2, abs(s) * width / 2 + abs(c) * depth / 2
            spot = (x - half[0], y - half[1], x + half[0], y + half[1])
            inside = min(spot[:2]) > 0 and spot[2] < self.size[0] and spot[3] < self.size[1]
            if inside and not any(_overlap(spot, other, 0.05) for other in self.footprints):
                self.footprints.append(spot)
                self.frame = (x, y, c, s)
                return True
        return False


def _overlap(a: tuple, b: tuple, margin: float) -> bool:
    return (
        a[0] < b[2] + margin
        and b[0] < a[2] + margin
        and a[1] < b[3] + margin
        and b[1] < a[3] + margin
    )
