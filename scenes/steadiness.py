# SPDX-License-Identifier: Apache-2.0
"""Draw docs/motion.png, the depth of one place over time: `python -m scenes.steadiness`.

A rendered drive, the demo model's depth of each picture, and the same with `temporal_filter`.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from depth_pcd_ros import engine
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.motion.pose import Pose, pose
from depth_pcd_ros.motion.stabilize import Stabilizer
from depth_pcd_ros.settings import Settings
from scenes import sequences
from scenes.demo import ROOT

FRAMES, WIDTH, HEIGHT, WEIGHT = 45, 640, 480, 0.9


def main() -> None:
    """Render, run the network, draw."""
    parser = argparse.ArgumentParser(prog='python -m scenes.steadiness', description=__doc__)
    parser.add_argument('-o', '--output', type=Path, default=ROOT / 'docs/motion.png')
    output = parser.parse_args().output
    room, views = sequences.views(FRAMES, WIDTH, HEIGHT)
    network, stabilizer = engine.create(Settings('demo')), Stabilizer()
    place, before = np.zeros(3), None
    alone, steadied = [], []
    for view in views:
        (shot,) = sequences.shoot(room, [view])
        here = pose(shot.world_from_camera)
        if before is None:  # what the camera looks at first
            v, u = HEIGHT // 3, WIDTH // 2
            ray = np.append(shot.camera.rays[v, u], 1.0)
            place = here.rotation @ (shot.depth[v, u] * ray) + here.translation
        depth = network.infer(shot.rgb, shot.camera)
        alone.append(_ratio(depth, shot, here, place))
        motion = None if before is None else before.inverse() @ here
        depth = np.array(depth, np.float32)
        stabilizer.update(depth, shot.rgb, shot.camera, motion, WEIGHT)
        steadied.append(_ratio(depth, shot, here, place))
        before = here
    seconds = np.arange(FRAMES) / sequences.RATE
    figure = Figure((8.0, 3.0), layout='constrained')
    axes = figure.subplots()
    axes.plot(seconds, alone, color='0.6', label='without')
    axes.plot(seconds, steadied, color='C0', label=f'temporal_filter: {WEIGHT}')
    axes.set(xlabel='time [s]', ylabel='depth / true depth', title='The same place on a wall')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(output, dpi=100)
    print(
        f'from picture to picture: {100 * _flicker(alone):.1f} % without, '
        f'{100 * _flicker(steadied):.1f} % with; written to {output}'
    )


def _ratio(depth: np.ndarray, shot: sequences.Shot, here: Pose, place: np.ndarray) -> float:
    """The depth where a place of the room is seen, by its true one; NaN where it is hidden."""
    seen = (place - here.translation) @ here.rotation
    camera: Camera = shot.camera
    u, v = np.rint(camera.project(seen[None])[0]).astype(int)
    if not (0 <= u < WIDTH and 0 <= v < HEIGHT) or shot.depth[v, u] < 0.98 * seen[2]:
        return float('nan')
    return float(depth[v, u] / shot.depth[v, u])


def _flicker(ratios: list[float]) -> float:
    """The standard deviation of the change from one picture to the next."""
    return float(np.nanstd(np.diff(np.log(ratios))))


if __name__ == '__main__':
    main()
