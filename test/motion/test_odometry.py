# SPDX-License-Identifier: Apache-2.0
"""Odometry at the stamps of pictures."""

import math

import numpy as np
import pytest

from depth_pcd_ros.geometry import transform
from depth_pcd_ros.sync.odometry import Odometry, OdometryReading, interpolate, odom_from_camera

S = 10**9
QUARTER = math.sqrt(0.5)


def reading(seconds, x, yaw=0.0):
    """The base at x on the axis, turned about z."""
    turn = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    return OdometryReading(round(seconds * S), 'odom', 'base_link', (x, 0.0, 0.0, *turn))


def odometry(*readings):
    """All of them, in any order."""
    odometry = Odometry()
    for one in readings:
        odometry.add(one)
    return odometry


def test_between_two_readings():
    """A third of the way: 1 m of 3, 30 deg of 90."""
    found = odometry(reading(10.3, 3.0, math.pi / 2), reading(10.0, 0.0)).find(round(10.1 * S))
    expected = (1.0, 0.0, 0.0, 0.0, 0.0, math.sin(math.pi / 12), math.cos(math.pi / 12))
    np.testing.assert_allclose(found.odom_from_base, expected, atol=1e-9)
    assert (found.stamp_ns, found.child_frame_id) == (round(10.1 * S), 'base_link')


def test_the_shorter_way_round():
    """Q and -q are the same rotation: nothing turns between them."""
    turned = interpolate((0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, -1), 0.4)
    np.testing.assert_allclose(np.abs(turned), (0, 0, 0, 0, 0, 0, 1))


@pytest.mark.parametrize(
    ('seconds', 'x'), [(10.0, 0.0), (10.15, 1.5), (9.9, None), (10.35, None), (10.25, 2.5)]
)
def test_what_the_readings_reach(seconds, x):
    """Not before the first; a little after the last, by the same speed; not far after it."""
    found = odometry(reading(10.0, 0.0), reading(10.1, 1.0), reading(10.2, 2.0)).find(
        round(seconds * S)
    )
    if x is None:
        assert found is None
    else:
        assert found.odom_from_base[0] == pytest.approx(x)


def test_a_gap_tells_nothing():
    """Between readings a second apart the robot may have been anywhere."""
    assert odometry(reading(10.0, 0.0), reading(11.0, 1.0)).find(round(10.5 * S)) is None


def test_a_recording_that_begins_again():
    """A picture from before the jump has the readings from before, one from after it the others."""
    found = odometry(reading(100.0, 9.0), reading(100.2, 9.2))
    assert found.find(100 * S).odom_from_base[0] == pytest.approx(9.0)
    found.add(reading(10.0, 0.0))
    assert found.find(round(100.1 * S)).odom_from_base[0] == pytest.approx(9.1)
    found.add(reading(10.2, 1.0))
    assert found.find(round(10.1 * S)).odom_from_base[0] == pytest.approx(0.5)


def test_a_loop_with_the_stamps_of_the_round_before():
    """The second round goes elsewhere: none of its pictures has a pose of the first one."""
    rounds = [[reading(s, s * x) for s in range(20)] for x in (1.0, -1.0)]
    found = odometry(*rounds[0])
    assert found.find(15 * S).odom_from_base[0] == pytest.approx(15.0)
    for second in range(20):
        found.add(rounds[1][second])
        assert found.find(second * S).odom_from_base[0] == pytest.approx(-second)


def test_pictures_that_wait_for_the_network():
    """Five minutes of readings at 200 Hz are there, and go as the pictures pass."""
    found = Odometry(patience=0.5)
    for i in range(60_000):
        found.add(reading(i / 200, i / 200))
    assert found.find(round(0.5025 * S)).odom_from_base[0] == pytest.approx(0.5025)
    assert found.find(250 * S).odom_from_base[0] == pytest.approx(250.0)
    assert len(found) < 12_000


def test_two_readings_of_one_stamp():
    """Of two, the later one counts; what is newer has moved on as before them."""
    twice = [reading(10.2, 2.0), reading(10.2, 2.1)]
    found = odometry(reading(10.1, 1.0), *twice)
    assert found.find(round(10.2 * S)).odom_from_base[0] == pytest.approx(2.1)
    assert found.find(round(10.25 * S)).odom_from_base[0] == pytest.approx(2.65)


def test_readings_close_together_do_not_throw_the_robot_ahead():
    """Two messages of a burst, 0.2 ms and 1 cm apart, are no speed of 50 m/s."""
    found = odometry(reading(10.0, 0.0), reading(10.0998, 0.09), reading(10.1, 0.1))
    assert found.find(round(10.15 * S)).odom_from_base[0] == pytest.approx(0.15)


def test_the_camera_on_a_robot():
    """A camera 0.2 m ahead of the base, looking ahead: REP 103's rotation, by hand."""
    base_from_optical = (0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5)
    turned = reading(10.0, 1.0, math.pi / 2)  # at (1, 0), heading along y
    found, why = odom_from_camera(turned, '', transform.invert(base_from_optical), None)
    assert not why
    ahead = transform.apply(found, np.array([[0.0, 0.0, 2.0]]))  # 2 m before the lens
    np.testing.assert_allclose(ahead, [[1.0, 2.2, 0.5]], atol=1e-9)
