# SPDX-License-Identifier: Apache-2.0
"""Which reading belongs to a picture: by the stamps, however they arrive."""

import threading
import time

import numpy as np
import pytest

from depth_pcd_ros.sync.readings import (
    KEPT,
    KEPT_CLOUDS,
    MAX_POINTS,
    PointsReading,
    RangeReading,
    Readings,
)

SECOND = 10**9


def reading(stamp):
    """A range whose distance is its stamp [s]."""
    return RangeReading(round(stamp * SECOND), 'sonar', stamp, 0.1, 1e6, 0.0)


def test_the_newest_that_is_not_newer():
    """Of 1.0, 1.1, 1.2 s, a picture of 1.15 s gets 1.1, whatever the order of arrival."""
    for order in ([1.0, 1.1, 1.2], [1.2, 1.0, 1.1]):
        readings = Readings()
        for stamp in order:
            readings.add(reading(stamp))
        assert readings.find(SECOND - 1) is None
        assert readings.find(round(1.15 * SECOND)).distance == 1.1
        assert readings.find(round(1.2 * SECOND)).distance == 1.2
        assert len(readings) == 1  # the older ones are forgotten


def test_a_picture_waits_for_what_is_on_its_way():
    """The reading of 1.1 s comes late, that of 1.3 s tells that no other will."""
    readings = Readings(patience=20.0)
    readings.add(reading(1.0))

    def later():
        for stamp in (1.1, 1.3):
            time.sleep(0.1)
            readings.add(reading(stamp))

    thread = threading.Thread(target=later)
    thread.start()
    found = readings.find(round(1.2 * SECOND))
    thread.join()
    assert found.distance == 1.1


def test_it_waits_for_a_silent_sensor_only_once():
    """After a wait in vain, pictures do not wait until something comes again."""
    readings = Readings(patience=0.3)
    readings.add(reading(1.0))
    start = time.monotonic()
    for i in range(20):
        assert readings.find((2 + i) * SECOND).distance == 1.0
    assert time.monotonic() - start < 0.6 + 0.3


def test_a_recording_that_begins_again():
    """Pictures of its end get the readings of its end, those of its beginning the new ones."""
    readings = Readings()
    for stamp in (5.0, 6.0, 7.0, 1.0, 2.0):
        readings.add(reading(stamp))
    assert readings.find(8 * SECOND).distance == 2.0  # the first picture: all before is over
    for stamp in (3.0, 9.0, 1.5, 2.5):
        readings.add(reading(stamp))
    assert readings.find(9 * SECOND).distance == 9.0
    assert readings.find(2 * SECOND).distance == 1.5
    assert readings.find(3 * SECOND).distance == 2.5
    assert readings.find(1 * SECOND) is None  # jumps back before any reading does
    assert len(readings) == 0


def test_a_picture_of_the_next_round_waits_for_its_reading():
    """Those of the round before do not count."""
    readings = Readings(patience=20.0)
    for stamp in (5.0, 6.0, 7.0):
        readings.add(reading(stamp))
    assert readings.find(6 * SECOND).distance == 6.0
    timer = threading.Timer(0.2, lambda: readings.add(reading(1.0)))
    timer.start()
    assert readings.find(SECOND).distance == 1.0
    timer.join()


@pytest.mark.parametrize('ahead', [3600.0, 5.0])
def test_the_clock_of_the_sensor_alone_is_set_back(ahead):
    """By an hour, or by 5 s: the next picture has its readings again."""
    readings = Readings()
    for i in range(40):
        now = 100.0 + 0.1 * i
        readings.add(reading(now + ahead if i < 10 else now - 0.02))
        found = readings.find(round(now * SECOND))
        assert (found is None) == (i < 10)
    assert found.distance == pytest.approx(now - 0.02)


def test_a_slow_network_finds_the_readings_of_a_minute_ago():
    """Of a range finder at 200 Hz, for the picture that has waited longest."""
    readings = Readings(patience=20.0)
    for i in range(200 * 60):
        readings.add(reading(i / 200))
    assert readings.find(SECOND).distance == 1.0
    assert readings.find(2 * SECOND).distance == 2.0


def test_memory_is_bounded():
    """By age where that is asked for, by number in any case; points are thinned out."""
    short, long, clouds = Readings(span=5.0), Readings(), Readings()
    for i in range(KEPT + 100):
        short.add(reading(0.1 * i))
        long.add(reading(0.1 * i))
    for i in range(KEPT_CLOUDS + 100):
        clouds.add(PointsReading(i, '', np.zeros((1, 3))))
    assert len(short) == pytest.approx(50, abs=1)
    assert len(long) == KEPT
    assert len(clouds) == KEPT_CLOUDS
    many = PointsReading(0, '', np.zeros((5 * MAX_POINTS + 1, 3)))
    assert MAX_POINTS / 2 < len(many.xyz) <= MAX_POINTS
