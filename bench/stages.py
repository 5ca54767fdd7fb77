# SPDX-License-Identifier: Apache-2.0
"""What the stages behind the network cost, as ratios within one run: `python -m bench.stages`.

The network is left out: a fake engine hands over a depth map of a rendered room. Repetitions of
all variants are interleaved, so that a busy machine slows all of them; medians are compared.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from std_msgs.msg import Header

from depth_pcd_ros.calibration import Calibration
from depth_pcd_ros.camera import Camera
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
    header, data = Header(), None

    def run() -> None:
        nonlocal data
        frame = pipeline.process(rgb, calibration)
        data = cloud_msg(pipeline.points(frame), header, data).data

    return run


def medians(runs: dict[str, Callable[[], None]], repetitions: int) -> dict[str, float]:
    """Median time of each [ms], interleaved, after two rounds that are not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repetition in range(repetitions + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repetition >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog='python -m bench.stages', description=__doc__)
    parser.add_argument('--repetitions', type=int, default=100)
    parser.add_argument('--json', action='store_true', help='print JSON instead of the table')
    args = parser.parse_args()
    room = make_room(EVALUATION_SEEDS[0])
    results = {}
    for width, height in ((640, 480), (1920, 1080)):
        view = make_view(room, EVALUATION_SEEDS[0], width, height)
        shown = render(room, view)
        fx, fy, cx, cy = view.intrinsics()
        k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        depth = blurred(shown.depth, 518).astype(np.float32)
        runs = {name: runner(shown.rgb, depth, k, v) for name, v in VARIANTS.items()}
        source, target = (
            np.ones((height, width, 4), np.float32),
            np.empty((height, width, 4), np.float32),
        )
        runs['memcpy of the cloud'] = lambda a=source, b=target: np.copyto(b, a)
        calibration = Calibration(width, height, k, **BENT)
        runs['camera of a known calibration'] = lambda c=calibration: (
            Camera.from_calibration(c).rays
        )
        results[f'{width}x{height}'] = medians(runs, args.repetitions)
    if args.json:
        print(
            json.dumps({'cv2': cv2.__version__, 'numpy': np.__version__, 'ms': results}, indent=2)
        )
        return
    for size, times in results.items():
        base = times['no filter']
        print(f'{size}, from depth map to message{"ms":>17} {"ratio":>7}')
        for name, value in times.items():
            print(f'  {name:<40} {value:8.3f} {value / base:7.2f}')


if __name__ == '__main__':
    main()
