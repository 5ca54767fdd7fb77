# SPDX-License-Identifier: Apache-2.0
"""Pieces of furniture at their usual sizes [m], and the rooms that they fill: `make_room`.

A piece is a function of the builder: it finds a free spot, and adds its primitives there. In its
frame, x runs along its front, y from back to front, and (0, 0) is the middle of its footprint.
"""

import numpy as np

from scenes import textures
from scenes.rooms import Builder, Room


def cupboard(b: Builder) -> None:
    """Build a cupboard of a person's height, or a sideboard."""
    tall = b.rng.random() < 0.5
    w, d = b.rng.uniform(0.8, 1.6), b.rng.uniform(0.4, 0.6)
    h = b.rng.uniform(1.8, 2.1) if tall else b.rng.uniform(0.75, 0.9)
    if b.place(w, d, True):
        colour = b.colour(0.15, 0.8, 0.3)
        mat = b.paint(textures.PANELS, colour, colour * 0.3, grain=w / 2)
        b.box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), mat)


def shelf(b: Builder) -> None:
    """Build a bookshelf."""
    w, d, h = b.rng.uniform(0.8, 1.2), 0.3, b.rng.uniform(1.75, 2.0)
    if not b.place(w, d, True):
        return
    mat = b.wood()
    x, y = w / 2, d / 2
    b.box((-x, -y, 0), (x, -y + 0.02, h), mat)
    b.box((-x, -y, 0), (-x + 0.03, y, h), mat)
    b.box((x - 0.03, -y, 0), (x, y, h), mat)
    books = b.paint(textures.BOOKS, b.colour(), b.colour(), grain=0.045)
    step = (h - 0.1) / 5
    for i in range(6):
        z = 0.07 + i * step
        b.box((-x, -y, z), (x, y, z + 0.03), mat)
        if i < 5 and b.rng.random() < 0.7:
            right = b.rng.uniform(-0.1, x - 0.04)
            b.box((-x + 0.03, -y, z + 0.03), (right, y - 0.06, z + 0.25), books)


def table(b: Builder) -> None:
    """Build a table or desk with four legs, and perhaps a thing on it."""
    w, d, h = b.rng.uniform(1.2, 1.8), b.rng.uniform(0.7, 0.9), b.rng.uniform(0.72, 0.76)
    if not b.place(w, d, b.rng.random() < 0.6):
        return
    mat = b.wood()
    b.box((-w / 2, -d / 2, h - 0.03), (w / 2, d / 2, h), mat)
    for x in (-w / 2, w / 2 - 0.06):
        for y in (-d / 2, d / 2 - 0.06):
            b.box((x, y, 0), (x + 0.06, y + 0.06, h - 0.03), mat)
    if b.rng.random() < 0.5:
        screen = b.paint(textures.PLAIN, np.full(3, 0.03))
        b.box((-0.27, -0.03, h + 0.1), (0.27, 0.0, h + 0.44), screen)
        b.box((-0.1, -0.06, h), (0.1, 0.06, h + 0.1), screen)


def chair(b: Builder) -> None:
    """Build a chair with four legs and a back."""
    if not b.place(0.45, 0.45, False):
        return
    mat, seat = b.wood(), b.fabric()
    b.box((-0.22, -0.22, 0.42), (0.22, 0.22, 0.47), seat)
    b.box((-0.22, -0.22, 0.47), (0.22, -0.18, 0.9), seat)
    for x in (-0.22, 0.18):
        for y in (-0.22, 0.18):
            b.box((x, y, 0), (x + 0.04, y + 0.04, 0.42), mat)


def sofa(b: Builder) -> None:
    """Build a sofa with a back and two arms."""
    w = b.rng.uniform(1.6, 2.1)
    if not b.place(w, 0.88, True):
        return
    mat = b.fabric()
    b.box((-w / 2, -0.44, 0), (w / 2, 0.44, 0.42), mat)
    b.box((-w / 2, -0.44, 0.42), (w / 2, -0.22, 0.85), mat)
    for x in (-w / 2, w / 2 - 0.18):
        b.box((x, -0.44, 0.42), (x + 0.18, 0.44, 0.62), mat)


def bed(b: Builder) -> None:
    """Build a bed with a pillow end."""
    w = b.rng.uniform(0.9, 1.6)
    if not b.place(w, 2.0, True):
        return
    b.box((-w / 2, -1.0, 0), (w / 2, 1.0, 0.3), b.wood())
    b.box((-w / 2 + 0.02, -0.98, 0.3), (w / 2 - 0.02, 0.98, 0.5), b.fabric())
    b.box((-w / 2, -1.0, 0.3), (w / 2, -0.96, 0.95), b.wood())


