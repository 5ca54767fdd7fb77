# SPDX-License-Identifier: Apache-2.0
"""What the stages behind the network cost.

The network is left out: a fake engine hands over a depth map of a rendered room.
"""

from collections.abc import Callable

import numpy as np
from std_msgs.msg import Header

from bench.measure import Row, medians
from depth_pcd_ros.calibration import Calibration
from depth_pcd_ros.camera import Camera
from depth_pcd_ros.memory import Memory
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros.cloud_msgs import cloud_msg
from depth_pcd_ros.settings import Settings
from scenes import EVALUATION_SEEDS
from scenes.edges import blurred
from scenes.furniture import make_room
from scenes.render import render
from scenes.views import make_view

BENT = {'distortion_model': 'plumb_bob', 'd': (-0.2, 0.05, 0.001, -0.001, 0.0)}
VARIANTS = {
    'no filter': {'edge_filter': 0.0},
    'range and edges (default)': {},
    'and stride 2': {'stride': 2},
    'and unorganized': {'organized': False},
    'and voxels of 5 cm': {'voxel_size': 0.05},
    'range and edges, distorted': {'bent': True},
}
# At most this times the time without a filter, at 640x480.
LIMITS = {
    'range and edges (default)': 1.25,
    'and stride 2': 1.25,
    'and unorganized': 1.25,
    'and voxels of 5 cm': 3.0,
}


class FakeEngine:
    """Stands for a network: hands over a depth map that was made before."""

    model, device, precision, focal_train = 'fake', 'cpu', 'fp32', None
    max_depth, input_size = 20.0, 518

    def __init__(self, depth: np.ndarray) -> None:
        self._depth = depth
        self._out = np.empty_like(depth)

    def infer(self, rgb: np.ndarray) -> np.ndarray:
        """The depth map, in memory that the caller may change."""
        np.copyto(self._out, self._depth)
        return self._out

    def close(self) -> None:
        """Nothing to free."""


def runner(rgb: np.ndarray, depth: np.ndarray, k: tuple, changes: dict) -> Callable[[], None]:
    """One frame from depth map to message with these settings."""
    changes = dict(changes)
    height, width = depth.shape
    calibration = Calibration(width, height, k, **(BENT if changes.pop('bent', False) else {}))
    pipeline = Pipeline(FakeEngine(depth), Settings().replace(changes))
    header, memory = Header(), Memory()

    def run() -> None:
        frame = pipeline.process(rgb, calibration)
        cloud_msg(pipeline.points(frame, memory), header, memory.data)

    return run


def measure(repetitions: int) -> list[Row]:
    """From depth map to message with each set of filters, against no filter at all."""
    room = make_room(EVALUATION_SEEDS[0])
    rows = []
    for width, height in ((640, 480), (1920, 1080)):
        view = make_view(room, EVALUATION_SEEDS[0], width, height)
        shown = render(room, view)
        fx, fy, cx, cy = view.intrinsics()
        k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        depth = blurred(shown.depth, 518).astype(np.float32)
        runs = {name: runner(shown.rgb, depth, k, v) for name, v in VARIANTS.items()}
        source = np.ones((height, width, 4), np.float32)
        target = np.empty_like(source)
        runs['memcpy of the cloud'] = lambda a=source, b=target: np.copyto(b, a)
        calibration = Calibration(width, height, k, **BENT)
        runs['camera of a known calibration'] = lambda c=calibration: (
            Camera.from_calibration(c).rays
        )
        times = medians(runs, repetitions)
        rows += [
            Row(
                stage=f'depth map to message, {name}' if name in VARIANTS else name,
                size=f'{width}x{height}',
                value=value,
                against='no filter',
                reference=times['no filter'],
                required=LIMITS.get(name) if width == 640 else None,
            )
            for name, value in times.items()
        ]
    return rows
