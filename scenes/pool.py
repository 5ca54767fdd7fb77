# SPDX-License-Identifier: Apache-2.0
"""Pictures that training reuses: rendered once, by processes, into memory-mapped files."""

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scenes.furniture import make_room
from scenes.render import Rendering, render
from scenes.views import make_view

WIDTH, HEIGHT = 640, 480  # px: the camera whose pictures the network is trained for
SHARD = 100  # pictures in a file


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Rendering:
    """Render the view of a seed's room, in any size."""
    room = make_room(seed)
    return render(room, make_view(room, seed, WIDTH, HEIGHT).resized(width, height))


class Pool(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Pictures (H, W, 3) uint8 and depths (H, W) float16 [m] of consecutive seeds.

    What the folder does not have yet is rendered, so that a pool can be interrupted, and can grow.
    """

    def __init__(self, folder: Path, seeds: range, width: int, height: int, workers: int) -> None:
        folder = folder / f'{width}x{height}'
        folder.mkdir(parents=True, exist_ok=True)
        firsts = seeds[::SHARD]
        missing = [first for first in firsts if not _paths(folder, first)[1].exists()]
        if missing:
            _render(folder, missing, width, height, workers)
        self._shards = [
            [np.load(path, mmap_mode='r') for path in _paths(folder, first)] for first in firsts
        ]
        self._length = len(seeds)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= i < self._length:
            raise IndexError(i)
        rgb, depth = self._shards[i // SHARD]
        return rgb[i % SHARD], depth[i % SHARD]


def _paths(folder: Path, first: int) -> tuple[Path, Path]:
    return folder / f'rgb-{first}.npy', folder / f'depth-{first}.npy'


def _render(folder: Path, firsts: list[int], width: int, height: int, workers: int) -> None:
    jobs = [(folder, first, width, height) for first in firsts]
    context = multiprocessing.get_context('spawn')
    threads = os.environ.get('NUMBA_NUM_THREADS')
    os.environ['NUMBA_NUM_THREADS'] = '1'  # the workers', which import numba with it
    bar = tqdm(total=len(jobs) * SHARD, desc='rendering', unit='view', mininterval=5)
    with context.Pool(workers) as processes, bar:
        for count in processes.imap_unordered(_fill, jobs):
            bar.update(count)
    del os.environ['NUMBA_NUM_THREADS']
    if threads is not None:
        os.environ['NUMBA_NUM_THREADS'] = threads


def _fill(job: tuple[Path, int, int, int]) -> int:
    """Render a file's pictures; the depth's file comes last, and only as a whole."""
    folder, first, width, height = job
    shown = [picture(first + i, width, height) for i in range(SHARD)]
    rgb, depth = _paths(folder, first)
    np.save(rgb, np.stack([one.rgb for one in shown]))
    temporary = depth.with_suffix('.tmp.npy')
    np.save(temporary, np.stack([one.depth for one in shown]).astype(np.float16))
    temporary.replace(depth)
    return SHARD
