# SPDX-License-Identifier: Apache-2.0
"""What all jobs have in common: batches, threads in a row, the parts of an input."""

import time

import numpy as np
import pytest

from depth_pcd_ros import frame
from depth_pcd_ros.work.job import Picture, Write
from depth_pcd_ros.work.overlap import overlap
from depth_pcd_ros.work.run import MOST_STEPS, batches
from depth_pcd_ros.work.selection import Selection


def picture(name, width):
    """A black picture to be read."""
    return Picture(name, frame.Picture(np.zeros((4, width, 3), np.uint8), None), None)


def labels(steps, size):
    """The labels of the steps in each batch."""
    return [''.join(step.label for step in batch) for batch in batches(steps, size)]


def test_batches():
    """As many pictures as asked for, of one size, in order; what is no picture lies between."""
    wide, small = (lambda name: picture(name, 8)), (lambda name: picture(name, 6))
    other = Write('-', print)
    steps = [wide('a'), other, wide('b'), wide('c'), small('d'), other, wide('e'), other]
    assert labels(steps, 2) == ['a-b', 'c', 'd-', 'e-']
    assert labels(steps, 1) == ['a', '-b', 'c', 'd', '-e', '-']
    assert labels([], 2) == []
    many = [other] * (2 * MOST_STEPS + 1)  # they do not pile up
    assert labels(many, 2) == ['-' * 2 * MOST_STEPS, '-']


def test_count():
    """How many pictures there will be, for the progress bar."""
    assert Selection().count(10) == Selection().count(10, 5.0) == 10
    assert Selection(every=4).count(10) == Selection(every=4).count(10, 5.0) == 3
    assert Selection(start=0.5, end=1.3).count(10, 5.0) == 4  # 3 to 6


def test_overlap_in_order():
    """Items come out in order, each transformed."""
    found = []
    overlap(range(50), lambda n: n * n, found.append)
    assert found == [n * n for n in range(50)]


@pytest.mark.parametrize('stage', range(3))
def test_overlap_ends_with_an_error(stage):
    """An error of any thread is raised here, and ends the others."""

    def fail_at(mine):
        def check(item):
            if mine == stage and item == 5:
                raise OSError('disk full')
            return item

        return check

    with pytest.raises(OSError, match='disk full'):
        overlap(map(fail_at(0), range(10**9)), fail_at(1), fail_at(2))


def test_overlap_is_bounded():
    """Reading does not run ahead of writing."""
    read, written = [], []

    def consume(item):
        time.sleep(0.002)
        assert len(read) - len(written) <= 9
        written.append(item)

    overlap((read.append(n) or n for n in range(40)), lambda n: n, consume)
    assert written == list(range(40))
