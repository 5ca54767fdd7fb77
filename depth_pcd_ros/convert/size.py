# SPDX-License-Identifier: Apache-2.0
"""Estimate the size of the results before they are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from depth_pcd_ros.convert.outputs import WRITERS
from depth_pcd_ros.inputs.intrinsics import Say
from depth_pcd_ros.networks.checkpoints import before_download
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.work.job import Job

LARGE_PICTURE, LARGE_RUN = 50e6, 1e9  # bytes, above which a person is warned
MOST_LOOKED_AT = 50  # inputs, evenly spread, whose size is read
# A recording's cloud (x y z rgb) and depth for each pixel, before they are compressed.
RECORDING_BYTES = 16 + 4


def foretell(jobs: Sequence[Job], formats: Sequence[str], settings: Settings, say: Say) -> None:
    """Say how large the results will be, where that is much, and what makes them smaller.

    With a `voxel_size`, there is no telling. The formats are names of `WRITERS`, for photos, videos
    and, where they are asked for, recordings.

    Raises:
        CheckpointError, SettingsError: there is no such model.
    """
    if settings.voxel_size:
        return
    looked_at = jobs[:: -(-len(jobs) // MOST_LOOKED_AT)]
    seen = [_Seen(job, job.picture_size() or (0, 0), job.pictures()) for job in looked_at]
    share = len(jobs) / max(len(looked_at), 1)
    total, largest, example = _expected(seen, formats, settings)
    if largest <= LARGE_PICTURE and share * total <= LARGE_RUN:
        return
    advice = [f'--stride {2 * settings.stride} makes a quarter of that', '--voxel-size less']
    if settings.resolution == 'image':
        at_network, _, _ = _expected(seen, formats, settings.replace({'resolution': 'network'}))
        if at_network < total:
            advice.insert(0, f'--resolution network makes {_shown(share * at_network)} of it')
    say(f'{example}; all results, up to {_shown(share * total)}. {", ".join(advice)}')


class _Seen(NamedTuple):
    """An input that was looked at: the width and height of its pictures, and their number."""

    job: Job
    size: tuple[int, int]
    pictures: int


def _expected(
    inputs: Sequence[_Seen], formats: Sequence[str], settings: Settings
) -> tuple[float, float, str]:
    """Return the size of all results and of the largest picture's [bytes], and a sentence on it."""
    coloured = settings.cloud_fields == 'xyzrgb'
    of_files = sum(WRITERS[name].bytes_per_pixel[coloured] for name in formats)
    network = before_download(settings.engine) if settings.resolution == 'network' else None
    total, largest, example = 0.0, 0.0, ''
    for job, (width, height), pictures in inputs:
        of_depth = height, width
        if network is not None and width and height:
            of_depth = network.depth_size(height, width)
        pixels = math.prod(-(-side // settings.stride) for side in of_depth)
        each = pixels * (RECORDING_BYTES if job.is_recording else of_files)
        total += each * pictures
        if each > largest:
            largest = each
            example = (
                f'{job.label}: a picture of {width}x{height} gives up to {pixels / 1e6:.3g} '
                f'million points, {_shown(each)}'
            )
    return total, largest, example


def _shown(size: float) -> str:
    return f'{size / 1e9:.3g} GB' if size >= 1e9 else f'{size / 1e6:.3g} MB'
