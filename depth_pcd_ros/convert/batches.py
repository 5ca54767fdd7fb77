# SPDX-License-Identifier: Apache-2.0
"""Put pictures of one size together, for the network to run on all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from depth_pcd_ros.convert.steps import Picture, Step

# Steps in a batch for each of its pictures: the messages that a recording has between two pictures
# do not part them, and do not fill the memory either.
MOST_STEPS = 8


def batches(steps: Iterable[Step], size: int) -> Iterator[list[Step]]:
    """Divide steps, in their order, into lists with at most `size` pictures, all as large."""
    batch: list[Step] = []
    shape, count = None, 0
    for step in steps:
        if isinstance(step, Picture):
            if count and step.picture.rgb.shape != shape:
                yield batch
                batch, count = [], 0
            shape, count = step.picture.rgb.shape, count + 1
        batch.append(step)
        if count == size or len(batch) == MOST_STEPS * size:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch
