# SPDX-License-Identifier: Apache-2.0
"""The pictures that training reuses: rendered once, by worker processes, into memory-mapped files."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from scenes.furniture import make_room
from scenes.render import Rendering, render
from scenes.views import make_view

WIDTH, HEIGHT = 640, 480  # px: the camera whose pictures the network is trained for


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Rendering:
    """The view of a seed's room, in any size."""
    room = make_room(seed)
    return render(room, make_view(room, seed, WIDTH, HEIGHT).resized(width, height))


def _one_thread() -> None:
    os.environ['NUMBA_NUM_THREADS'] = '1'


def _fill(job: tuple[Path, list[int], int, int, int]) -> int:
    folder, seeds, first, width, height = job
    rgb, depth = (np.load(folder / f'{name}.npy', mmap_mode='r+') for name in ('rgb', 'depth'))
    for i, seed in enumerate(seeds, first):
        shown = picture(seed, width, height)
        rgb[i], depth[i] = shown.rgb, shown.depth
    return len(seeds)


def make_pool(
    folder: Path, seeds: list[int], width: int, height: int, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pictures (N, H, W, 3) uint8 and depths (N, H, W) float16 [m] of the seeds, as read-only maps.

    A pool that is complete is opened, else it is rendered: the file `done` marks the complete one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / 'rgb.npy', folder / 'depth.npy'
    done = folder / 'done'
    content = f'{seeds[0]} {len(seeds)} {width} {height}'
    if not done.exists() or done.read_text() != content:
        open_memmap(paths[0], 'w+', np.uint8, (len(seeds), height, width, 3))
        open_memmap(paths[1], 'w+', np.float16, (len(seeds), height, width))
        jobs = [(folder, seeds[i : i + 50], i, width, height) for i in range(0, len(seeds), 50)]
        context = multiprocessing.get_context('spawn')
        before = os.environ.get('NUMBA_NUM_THREADS')
        os.environ['NUMBA_NUM_THREADS'] = '1'  # before the workers import numba
        with context.Pool(workers) as processes:
            with tqdm(total=len(seeds), desc='rendering', unit='view', mininterval=5) as bar:
                for count in processes.imap_unordered(_fill, jobs):
                    bar.update(count)
        del os.environ['NUMBA_NUM_THREADS']
        if before is not None:
            os.environ['NUMBA_NUM_THREADS'] = before
        done.write_text(content)
    return np.load(paths[0], mmap_mode='r'), np.load(paths[1], mmap_mode='r')
