# SPDX-License-Identifier: Apache-2.0
"""Sequences of a robot's camera with exact depth and poses: a drive, and things that move in it.

The same seed gives the same sequence.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from depth_pcd_ros.geometry.camera import Camera
from scenes import EVALUATION_SEEDS
from scenes.furniture import make_room
from scenes.recording import drive
from scenes.render import View, render, render_depth
from scenes.rooms import BOX, Room

Thing = Callable[[float], np.ndarray]  # its place at a time [s]: (8,) as a row of `Room.shapes`
RATE = 15.0  # Hz
BOX_SIZE, PERSON_SIZE = (0.5, 0.5, 0.5), (0.5, 0.4, 1.75)  # m


@dataclasses.dataclass(frozen=True, eq=False)
class Shot:
    """One picture of a sequence.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: along z [m], (H, W) float32, exact.
        moves: which pixels show what moves, (H, W) bool.
        camera: the model of these pixels.
        stamp_ns: when it was taken.
        world_from_camera: x y z [m], qx qy qz qw.
    """

    rgb: np.ndarray
    depth: np.ndarray
    moves: np.ndarray
    camera: Camera
    stamp_ns: int
    world_from_camera: tuple[float, ...]


def views(frames: int, width: int, height: int, index: int = 0) -> tuple[Room, list[View]]:
    """A room and a drive in a curve through it, the `index`-th that has place for one."""
    for seed in EVALUATION_SEEDS:
        room = make_room(seed)
        try:
            found = drive(room, seed, frames, RATE, width, height)
        except ValueError:
            continue
        if not index:
            return room, found
        index -= 1
    raise ValueError(f'no room has place for {frames} frames')


def shoot(room: Room, along: list[View], thing: Thing | None = None) -> list[Shot]:
    """Render the views, with a box that moves."""
    shots = []
    for i, view in enumerate(along):
        seconds = i / RATE
        shown = room if thing is None else with_box(room, thing(seconds))
        rendering = render(shown, view)
        moves = np.zeros(rendering.depth.shape, bool)
        if thing is not None:
            moves = rendering.depth < render_depth(room, view) - 1e-4
        camera = Camera(view.width, view.height, *view.intrinsics())
        place = (*view.position.tolist(), *quaternion(view.room_from_camera))
        stamp = 10**18 + round(seconds * 1e9)
        shots.append(Shot(rendering.rgb, rendering.depth, moves, camera, stamp, place))
    return shots


def with_box(room: Room, shape: np.ndarray) -> Room:
    """The room with one more box, (8,) as a row of `Room.shapes`, of the last material."""
    return dataclasses.replace(
        room,
        kinds=np.append(room.kinds, BOX),
        shapes=np.vstack([room.shapes, shape]),
        materials_of=np.append(room.materials_of, len(room.materials) - 1),
    )


def crossing(view: View, distance: float = 1.5, speed: float = 1.0) -> Thing:
    """A box that crosses the view from left to right at a distance [m] and a speed [m/s]."""
    forward, right = view.room_from_camera[:, 2], view.room_from_camera[:, 0]
    ahead = view.position + distance * forward / np.linalg.norm(forward[:2])
    return lambda seconds: _box(ahead + right * (speed * seconds - 1.0), BOX_SIZE, forward)


def leaving(view: View, distance: float = 1.5, speed: float = 1.0) -> Thing:
    """A box of a person's size that walks away, along the view."""
    forward = view.room_from_camera[:, 2] / np.linalg.norm(view.room_from_camera[:2, 2])
    start = view.position + distance * forward
    return lambda seconds: _box(start + forward * speed * seconds, PERSON_SIZE, forward)


def quaternion(rotation: np.ndarray) -> tuple[float, ...]:
    """Qx qy qz qw of a rotation (3, 3)."""
    w = np.sqrt(max(1.0 + np.trace(rotation), 0.0)) / 2.0
    if w < 1e-3:
        _, vectors = np.linalg.eigh(rotation + rotation.T)
        return (*vectors[:, -1].tolist(), 0.0)
    skew = rotation - rotation.T
    return (*(np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / (4.0 * w)).tolist(), float(w))


def _box(at: np.ndarray, size: tuple[float, float, float], facing: np.ndarray) -> np.ndarray:
    """A box on the floor below a place."""
    half = np.array(size) / 2.0
    yaw = np.arctan2(facing[1], facing[0])
    return np.array([at[0], at[1], half[2], *half, np.cos(yaw), np.sin(yaw)])
