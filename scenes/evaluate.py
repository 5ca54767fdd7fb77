# SPDX-License-Identifier: Apache-2.0
"""Measure a model on rooms that no model was trained on: `python -m scenes.evaluate`.

The rooms become a folder of photos with their true depth, for `depth-pcd evaluate` to measure, with
the filters off: the depth is compared as the network gives it, in metres. Each report is a page
below the output folder.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from depth_pcd_ros import cli
from depth_pcd_ros.evaluate.report import HTML, JSON
from depth_pcd_ros.files.whole_file import whole_file
from scenes import EVALUATION_SEEDS
from scenes.furniture import make_room
from scenes.pool import HEIGHT, WIDTH
from scenes.render import render
from scenes.views import make_view

ROOT = Path(__file__).resolve().parent.parent


def write_pair(
    folder: Path, rgb: np.ndarray, depth: np.ndarray, intrinsics: tuple[float, float, float, float]
) -> None:
    """Write rgb.png, depth.npy [m] and intrinsics.json; the last one tells that all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / 'rgb.png'), np.ascontiguousarray(rgb[..., ::-1]))
    np.save(folder / 'depth.npy', depth.astype(np.float32))
    numbers = dict(zip(('fx', 'fy', 'cx', 'cy'), map(float, intrinsics), strict=True))
    numbers |= {'width': rgb.shape[1], 'height': rgb.shape[0]}
    with whole_file(folder / 'intrinsics.json') as file:
        file.write(json.dumps(numbers).encode())


def write_rooms(folder: Path, count: int) -> None:
    """Write the first rooms of the evaluation seeds, at 640x480, those that are not there."""
    for seed in tqdm(EVALUATION_SEEDS[:count], desc='rooms', unit='room', mininterval=1):
        if not (folder / str(seed) / 'intrinsics.json').exists():
            room = make_room(seed)
            view = make_view(room, seed, WIDTH, HEIGHT)
            shown = render(room, view)
            write_pair(folder / str(seed), shown.rgb, shown.depth, view.intrinsics())


def write_motorcycle(folder: Path) -> None:
    """Write scikit-image's stereo photo (Middlebury 2014, with its calibration).

    Raises:
        ImportError: scikit-image is not installed.
    """
    from skimage.data import stereo_motorcycle

    rgb, _, disparity = stereo_motorcycle()
    known = np.isfinite(disparity) & (disparity > 0)
    truth = np.where(known, 994.978 * 0.193001 / (np.where(known, disparity, 1) + 31.086), 0)
    write_pair(folder / 'motorcycle', rgb, truth, (994.978, 994.978, 311.193, 254.877))


def main() -> int:
    """Parse the command line, measure, print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog='python -m scenes.evaluate', description=__doc__)
    parser.add_argument('--model', default='demo', help='as the node takes it; a,b: two of them')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--rooms', type=int, default=len(EVALUATION_SEEDS))
    parser.add_argument('--out', type=Path, default=ROOT / 'out' / 'eval', help='folder')
    parser.add_argument(
        '--rgbd',
        type=Path,
        metavar='DIR',
        help='folders of real RGB-D frames, reported too, as is the motorcycle of scikit-image',
    )
    args = parser.parse_args()
    rooms = args.out / f'{args.rooms}_rooms'
    write_rooms(rooms, args.rooms)
    inputs = [rooms]
    if args.rgbd:
        inputs += sorted(path.parent for path in args.rgbd.glob('*/intrinsics.json'))
        try:
            write_motorcycle(args.out / 'photo')
            inputs.append(args.out / 'photo')
        except ImportError:
            print('scikit-image is not installed: no motorcycle photo')
    lines = [f'{"":<20} {"":<24} {"AbsRel":>8} {"delta1":>8} {"RMSE [m]":>8}']
    for folder in inputs:
        out = args.out / f'report_{folder.name}'
        words = ['evaluate', str(folder), '-o', str(out), '--force', '--model', args.model]
        words += ['--device', args.device, '--edge-filter', '0', '--min-depth', '0']
        code = cli.main(words)
        if code:
            return code
        for setting in json.loads((out / JSON).read_text())['settings']:
            m = setting['metrics']
            lines.append(
                f'{folder.name:<20} {setting["name"]:<24} {m["abs_rel"]:8.3f} {m["delta1"]:8.3f} '
                f'{m["rmse"]:8.3f}'
            )
    print('\n'.join(lines))
    print(f'Look at {args.out / f"report_{rooms.name}" / HTML}.')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
