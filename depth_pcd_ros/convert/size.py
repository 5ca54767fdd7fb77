# SPDX-License-Identifier: Apache-2.0
"""Estimate the size of the results before they are made."""

from __future__ import annotations

from collections.abc import Sequence

from depth_pcd_ros.convert.jobs import Job
from depth_pcd_ros.convert.outputs import WRITERS
from depth_pcd_ros.inputs.intrinsics import Say
from depth_pcd_ros.settings import Settings

LARGE_PICTURE, LARGE_RUN = 50e6, 1e9  # bytes, above which it is said
MOST_LOOKED_AT = 50  # inputs, spread over all, whose pictures' size is read
# A recording's cloud (x y z rgb) and depth for each pixel, before they are compressed.
RECORDING_BYTES = 16 + 4


def foretell(jobs: Sequence[Job], formats: Sequence[str], settings: Settings, say: Say) -> None:
    """Say how large the results will be, where that is much, and what makes them smaller.

    Args:
        jobs: the inputs.
        formats: names of `WRITERS`, for photos, videos and, where they are asked for, recordings.
        settings: `stride`, `cloud_fields`; with a `voxel_size`, there is no telling.
        say: told the sentence.
    """
    if settings.voxel_size:
        return
    coloured = settings.cloud_fields == 'xyzrgb'
    of_files = sum(WRITERS[name].bytes_per_pixel[coloured] for name in formats)
    looked_at = jobs[:: -(-len(jobs) // MOST_LOOKED_AT)]
    total, largest, example = 0.0, 0.0, ''
    for job in looked_at:
        width, height = job.picture_size() or (0, 0)
        pixels = -(-width // settings.stride) * -(-height // settings.stride)
        each = pixels * (RECORDING_BYTES if job.is_recording else of_files)
        total += each * job.pictures()
        if each > largest:
            largest = each
            example = (
                f'{job.label}: a picture of {width}x{height} gives up to {pixels / 1e6:.3g} '
                f'million points, {_shown(each)}'
            )
    total *= len(jobs) / max(len(looked_at), 1)
    if largest <= LARGE_PICTURE and total <= LARGE_RUN:
        return
    stride = settings.stride
    say(
        f'{example}; all results, up to {_shown(total)}. --stride {2 * stride} makes a quarter of '
        'that, --voxel-size less'
    )


def _shown(size: float) -> str:
    return f'{size / 1e9:.3g} GB' if size >= 1e9 else f'{size / 1e6:.3g} MB'
