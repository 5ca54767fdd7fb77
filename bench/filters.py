# SPDX-License-Identifier: Apache-2.0
"""Measure the filters and the forms of the cloud, alone and from depth map to message.

Without a filter, there is the depth range, unprojection, packing and the message.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from std_msgs.msg import Header

from bench.measure import Row, medians
from bench.scene import SIZES, Scene, make_scene
from depth_pcd_ros.cloud.filters import flying
from depth_pcd_ros.cloud.voxels import VoxelGrid
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.settings import Settings
from test.support.fake_engine import FakeEngine

BENT = {'distortion_model': 'plumb_bob', 'd': (-0.2, 0.05, 0.001, -0.001, 0.0)}
VARIANTS: dict[str, dict[str, Any]] = {
    'no filter': {'edge_filter': 0.0},
    'range and edges (default)': {},
    'and stride 2': {'stride': 2},
    'and unorganized': {'organized': False},
    'and voxels of 5 cm': {'voxel_size': 0.05},
    'and a distorted lens': {'bent': True},
}
# At most so many milliseconds, at 640x480 and at 1920x1080.
LIMITS = {'edge filter': (1.5, 10.0), 'voxels of 5 cm': (6.0, None)}
NOISE = 0.05  # standard deviation, of the depth


def runner(scene: Scene, changes: dict[str, Any]) -> Callable[[], None]:
    """Return a function that takes one frame from depth map to message with these settings."""
    changes = dict(changes)
    calibration = scene.calibration(**(BENT if changes.pop('bent', False) else {}))
    pipeline = Pipeline(FakeEngine(scene.depth), Settings().replace(changes))
    header, memory = Header(), Buffer()

    def run() -> None:
        frame = pipeline.process(Picture(scene.rgb, calibration))
        cloud_message(TYPES, pipeline.points(frame, memory), header, memory)

    return run


def alone(scene: Scene) -> dict[str, Callable[[], Any]]:
    """Return the stages with a limit of their own, and the edge filter on noise."""
    depth, rgb, incidence = scene.depth, scene.rgb, Settings().edge_filter
    camera = Camera.from_calibration(scene.calibration())
    noise = np.random.default_rng(0).normal(1.0, NOISE, depth.shape)
    noisy = (depth * noise).astype(np.float32)
    grid, memory = VoxelGrid(), Buffer()
    return {
        'edge filter': lambda: flying(depth, camera, incidence),
        f'edge filter, {NOISE:.0%} of noise': lambda: flying(noisy, camera, incidence),
        'voxels of 5 cm': lambda: grid.means(depth, camera.ray_maps, rgb, 0.05, memory),
    }


def measure(repetitions: int) -> list[Row]:
    """Time each of the variants at each size."""
    rows = []
    for side, (width, height) in enumerate(SIZES):
        scene = make_scene(width, height)
        stages = alone(scene)
        runs = {name: runner(scene, changes) for name, changes in VARIANTS.items()}
        times = medians({**runs, **stages}, repetitions)
        size = f'{width}x{height}'
        rows += [
            Row(name, size, times[name], required=LIMITS.get(name, (None, None))[side])
            for name in stages
        ]
        rows += [
            Row(
                stage=f'depth map to message, {name}',
                size=size,
                value=times[name],
                against='no filter',
                reference=None if name == 'no filter' else times['no filter'],
            )
            for name in runs
        ]
    return rows
