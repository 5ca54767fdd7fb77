# SPDX-License-Identifier: Apache-2.0
"""Time `scale_source`: measuring with each source, smoothing and applying."""

from collections.abc import Callable

import numpy as np

from bench.measure import Row, medians
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.stage import ScaleStage
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header, PointsReading, RangeReading
from scenes import EVALUATION_SEEDS
from scenes.furniture import make_room
from scenes.render import render_depth
from scenes.scale import MAX_DEPTH, network_depth, sparse_points
from scenes.views import CAMERA_HEIGHT, PITCH, make_view

POINTS, WRONG = 2000, 0.2
LIMIT = 2.0  # ms a frame at 640x480
BENT = ('plumb_bob', (-0.2, 0.05, 0.001, -0.001, 0.0))
PLANE = {'scale_source': 'plane', 'camera_height': CAMERA_HEIGHT, 'camera_pitch': PITCH}
VARIANTS = {
    f'true scale, {POINTS} points': ({'scale_source': 'points'}, False),
    f'true scale, {POINTS} points, shift': (
        {'scale_source': 'points', 'scale_fit': 'scale_shift'},
        False,
    ),
    f'true scale, {POINTS} points, shift, distorted': (
        {'scale_source': 'points', 'scale_fit': 'scale_shift'},
        True,
    ),
    'true scale, range': ({'scale_source': 'range'}, False),
    'true scale, plane': (PLANE, False),
}


def _runner(truth: np.ndarray, camera: Camera, changes: dict) -> Callable[[], None]:
    """Return a function that corrects one frame, after the frames before."""
    row, column = camera.height * 5 // 6, camera.width // 2  # the floor
    ray = (*camera.rays[row, column].tolist(), 1.0)
    distance = float(truth[row, column] * np.linalg.norm(ray))
    settings = Settings().replace({**changes, 'range_direction': ray})
    depth = network_depth(truth, 0.9, 0.0, None)
    rng = np.random.default_rng(0)
    xyz = sparse_points(rng, truth, camera, POINTS, WRONG)
    stage, out, stamp = ScaleStage(), np.empty_like(depth), 0

    def run() -> None:
        nonlocal stamp
        stamp += 10**8
        np.copyto(out, depth)
        reading: PointsReading | RangeReading = PointsReading(stamp, '', xyz)
        if settings.scale_source == 'range':
            reading = RangeReading(stamp, '', distance, 0.1, 12.0, 0.05)
        state = stage.correct(
            out,
            camera,
            header=Header(stamp),
            evidence=Evidence(reading),
            settings=settings,
            max_depth=MAX_DEPTH,
        )
        assert state is not None
        assert not state.cause, state.reason  # else nothing was measured

    return run


def measure(repetitions: int) -> list[Row]:
    """Time each source at each size."""
    rows = []
    for width, height in ((640, 480), (1920, 1080)):
        room = make_room(EVALUATION_SEEDS[0])
        view = make_view(room, EVALUATION_SEEDS[0], width, height)
        truth = render_depth(room, view)
        runs = {}
        for name, (changes, bent) in VARIANTS.items():
            camera = Camera(width, height, *view.intrinsics(), *(BENT if bent else ()))
            _ = camera.ray_maps  # once for a calibration
            runs[name] = _runner(truth, camera, changes)
        for name, time_ms in medians(runs, repetitions).items():
            limit = LIMIT if (width, height) == (640, 480) else None
            rows.append(Row(name, f'{width}x{height}', time_ms, required=limit))
    return rows
