# SPDX-License-Identifier: Apache-2.0
"""How convert --ray scales: small photos, two workers beside one, each with one thread.

    python -m bench.cluster [--photos 500] [--rounds 3]

Runs the command with one worker and with two, in turns, and also without a cluster. Each time has
all of the command in it; with `--photos` and a fifth of them, what a photo costs is told from what
the start costs. On a machine whose cores others use, two workers get more of them than one does:
the load is printed beside every round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from bench.measure import machine

WIDTH, HEIGHT = 320, 240
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'OMP_WAIT_POLICY': 'PASSIVE'}


def photos(folder: Path, count: int) -> None:
    """Write smooth photos of different content."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        few = rng.integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f'{i:04d}.jpg'), cv2.resize(few, (WIDTH, HEIGHT)))


def seconds(folder: Path, out: Path, model: str, input_size: int, *ray: str) -> float:
    """The time of the command."""
    words = [sys.executable, '-m', 'depth_pcd_ros.cli', 'convert', str(folder), '-o', str(out)]
    words += ['--hfov', '60', '--model', model, '--device', 'cpu', '--input-size', str(input_size)]
    start = time.perf_counter()
    subprocess.run([*words, *ray], env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return time.perf_counter() - start


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='python -m bench.cluster', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--photos', type=int, default=500)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--model', default='demo')
    parser.add_argument('--input-size', type=int, default=252)
    args = parser.parse_args()
    ways = {'one worker': ('--workers', '1', '--ray'), 'two workers': ('--workers', '2', '--ray')}
    ways['no cluster'] = ()
    rounds = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        few = max(args.photos // 5, 1)
        photos(folder / 'many', args.photos)
        photos(folder / 'few', few)
        for number in range(args.rounds):
            found: dict[str, float] = {'load': round(os.getloadavg()[0], 1)}
            for way in list(ways)[:: -1 if number % 2 else 1]:
                for name in ('few', 'many'):
                    out = folder / f'{number}-{way}-{name}'
                    took = seconds(folder / name, out, args.model, args.input_size, *ways[way])
                    found[f'{way}, {name}'] = round(took, 2)
                found[f'{way}, ms per photo'] = round(
                    1e3 * (found[f'{way}, many'] - found[f'{way}, few']) / (args.photos - few), 2
                )
            found['two / one'] = round(found['two workers, many'] / found['one worker, many'], 3)
            print(json.dumps(found), flush=True)
            rounds.append(found)
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    print(json.dumps({'machine': machine(), 'photos': args.photos, 'medians': middle}, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
