# SPDX-License-Identifier: Apache-2.0
"""Measure whether the plane source holds where it sees no floor: `python -m scenes.floors`.

Two kinds of frames: without any floor in view, and with a table top that covers more of the picture
than the floor does. The depth is off by 0.8 to 1.25 and has a network's error, as in
`scenes.scale`. A frame is wrong if its scale is taken and is off by more than 5 %.
"""

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from depth_pcd_ros.cloud.unproject import unproject
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.scale.plane import measure
from depth_pcd_ros.scale.tracker import Tracker
from depth_pcd_ros.settings import Settings
from scenes import EVALUATION_SEEDS
from scenes.furniture import make_room
from scenes.render import View, render_depth
from scenes.rooms import BOX, WALLS, Room
from scenes.scale import SCALES, Noise, camera_of, network_depth
from scenes.views import make_view, random_camera, rotation

WRONG = 0.05  # of the scale
FLOOR = 0.02  # m above z = 0: what is lower is floor
NO_FLOOR = 0.002  # share of the picture that may be floor where there is none
TABLE_SHARE = 0.1  # least share of the picture that a large table top has
TRIES = 300
SECOND = 10**9  # ns


@dataclasses.dataclass(frozen=True)
class Shot:
    """A view of a room, with what is nominally known about it."""

    room: Room
    view: View
    height: float  # of the camera [m]
    pitch: float  # deg


def without_floor(seed: int) -> Shot | None:
    """Make a view at usual heights that shows no floor: of a wall, over furniture, upwards."""
    room = make_room(seed)
    rng = np.random.default_rng([seed, 8])
    for _ in range(TRIES):
        shot = _random_shot(room, rng, (0.4, 1.6), (-30.0, 20.0))
        heights = _heights(shot)
        if heights is not None and np.mean(heights < FLOOR) < NO_FLOOR:
            return shot
    return None


def with_table(seed: int) -> Shot | None:
    """Make a view over a table, bed or crate whose top is larger in the picture than the floor."""
    rng = np.random.default_rng([seed, 9])
    empty = make_room(seed)
    for _ in range(TRIES):
        top = rng.uniform(0.3, 0.8)
        shot = _random_shot(empty, rng, (top + 0.3, 1.7), (0.0, 35.0))
        ahead = shot.view.room_from_camera[:2, 2]
        ahead = ahead / np.linalg.norm(ahead)
        half = rng.uniform(0.4, 1.1, 2)
        middle = shot.view.position[:2] + ahead * (half.max() + rng.uniform(0.1, 0.8))
        legs = rng.random() < 0.6
        shot = dataclasses.replace(shot, room=_with_box(empty, middle, half, top, ahead, legs))
        heights = _heights(shot)
        if heights is None:
            continue
        on_top = np.mean(np.abs(heights - top) < FLOOR)
        if on_top > max(TABLE_SHARE, np.mean(heights < FLOOR)):
            return shot
    return None


def _random_shot(
    room: Room, rng: np.random.Generator, height: tuple[float, float], pitch: tuple[float, float]
) -> Shot:
    at = rng.uniform(0.35, room.size[:2] - 0.35)
    height_, pitch_ = rng.uniform(*height), rng.uniform(*pitch)
    # a camera is mounted, and its robot stands, to about a degree
    turn = rotation(rng.uniform(0, 2 * np.pi), *np.radians([pitch_ + rng.uniform(-1, 1), 0.0]))
    camera = random_camera(rng, 640, 480)
    view = View(**camera, position=np.array([*at, height_]), room_from_camera=turn)
    return Shot(room, view, height_, pitch_)


def _with_box(
    room: Room, middle: np.ndarray, half: np.ndarray, top: float, ahead: np.ndarray, legs: bool
) -> Room:
    """Put a table top (thin, or a block down to the floor) into a room."""
    low = top - 0.04 if legs else 0.0
    shape = (*middle, (low + top) / 2, *half, (top - low) / 2, *ahead)
    return dataclasses.replace(
        room,
        kinds=np.append(room.kinds, BOX),
        shapes=np.vstack([room.shapes, shape]),
        materials_of=np.append(room.materials_of, WALLS),
    )


def _heights(shot: Shot) -> np.ndarray | None:
    """Measure the height of what each pixel shows [m]; None for a view from within a thing."""
    small = shot.view.resized(160, 120)
    depth = render_depth(shot.room, small)
    if depth.min() < 0.25:
        return None
    points = unproject(depth.astype(float), camera_of(small).rays)
    return (points @ shot.view.room_from_camera.T + shot.view.position)[..., 2]


def outcome(shot: Shot, seed: int, known: bool) -> str:
    """Return `held`, `right` or `wrong`; where `known`, the true scale is what is held."""
    rng = np.random.default_rng([seed, 10])
    factor = rng.uniform(*SCALES)
    truth = render_depth(shot.room, shot.view)
    depth = network_depth(truth, factor, 0.0, Noise(rng, *truth.shape).step(0.1))
    camera: Camera = camera_of(shot.view)
    settings = Settings().replace(
        {'scale_source': 'plane', 'camera_height': shot.height, 'camera_pitch': shot.pitch}
    )
    tracker = Tracker()
    if known:
        tracker.update(SECOND, Measurement(1 / factor, 0.0, 100), settings)
    measured: Measurement | ScaleError
    try:
        measured = measure(depth, camera, shot.height, shot.pitch, 0.0)
    except ScaleError as err:
        measured = err
    state = tracker.update(SECOND + SECOND // 10, measured, settings)
    if state.cause:
        return f'held: {state.cause}'
    assert isinstance(measured, Measurement)
    return 'right' if abs(measured.scale * factor - 1) <= WRONG else 'wrong'


def shots(count: int) -> Iterator[tuple[str, int, Shot]]:
    """Make so many of each kind, and as many views with floor ahead."""
    for name, make in (
        ('no floor', without_floor),
        ('table', with_table),
        ('floor ahead', _with_floor),
    ):
        found = 0
        for seed in tqdm(EVALUATION_SEEDS, desc=name, mininterval=1):
            shot = make(seed)
            if shot is not None:
                yield name, seed, shot
                found += 1
            if found == count:
                break


def _with_floor(seed: int) -> Shot:
    room = make_room(seed)
    view = make_view(room, seed)
    pitch = float(np.degrees(np.arcsin(-view.room_from_camera[2, 2])))
    return Shot(room, view, float(view.position[2]), float(round(pitch)))


def measure_all(count: int) -> dict[tuple[str, bool], Counter[str]]:
    """Count each outcome, by the kind of frames and whether a scale was known."""
    results: dict[tuple[str, bool], Counter[str]] = {}
    for name, seed, shot in shots(count):
        for known in (True, False):
            results.setdefault((name, known), Counter())[outcome(shot, seed, known)] += 1
    return results


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog='python -m scenes.floors', description=__doc__)
    parser.add_argument('--rooms', type=int, default=len(EVALUATION_SEEDS))
    args = parser.parse_args()
    for (name, known), counts in measure_all(args.rooms).items():
        total = sum(counts.values())
        last = 'last scale known' if known else 'none known'
        shares = ', '.join(f'{what} {100 * n / total:.1f} %' for what, n in sorted(counts.items()))
        print(f'{name:<12} {last:<17} {total:4} frames: {shares}')


if __name__ == '__main__':
    main()
