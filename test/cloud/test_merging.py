# SPDX-License-Identifier: Apache-2.0
"""One cloud of several cameras: where its points are, whose they are, and when it is due."""

import numpy as np
import pytest

from depth_pcd_ros.cloud.merging import Merging, valid_points_in

SECOND = 10**9
# base_from_optical of a camera that looks ahead (x ahead, y left, z up), 0.5 m above the base
AHEAD = (0.1, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5)


def points_at(z, count=1, fields=4):
    """So many points at a depth."""
    return np.full((count, fields), z, np.float32)


def test_points_in_the_common_frame():
    """2 m ahead, 1 m right, 0.3 m down of the lens; colours bit by bit; without invalid ones."""
    organized = np.full((2, 2, 4), np.nan, np.float32)
    colour = np.array([0xFFC81E], np.uint32).view(np.float32)[0]  # a NaN, as a float
    organized[1, 0] = (1.0, 0.3, 2.0, colour)
    found = valid_points_in(AHEAD, organized)
    np.testing.assert_allclose(found[:, :3], [[2.1, -1.0, 0.2]], atol=1e-6)
    assert found[0, 3:].view(np.uint32) == 0xFFC81E
    assert valid_points_in(AHEAD, organized[..., :3]).shape == (1, 3)
    assert np.isnan(organized[0]).all()


class Clouds:
    """What is merged, as the depths of the points."""

    def __init__(self, timeout=0.2):
        self.merging, self.timeout = Merging(), timeout

    def add(self, camera, seconds, z, now=1000.0):
        """The newest stamp [s] and the depths, None where it is not due."""
        stamp, now_ns = int(seconds * SECOND), int(now * SECOND)
        found = self.merging.add(camera, stamp, points_at(z), timeout=self.timeout, now_ns=now_ns)
        return found and (found[0] / SECOND, [z for one in found[1] for z in one[:, 2].tolist()])


def test_due_when_each_has_given_new_points():
    """The first ones at once; from then on when all are there, with the newest stamp."""
    clouds = Clouds()
    assert clouds.add('front', 10.0, 1.0) == (10.0, [1.0])
    assert clouds.add('rear', 10.05, 2.0) is None
    assert clouds.add('front', 10.1, 3.0) == (10.1, [3.0, 2.0])
    assert clouds.add('rear', 10.15, 4.0) is None
    assert clouds.add('front', 10.2, 5.0) == (10.2, [5.0, 4.0])


def test_a_faster_camera_does_not_wait():
    """It is due with its second points, and what the slow one gave last is in it."""
    clouds = Clouds()
    clouds.add('slow', 10.0, 1.0)
    found = [clouds.add('fast', 10.0 + 0.01 * i, 2.0 + i) for i in range(4)]
    assert found == [None, (10.01, [1.0, 3.0]), None, (10.03, [1.0, 5.0])]


def test_old_points_are_left_out():
    """Of a camera that is silent, and of one that is always late."""
    clouds = Clouds()
    clouds.add('silent', 10.0, 1.0)
    clouds.add('front', 10.0, 2.0)
    assert clouds.add('front', 10.2, 3.0) == (10.2, [1.0, 3.0])
    assert clouds.add('front', 10.3, 4.0) == (10.3, [4.0])
    assert clouds.add('late', 10.0, 5.0) is None
    assert clouds.add('front', 10.4, 6.0) == (10.4, [6.0])


def test_stamps_of_the_future_do_not_push_the_others_out():
    """One clock that is ahead; where all are, they are taken as they are."""
    clouds = Clouds()
    clouds.add('front', 999.9, 1.0)
    assert clouds.add('mad', 5000.0, 2.0) is None
    assert clouds.add('front', 1000.0, 3.0) == (1000.0, [3.0])
    ahead = Clouds()
    assert ahead.add('front', 2000.0, 1.0) == (2000.0, [1.0])
    assert ahead.add('rear', 2000.1, 2.0) is None
    assert ahead.add('front', 2000.2, 3.0) == (2000.2, [3.0, 2.0])


def test_a_recording_that_begins_again():
    """What was seen before is not of its time."""
    clouds = Clouds()
    clouds.add('front', 20.0, 1.0)
    clouds.add('rear', 20.0, 2.0)
    assert clouds.add('front', 10.0, 3.0) == (10.0, [3.0])
    assert clouds.add('rear', 10.0, 4.0) is None
    assert clouds.add('front', 10.1, 5.0) == (10.1, [5.0, 4.0])


@pytest.mark.parametrize('fields', [3, 4])
def test_colours_where_all_have_some(fields):
    """Else none has."""
    merging = Merging()
    merging.add('front', SECOND, points_at(1.0, 2), timeout=1.0, now_ns=SECOND)
    merging.add('rear', SECOND, points_at(2.0, 3, fields), timeout=1.0, now_ns=SECOND)
    _, merged = merging.add('front', SECOND, points_at(3.0, 2), timeout=1.0, now_ns=SECOND)
    assert [(one.shape, one.dtype) for one in merged] == [
        ((2, fields), np.float32),
        ((3, fields), np.float32),
    ]
