# SPDX-License-Identifier: Apache-2.0
"""Time the stage of motion: `temporal_filter` and what `scale_source: motion` measures."""

import contextlib
import itertools
from collections.abc import Callable

import numpy as np

from bench.measure import Row, medians
from depth_pcd_ros.motion.stage import MotionStage
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header
from scenes import sequences

FRAMES = 6  # seen there and back: rendering takes longer than what is timed
VARIANTS = {
    'temporal_filter, odometry': ({'temporal_filter': 0.9, 'motion': 'odometry'}, 3.0),
    'temporal_filter, camera': ({'temporal_filter': 0.9, 'motion': 'camera'}, 6.0),
    'scale_source motion': ({'scale_source': 'motion'}, 8.0),
}  # ms a frame at 640x480


def _runner(shots: list[sequences.Shot], changes: dict) -> Callable[[], None]:
    """Return a function that takes the next picture."""
    settings, stage = Settings().replace(changes), MotionStage()
    ways = itertools.cycle([*shots, *shots[-2:0:-1]])
    depth, count = np.empty_like(shots[0].depth), 0

    def run() -> None:
        nonlocal count
        shot, count = next(ways), count + 1
        evidence = Evidence(odom_from_camera=shot.world_from_camera)
        np.copyto(depth, shot.depth)
        stage.begin(shot.rgb, shot.camera, Header(count * 10**8), evidence, settings)
        if settings.scale_source == 'motion':
            with contextlib.suppress(ScaleError):  # where it turns back there is no parallax
                stage.triangulate(depth)
        else:
            assert stage.steady(depth, settings).cause in ('', 'first')

    return run


def measure(repetitions: int) -> list[Row]:
    """Time each use at each size."""
    rows = []
    for width, height in ((640, 480), (1920, 1080)):
        shots = sequences.shoot(*_drive(width, height))
        runs = {name: _runner(shots, changes) for name, (changes, _) in VARIANTS.items()}
        for name, time_ms in medians(runs, repetitions).items():
            limit = VARIANTS[name][1] if (width, height) == (640, 480) else None
            rows.append(Row(name, f'{width}x{height}', time_ms, required=limit))
    return rows


def _drive(width: int, height: int) -> tuple:
    room, views = sequences.views(2 * FRAMES, width, height)
    return room, views[::2]  # 4 cm from one to the next
