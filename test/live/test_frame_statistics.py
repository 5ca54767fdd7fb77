# SPDX-License-Identifier: Apache-2.0
"""Counts, rates and delays, by hand."""

import math

import pytest

from depth_pcd_ros.live.frame_statistics import LOG_PERIOD, Published, Statistics


def publish(statistics, time, latency=0.1, stamp_age=0.2, arrival_age=0.1):
    """Count a frame published at a time."""
    statistics.published(
        Published(time, latency, stamp_age, arrival_age, network_time=0.05, valid_fraction=0.5)
    )


def test_nothing_yet():
    """Before the first frame there are no rates, no delays and no failure."""
    summary = Statistics().summary(100.0)
    assert (summary.received, summary.published, summary.dropped) == (0, 0, {})
    assert (summary.seconds_since_image, summary.seconds_since_published) == (None, None)
    assert (summary.input_rate, summary.output_rate, summary.failure) == (0.0, 0.0, '')
    assert math.isnan(summary.latency_p50)
    assert math.isnan(summary.stamp_age_p99)


def test_each_end_of_a_frame_is_counted_once():
    """What has arrived is published, superseded, unwanted or dropped, and adds up."""
    statistics = Statistics()
    for time in range(10):
        statistics.received(float(time))
    publish(statistics, 1.0)
    statistics.superseded()
    statistics.unwanted()
    statistics.dropped('short_data', 'too short', 2.0)
    statistics.dropped('short_data', 'too short', 2.0)
    statistics.discarded(5)
    summary = statistics.summary(10.0)
    assert summary.dropped == {'short_data': 2, 'deactivated': 5}
    ends = summary.published + summary.superseded + summary.unwanted + sum(summary.dropped.values())
    assert ends == summary.received == 10


def test_images_that_nobody_took():
    """They have come all the same, and were superseded."""
    statistics = Statistics()
    statistics.received(9.0)
    statistics.replaced(3, 9.5)
    summary = statistics.summary(10.0)
    assert (summary.received, summary.superseded, summary.lost) == (4, 3, 0)
    assert summary.input_rate == pytest.approx(3.0)


def test_rate_falls_when_the_frames_cease():
    """10 Hz for 4 s is 10 Hz, 4 s later 5 Hz, and nothing after the window."""
    statistics = Statistics()
    for i in range(41):
        statistics.received(100.0 + 0.1 * i)
    assert statistics.summary(104.0).input_rate == pytest.approx(10.0)
    assert statistics.summary(108.0).input_rate == pytest.approx(5.0)
    assert statistics.summary(115.0).input_rate == 0.0
    assert statistics.summary(115.0).seconds_since_image == pytest.approx(11.0)


def test_quantiles_of_the_last_seconds():
    """Delays older than ten seconds are forgotten; p50 and p99 are those of 1 to 100 ms."""
    statistics = Statistics()
    publish(statistics, 80.0, latency=9.0, stamp_age=9.0)
    for i in range(1, 101):
        publish(statistics, 100.0, latency=i * 1e-3, stamp_age=i * 2e-3)
    summary = statistics.summary(101.0)
    assert summary.latency_p50 == pytest.approx(0.0505)
    assert summary.latency_p99 == pytest.approx(0.100)
    assert summary.stamp_age_p99 == pytest.approx(0.200)


def test_each_cause_is_logged_now_and_then():
    """The first of a cause is to be logged, then the first after each period, with the count."""
    statistics = Statistics()
    assert statistics.dropped('a', '', 0.0) == 1
    assert statistics.dropped('a', '', 1.0) == 0
    assert statistics.dropped('b', '', 1.0) == 1
    assert statistics.dropped('a', '', LOG_PERIOD) == 3


def test_failure_is_that_of_the_latest_frame():
    """A failure ends with the next good frame, and is remembered among the latest drops."""
    statistics = Statistics()
    statistics.dropped('bad', 'why', 1.0)
    assert statistics.summary(1.5).failure == 'why'
    publish(statistics, 2.0)
    summary = statistics.summary(3.0)
    assert (summary.failure, summary.lately_dropped, summary.latest_drop) == ('', {'bad': 1}, 'why')
    assert statistics.summary(12.0).lately_dropped == {}


def test_nobody_there():
    """The summary is idle while the latest frame was wanted by nobody."""
    statistics = Statistics()
    statistics.unwanted()
    assert statistics.summary(1.0).idle
    publish(statistics, 2.0)
    assert not statistics.summary(2.0).idle


def test_the_age_at_arrival_is_the_one_of_then():
    """Latencies are by another clock than stamps: simulated time may be four times as fast."""
    statistics = Statistics()
    for age in (0.1, 0.2, 0.4):
        publish(statistics, 1.0, latency=0.5, stamp_age=2.0 + age, arrival_age=age)
    assert statistics.summary(1.5).arrival_age == 0.2


def test_ages_from_before_a_jump_of_time_are_forgotten():
    """A frame that arrived before the clock jumped says nothing about the age of stamps."""
    statistics = Statistics()
    publish(statistics, 1.0, stamp_age=0.2)
    statistics.time_jumped(2.0)
    publish(statistics, 2.05, latency=0.1, stamp_age=-3600.0)
    assert math.isnan(statistics.summary(3.0).stamp_age_p50)
    publish(statistics, 3.0, latency=0.1, stamp_age=0.3)
    assert statistics.summary(3.0).stamp_age_p99 == pytest.approx(0.3)
    assert statistics.summary(3.0).latency_p50 == pytest.approx(0.1)
