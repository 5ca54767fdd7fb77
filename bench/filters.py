# SPDX-License-Identifier: Apache-2.0
"""What filters and the form of the cloud add, from depth map to message, against no filter at all.

Without a filter, there is the depth range, unprojection, packing and the message.
"""

from collections.abc import Callable
from typing import Any

from std_msgs.msg import Header

from bench.measure import Row, medians
from bench.scene import SIZES, FakeEngine, Scene, make_scene
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.settings import Settings

BENT = {'distortion_model': 'plumb_bob', 'd': (-0.2, 0.05, 0.001, -0.001, 0.0)}
VARIANTS: dict[str, dict[str, Any]] = {
    'no filter': {'edge_filter': 0.0},
    'range and edges (default)': {},
    'and stride 2': {'stride': 2},
    'and unorganized': {'organized': False},
    'and voxels of 5 cm': {'voxel_size': 0.05},
    'and a distorted lens': {'bent': True},
}
# At most this times the time without a filter, at 640x480.
LIMITS = {
    'range and edges (default)': 1.25,
    'and stride 2': 1.25,
    'and unorganized': 1.25,
    'and voxels of 5 cm': 3.0,
}


def runner(scene: Scene, changes: dict[str, Any]) -> Callable[[], None]:
    """One frame from depth map to message with these settings."""
    changes = dict(changes)
    calibration = scene.calibration(**(BENT if changes.pop('bent', False) else {}))
    pipeline = Pipeline(FakeEngine(scene.depth), Settings().replace(changes))
    header, memory = Header(), Buffer()

    def run() -> None:
        frame = pipeline.process(Picture(scene.rgb, calibration))
        cloud_message(TYPES, pipeline.points(frame, memory), header, memory.data)

    return run


def measure(repetitions: int) -> list[Row]:
    """Each of the variants at each size."""
    rows = []
    for width, height in SIZES:
        scene = make_scene(width, height)
        runs = {name: runner(scene, changes) for name, changes in VARIANTS.items()}
        times = medians(runs, repetitions)
        rows += [
            Row(
                stage=f'depth map to message, {name}',
                size=f'{width}x{height}',
                value=value,
                against='no filter',
                reference=None if name == 'no filter' else times['no filter'],
                required=LIMITS.get(name) if width == 640 else None,
            )
            for name, value in times.items()
        ]
    return rows