def crate(b: Builder) -> None:
    """Build a cardboard box, perhaps with a smaller one on it."""
    w, d, h = b.rng.uniform(0.3, 0.6, 3)
    if not b.place(w, d, b.rng.random() < 0.3):
        return
    brown = np.array([0.5, 0.33, 0.18]) * b.rng.uniform(0.6, 1.3)
    colour = brown if b.rng.random() < 0.6 else b.colour()
    mat = b.paint(textures.PANELS, colour, colour * 0.6, grain=2.0)
    b.box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), mat)
    if b.rng.random() < 0.4:
        b.box((-w / 3, -d / 3, h), (w / 3, d / 3, h + b.rng.uniform(0.15, 0.3)), mat)


def round_thing(b: Builder) -> None:
    """Build a bin, a stool, a football, a gym ball, a plant or a floor lamp."""
    which = b.rng.integers(6)
    if not b.place(0.65, 0.65, b.rng.random() < 0.3):
        return
    colour = b.colour(0.1, 0.7, 0.7)
    if which == 0:
        b.cylinder(0.15, 0, 0.4, b.paint(textures.STRIPES, colour, grain=0.06))
    elif which == 1:
        b.cylinder(0.18, 0.41, 0.45, b.wood())
        b.cylinder(0.04, 0, 0.41, b.wood())
    elif which == 2:
        b.sphere(
            0.11, 0.11, b.paint(textures.CHECKS, np.full(3, 0.8), np.full(3, 0.05), grain=0.08)
        )
    elif which == 3:
        b.sphere(0.325, 0.325, b.paint(textures.STRIPES, colour, colour * 0.7, grain=0.05))
    elif which == 4:
        b.cylinder(0.16, 0, 0.3, b.paint(textures.PLASTER, colour, grain=0.05))
        green = np.array([0.08, 0.25, 0.05])
        b.sphere(0.3, 0.62, b.paint(textures.CARPET, green, green * 0.3, grain=0.06))
    else:
        metal = b.paint(textures.PLAIN, np.full(3, 0.1))
        b.cylinder(0.14, 0, 0.02, metal)
        b.cylinder(0.015, 0, 1.45, metal)
        b.cylinder(0.18, 1.4, 1.65, b.paint(textures.PLAIN, np.array([0.9, 0.8, 0.6])))


def column(b: Builder) -> None:
    """Build a column from the floor to the ceiling."""
    radius = b.rng.uniform(0.15, 0.25)
    if b.place(2 * radius, 2 * radius, False):
        colour = b.colour(0.4, 0.8, 0.1)
        b.cylinder(radius, 0, b.size[2], b.paint(textures.PLASTER, colour, grain=0.2))


def rug(b: Builder) -> None:
    """Build a rug of 1 cm on the floor."""
    w, d = b.rng.uniform(1.2, 1.6), b.rng.uniform(1.7, 2.4)
    x, y = b.rng.uniform(1.3, np.maximum(b.size[:2] - 1.3, 1.4))
    b.frame = (x, y, 1.0, 0.0)
    kind = (textures.CARPET, textures.STRIPES, textures.CHECKS)[b.rng.integers(3)]
    mat = b.paint(kind, b.colour(), b.colour(), grain=0.04 if kind == textures.CARPET else 0.2)
    b.box((-w / 2, -d / 2, 0), (w / 2, d / 2, 0.01), mat)


def door(b: Builder) -> None:
    """Build a door with its frame."""
    w, h = b.rng.uniform(0.8, 0.9), b.rng.uniform(2.0, 2.1)
    if b.place(w + 0.16, 0.1, True):
        leaf, frame = b.colour(0.2, 0.8, 0.2), b.colour(0.3, 0.9, 0.1)
        rim = b.paint(textures.PLAIN, frame)
        x = w / 2
        b.box((-x, -0.07, 0), (x, -0.03, h), b.paint(textures.PANELS, leaf, leaf * 0.6, grain=5.0))
        b.box((-x - 0.07, -0.07, 0), (-x, -0.01, h + 0.07), rim)
        b.box((x, -0.07, 0), (x + 0.07, -0.01, h + 0.07), rim)
        b.box((-x, -0.07, h), (x, -0.01, h + 0.07), rim)
        b.box(
            (x - 0.15, -0.03, 1.02),
            (x - 0.04, 0.02, 1.06),
            b.paint(textures.PLAIN, np.full(3, 0.4)),
        )


