# SPDX-License-Identifier: Apache-2.0
"""Measure a model on rooms that no model was trained on: `python -m scenes.evaluate`.

The pictures go through the engine that the node uses, and its depth is compared as it is, in
metres, without median scaling. Figures are means over pictures of the means over pixels.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from depth_pcd_ros import engine
from depth_pcd_ros.evaluate.metrics import Metrics, compare, mean
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import EngineSettings
from scenes import EVALUATION_SEEDS
from scenes.furniture import make_room
from scenes.pool import HEIGHT, WIDTH
from scenes.render import render
from scenes.views import make_view


def on_rooms(network: engine.Engine, count: int) -> Metrics:
    """Measure on the first rooms of the evaluation seeds, at 640x480."""
    results = []
    for seed in tqdm(EVALUATION_SEEDS[:count], desc='rooms', unit='room', mininterval=1):
        room = make_room(seed)
        view = make_view(room, seed, WIDTH, HEIGHT)
        shown = render(room, view)
        camera = Camera(WIDTH, HEIGHT, *view.intrinsics())
        results.append(compare(network.infer(shown.rgb, camera), shown.depth))
    return mean(results)


def on_frame(network: engine.Engine, folder: Path) -> Metrics:
    """Measure on an RGB-D frame: rgb.png, depth.png and intrinsics.json of its camera."""
    rgb = cv2.imread(str(folder / 'rgb.png'), cv2.IMREAD_COLOR)
    depth = cv2.imread(str(folder / 'depth.png'), cv2.IMREAD_UNCHANGED)
    if rgb is None or depth is None:
        raise FileNotFoundError(f'{folder}: rgb.png and depth.png are needed')
    known = json.loads((folder / 'intrinsics.json').read_text())
    camera = Camera(*rgb.shape[1::-1], *(known[name] for name in ('fx', 'fy', 'cx', 'cy')))
    rgb = np.ascontiguousarray(rgb[..., ::-1])
    return compare(network.infer(rgb, camera), depth / known['depth_scale'])


def on_motorcycle(network: engine.Engine) -> Metrics:
    """Measure on scikit-image's stereo photo (Middlebury 2014, with its calibration)."""
    from skimage.data import stereo_motorcycle

    rgb, _, disparity = stereo_motorcycle()
    known = np.isfinite(disparity) & (disparity > 0)
    truth = np.where(known, 994.978 * 0.193001 / (np.where(known, disparity, 1) + 31.086), 0)
    camera = Camera(*rgb.shape[1::-1], 994.978, 994.978, 311.193, 254.877)
    return compare(network.infer(rgb, camera), truth)


def row(name: str, metrics: Metrics) -> str:
    """Format a line of the table."""
    return f'{name:<28} {metrics.abs_rel:8.3f} {metrics.delta1:8.3f} {metrics.rmse:8.3f}'


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog='python -m scenes.evaluate', description=__doc__)
    parser.add_argument('--model', default='demo', help='as the node takes it')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--rooms', type=int, default=len(EVALUATION_SEEDS))
    parser.add_argument(
        '--rgbd',
        type=Path,
        metavar='DIR',
        help='folders of real RGB-D frames, reported too, as is the motorcycle of scikit-image',
    )
    args = parser.parse_args()
    network = engine.create(EngineSettings(args.model, device=args.device))
    lines = [row(f'{args.rooms} rooms', on_rooms(network, args.rooms))]
    if args.rgbd:
        folders = sorted(path.parent for path in args.rgbd.glob('*/intrinsics.json'))
        lines += [row(folder.name, on_frame(network, folder)) for folder in folders]
        try:
            lines.append(row('motorcycle photo', on_motorcycle(network)))
        except ImportError:
            print('scikit-image is not installed: no motorcycle photo')
    print(f'{args.model:<28} {"AbsRel":>8} {"delta1":>8} {"RMSE [m]":>8}')
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
