# SPDX-License-Identifier: Apache-2.0
"""Cameras as a small robot carries them, placed in a room with free floor ahead.

Height and pitch stay in a narrow band, so that the row in which a thing meets the floor tells its
distance: without that, a picture does not determine a metric depth.
"""

import numpy as np

from scenes.render import View, render_depth
from scenes.rooms import Room

CAMERA_HEIGHT = 1.0  # m
PITCH = 12.0  # deg, down
FIELD_OF_VIEW = 60.0  # deg, horizontal, as in Hypersim
FLOOR_FREE = 0.65  # share of the lower third that must be floor


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return room_from_camera (3, 3) of a camera that looks along `yaw`, `pitch` down; radians."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    forward = np.array([cy * cp, sy * cp, -sp])
    right = np.array([sy, -cy, 0.0])
    down = np.cross(forward, right)
    cr, sr = np.cos(roll), np.sin(roll)
    return np.stack([cr * right + sr * down, cr * down - sr * right, forward], 1)


def random_camera(rng: np.random.Generator, width: int, height: int) -> dict:
    """Draw intrinsics and photometry of a random camera, as keyword arguments of View."""
    f = width / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))
    return {
        'width': width,
        'height': height,
        'fx': f * rng.uniform(0.98, 1.02),
        'fy': f * rng.uniform(0.98, 1.02),
        'cx': (width - 1) / 2 + width * rng.uniform(-0.015, 0.015),
        'cy': (height - 1) / 2 + height * rng.uniform(-0.015, 0.015),
        'exposure': float(2 ** rng.uniform(-0.6, 0.6)),
        'tint': tuple(rng.uniform(0.9, 1.1, 3)),
        'noise': float(rng.uniform(1, 5)),
        'noise_seed': int(rng.integers(1 << 30)),
    }


def make_view(room: Room, seed: int, width: int = 640, height: int = 480) -> View:
    """Draw a random view of a room: of up to 40 poses, one with free floor ahead, or the best."""
    rng = np.random.default_rng([seed, 2])
    camera = random_camera(rng, width, height)
    best, best_score = None, -1.0
    for attempt in range(1000):
        if attempt >= 40 and best is not None:
            break
        at = rng.uniform(0.35, room.size[:2] - 0.35)
        toward = room.size[:2] * rng.uniform(0.1, 0.9, 2) - at
        if np.hypot(*toward) < 2.0 or not clear(room, at, 0.2):
            continue
        yaw = np.arctan2(toward[1], toward[0])
        pitch, roll = np.radians([PITCH + rng.uniform(-1, 1), rng.uniform(-1, 1)])
        position = np.array([*at, CAMERA_HEIGHT * rng.uniform(0.97, 1.03)])
        view = View(**camera, position=position, room_from_camera=rotation(yaw, pitch, roll))
        score = floor_share(room, view)
        if score > best_score:
            best, best_score = view, score
        if score >= FLOOR_FREE:
            break
    if best is None:
        raise ValueError(f'room {room.seed}: no place for a camera')
    return best


def clear(room: Room, at: np.ndarray, margin: float) -> bool:
    """Tell whether a spot (2,) is farther than a margin [m] from all that stands on the floor."""
    f = room.footprints
    inside = (at > f[:, :2] - margin).all(1) & (at < f[:, 2:] + margin).all(1)
    return not inside.any()


def floor_share(room: Room, view: View) -> float:
    """Return the share of floor in the lower third; 0 with a thing before 0.9 m or no view."""
    small = view.resized(16, 12)
    depth = render_depth(room, small)
    if depth.min() < 0.9 or np.median(depth[3:8]) < 1.8:
        return 0.0
    v, u = np.mgrid[8:12, :16]
    x, y = (u - small.cx) / small.fx, (v - small.cy) / small.fy
    rays = np.stack([x, y, np.ones_like(x)], -1) @ view.room_from_camera.T
    ground = -view.position[2] / rays[..., 2]
    return float(np.mean(depth[8:12] > 0.97 * ground))