def wall_thing(b: Builder) -> None:
    """Build a picture, a window or a radiator."""
    which = b.rng.integers(3)
    if which == 0:
        w, h = b.rng.uniform(0.4, 1.0, 2)
        b.on_wall(w)
        b.box((-w / 2, 0, 1.5 - h / 2), (w / 2, 0.02, 1.5 + h / 2), b.wood())
        mat = b.paint(textures.PLASTER, b.colour(), b.colour(), grain=0.15)
        b.box((-w / 2 + 0.04, 0, 1.54 - h / 2), (w / 2 - 0.04, 0.025, 1.46 + h / 2), mat)
    elif which == 1:
        w = b.rng.uniform(1.0, 1.8)
        b.on_wall(w)
        b.box((-w / 2, 0, 0.85), (w / 2, 0.04, 2.15), b.paint(textures.PLAIN, np.full(3, 0.7)))
        sky = np.array([0.75, 0.85, 0.95])
        b.box((-w / 2 + 0.06, 0, 0.91), (-0.03, 0.045, 2.09), b.paint(textures.PLASTER, sky))
        b.box((0.03, 0, 0.91), (w / 2 - 0.06, 0.045, 2.09), b.paint(textures.PLASTER, sky))
    elif b.place(1.0, 0.1, True):
        white = np.full(3, 0.75)
        b.box((-0.5, -0.05, 0.12), (0.5, 0.05, 0.72), b.paint(textures.STRIPES, white, grain=0.05))


def _surfaces(b: Builder) -> None:
    """Paint floor, ceiling, walls and skirting board, from rooms.FLOOR to rooms.SKIRTING."""
    floor = (textures.TILES, textures.BOARDS, textures.CARPET)[b.rng.integers(3)]
    if floor == textures.BOARDS:
        colour = np.array([0.45, 0.28, 0.15]) * b.rng.uniform(0.4, 1.5)
        b.paint(floor, colour, colour * 0.3, grain=0.12)
    else:
        colour = b.colour(0.12, 0.65, 0.25)
        b.paint(floor, colour, colour * 0.45, grain=0.3 if floor == textures.TILES else 0.03)
    white = b.colour(0.65, 0.9, 0.05)
    b.paint(textures.PLASTER, white, white * 0.9, grain=0.4)
    wall = b.colour(0.3, 0.85, 0.2)
    kind = b.rng.choice([textures.PLASTER, textures.BRICKS, textures.STRIPES], p=[0.7, 0.2, 0.1])
    if kind == textures.BRICKS:
        red = np.array([0.42, 0.17, 0.1]) * b.rng.uniform(0.6, 1.5)
        wall = red if b.rng.random() < 0.6 else wall
    second = b.colour(0.3, 0.6, 0.1) if kind == textures.BRICKS else wall * b.rng.uniform(0.7, 0.9)
    b.paint(int(kind), wall, second, grain=0.25)
    b.paint(textures.PLAIN, b.colour(0.05, 0.8, 0.15))


def make_room(seed: int) -> Room:
    """Build the furnished room of a seed, 4 to 9 m long."""
    rng = np.random.default_rng([seed, 1])
    size = np.array([rng.uniform(4, 7), rng.uniform(4.5, 9), rng.uniform(2.4, 2.8)])
    b = Builder(rng, size)
    _surfaces(b)
    for _ in range(rng.integers(1, 4)):
        door(b)
    area = size[0] * size[1]
    pieces = [cupboard, cupboard, shelf, table, sofa, bed, crate, crate, chair, chair, round_thing]
    pieces += [round_thing, column]
    for _ in range(int(area * rng.uniform(0.2, 0.45))):
        pieces[rng.integers(len(pieces))](b)
    for _ in range(rng.integers(2, 7)):
        wall_thing(b)
    if rng.random() < 0.4:
        rug(b)
    count = rng.integers(1, 3)
    spots = rng.uniform(0.8, np.maximum(size[:2] - 0.8, 0.9), (count, 2))
    heights = rng.uniform(size[2] - 0.5, size[2] - 0.1, (count, 1))
    power = rng.uniform(0.5, 1.0, (count, 1))
    return Room(
        seed=seed,
        size=size,
        kinds=np.array(b.kinds, np.int64),
        shapes=np.array(b.shapes, np.float64),
        materials_of=np.array(b.materials_of, np.int64),
        materials=np.array(b.materials, np.float32),
        lights=np.concatenate([spots, heights, power], 1),
        ambient=float(rng.uniform(0.15, 0.4)),
        footprints=np.array(b.footprints, np.float64).reshape(-1, 4),
    )
