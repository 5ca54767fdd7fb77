# SPDX-License-Identifier: Apache-2.0
"""One distance along a beam, against geometry worked out by hand."""

import math

import numpy as np
import pytest

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.beam import measure
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.sync.readings import RangeReading

CAMERA = Camera(640, 480, 500.0, 500.0, 320.0, 240.0)
AHEAD, CENTRE = (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)


def wall(z=2.0):
    """A wall across the view, (H, W) float32 [m]."""
    return np.full((480, 640), z, np.float32)


def reading(distance, field_of_view=0.0):
    """What a sensor says that measures 0.2 to 8 m."""
    return RangeReading(0, 'sonar', distance, 0.2, 8.0, field_of_view)


def scale(depth, distance, origin=CENTRE, direction=AHEAD, field_of_view=0.0):
    """The scale that is measured."""
    given = reading(distance, field_of_view)
    return measure(depth, CAMERA, given, (origin, direction), 20.0).scale


def test_along_the_axis():
    """A wall at 2 m of the network that is 2.5 m away."""
    assert scale(wall(), 2.5) == pytest.approx(1.25, rel=1e-4)


def test_the_distance_is_along_the_beam():
    """To the right by atan(0.3): the wall at z = 2 m is 2 sqrt(1.09) m away."""
    direction = (0.3, 0.0, 1.0)
    assert scale(wall(), 1.1 * 2 * math.sqrt(1.09), direction=direction) == pytest.approx(
        1.1, rel=2e-3
    )


def test_a_sensor_beside_the_camera():
    """A sensor 0.1 m to the right and 0.5 m back reads 0.5 m more."""
    assert scale(wall(), 2.5 + 0.5, origin=(0.1, 0.0, -0.5)) == pytest.approx(1.25, rel=1e-3)


def test_a_cone_takes_the_median():
    """In a cone of 30 deg, a third of which shows something near, the rest tells."""
    depth = wall()
    depth[:, 380:] = 1.9
    assert scale(depth, 2.0, field_of_view=math.radians(30)) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize('distance', [0.1, 8.1, math.inf, -math.inf, math.nan, -1.0, 0.0], ids=str)
def test_out_of_range_is_no_distance(distance):
    """REP 117: inf and NaN are no measurements, nor is what is beyond the limits."""
    with pytest.raises(ScaleError) as err:
        scale(wall(), distance)
    assert err.value.cause == 'out_of_range'


@pytest.mark.parametrize(
    ('depth', 'direction', 'cause'),
    [
        (wall(), (1.0, 0.0, 0.1), 'outside'),
        (wall(), (0.0, 0.0, -1.0), 'outside'),
        (wall(20.0), AHEAD, 'saturated'),
        (np.where(np.arange(640) < 320, wall(1.0), wall(3.0)), AHEAD, 'at_edges'),
    ],
)
def test_what_it_cannot_be_compared_with(depth, direction, cause):
    """Each reason has its name."""
    with pytest.raises(ScaleError) as err:
        scale(depth, 2.0, direction=direction)
    assert err.value.cause == cause


def test_nothing_in_reach():
    """A sensor 3 m behind the camera cannot be 1 m from anything before it."""
    with pytest.raises(ScaleError):
        scale(wall(), 1.0, origin=(0.0, 0.0, -3.0))
