# SPDX-License-Identifier: Apache-2.0
"""The inverse-depth picture."""

import cv2
import numpy as np
import pytest

from depth_pcd_ros.show.colorize import color_range, colorize


def test_colours_are_those_of_turbo_over_inverse_depth():
    """From 1 m to 4 m, 1.6 m has (1 / 1.6 - 1 / 4) / (1 - 1 / 4) = 0.5 of the way: level 127.5."""
    depth = np.array([[1.0, 1.6, 4.0]], np.float32)
    turbo = cv2.applyColorMap(np.arange(256, dtype=np.uint8).reshape(1, -1), cv2.COLORMAP_TURBO)[0]
    picture = colorize(depth, 1.0, 4.0)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[0, [0, 2]], turbo[[255, 0]])
    assert picture[0, 1].tolist() in turbo[127:129].tolist()


def test_near_is_warm_and_far_is_cold():
    """BGR: red prevails near by, blue far away."""
    near, far = colorize(np.array([[0.5, 18.0]], np.float32), 0.4, 20.0)[0].astype(int)
    assert near[2] > near[0] + 50
    assert far[0] > far[2]


def test_outside_the_range_is_its_end():
    """Nearer than near is as near; farther than far is as far."""
    picture = colorize(np.array([[0.1, 1.0, 4.0, 80.0]], np.float32), 1.0, 4.0)[0]
    np.testing.assert_array_equal(picture[0], picture[1])
    np.testing.assert_array_equal(picture[2], picture[3])
    assert (picture[1] != picture[2]).any()


def test_invalid_is_black():
    """NaN and infinite depth; no valid depth is black."""
    depth = np.array([[np.nan, np.inf, 0.5, 30.0]], np.float32)
    assert colorize(depth, 1.0, 4.0).any(axis=-1).tolist() == [[False, False, True, True]]


def test_a_colour_does_not_depend_on_the_rest_of_the_frame():
    """The range is fixed, so that colours do not flicker."""
    alone = colorize(np.full((2, 2), 2.0, np.float32), 0.5, 20.0)
    among = colorize(np.array([[2.0, 0.6], [19.0, np.nan]], np.float32), 0.5, 20.0)
    np.testing.assert_array_equal(alone[0, 0], among[0, 0])


@pytest.mark.parametrize(('near', 'far'), [(0.0, 1.0), (2.0, 2.0), (3.0, 2.0), (1.0, np.nan)])
def test_impossible_range(near, far):
    """Is refused with its numbers."""
    with pytest.raises(ValueError, match=f'near is {near} m and far {far} m'):
        colorize(np.ones((2, 2), np.float32), near, far)


def test_range_of_colours():
    """The warm end is 1/16 of the range or min_depth; always in order, as `colorize` wants it."""
    assert color_range(0.1, 20.0) == (1.25, 20.0)
    assert color_range(2.0, 20.0) == (2.0, 20.0)
    assert color_range(0.0, 20.0) == (1.25, 20.0)
    assert color_range(30.0, 20.0) == (30.0, 60.0)
