# SPDX-License-Identifier: Apache-2.0
"""The correction over time: smooth, bounded, held."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.scale.tracker import ScaleState, Tracker
from depth_pcd_ros.settings import Settings

FRAME = 10**8  # ns
SETTINGS = Settings().replace({'scale_source': 'points', 'scale_smoothing': 1.0})
SILENT = ScaleError('silent', 'nothing')


def good(scale, shift=0.0):
    """A measurement."""
    return Measurement(scale, shift, 50)


def test_the_first_frame_is_corrected_at_once():
    """There is no frame before it to jump from."""
    state = Tracker().update(0, good(1.3), SETTINGS)
    assert (state.scale, state.inliers, state.held_for, state.reason) == (1.3, 50, 0.0, '')


def test_a_source_that_begins_later_is_followed_step_by_step():
    """From 1.0 by 5 % a frame: 1.05, 1.1025, 1.1576, 1.2."""
    tracker = Tracker()
    assert tracker.update(0, SILENT, SETTINGS).scale == 1.0
    scales = [tracker.update(i * FRAME, good(1.2), SETTINGS).scale for i in range(1, 5)]
    assert scales == pytest.approx([1.05, 1.1025, 1.157625, 1.2])


def test_mean_at_first_then_exponential_by_the_stamps():
    """1.0, 1.1 and 1.2 have the mean 1.1; after 1 s, exp(-1) of the old value is left."""
    tracker = Tracker()
    for i, scale in enumerate([1.0, 1.1, 1.2]):
        state = tracker.update(i * FRAME // 100, good(scale), SETTINGS)
    assert state.scale == pytest.approx(1.1)
    state = tracker.update(2 * FRAME // 100 + 10**9, good(1.15), SETTINGS)
    assert state.scale == pytest.approx(1.15 - 0.05 * math.exp(-1))


def test_it_holds_and_tells_why():
    """The last good scale and its inliers stay; the time since is told."""
    tracker = Tracker()
    tracker.update(0, good(1.1, 0.05), SETTINGS)
    state = tracker.update(3 * FRAME, SILENT, SETTINGS)
    assert (state.scale, state.shift, state.inliers) == (1.1, 0.05, 50)
    assert (state.cause, state.reason, state.held_for) == ('silent', 'nothing', pytest.approx(0.3))
    assert Tracker().update(0, SILENT, SETTINGS).held_for == math.inf


@pytest.mark.parametrize('scale', [0.49, 2.01])
def test_out_of_bounds_is_not_believed(scale):
    """A scale outside the bounds is held off."""
    tracker = Tracker()
    tracker.update(0, good(1.1), SETTINGS)
    state = tracker.update(FRAME, good(scale), SETTINGS)
    assert (state.scale, state.cause) == (1.1, 'out_of_bounds')
    assert 'scale_bounds are 0.5 to 2' in state.reason


@pytest.mark.parametrize('source', ['range', 'plane', 'motion'])
@pytest.mark.parametrize(('known', 'needed'), [(0, 10), (30, 30), (100, 100), (200, 100)])
def test_a_surprise_must_insist(source, known, needed):
    """It is believed after as long as what is held was measured: 1 s at least, 10 s at most."""
    settings = SETTINGS.replace(
        {'scale_source': source, 'camera_height': 1.0, 'scale_smoothing': 0.0}
    )
    tracker = Tracker()
    for i in range(known + 1):
        tracker.update(i * FRAME, good(1.0), settings)
    start = (known + 50) * FRAME  # it was silent for a while, which proves nothing
    for i in range(needed):
        state = tracker.update(start + i * FRAME, good(1.5), settings)
        assert (state.scale, state.cause) == (1.0, 'disagrees')
    for i in range(needed, needed + 24):
        state = tracker.update(start + i * FRAME, good(1.5), settings)
        assert not state.cause
    assert state.scale == pytest.approx(1.5)


def test_surprises_that_differ_do_not_add_up():
    """A beam that meets now this and now that is never believed."""
    settings = SETTINGS.replace({'scale_source': 'range'})
    tracker = Tracker()
    for i in range(101):
        tracker.update(i * FRAME, good(1.0), settings)
    for i in range(101, 400):
        state = tracker.update(i * FRAME, good(1.4 if i // 50 % 2 else 1.8), settings)
        assert state.cause == 'disagrees'


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(st.floats(0.3, 2.5), st.floats(-1.0, 1.0))), max_size=40
    ),
    st.lists(st.integers(-2 * FRAME, 50 * FRAME), min_size=40, max_size=40),
)
@hypothesis_settings(deadline=None)
def test_no_jump_above_the_bound(measured, intervals):
    """Whatever is measured, at whatever stamps, one frame changes by scale_step at most."""
    tracker, stamp, last = Tracker(), 0, None
    for one, interval in zip(measured, intervals, strict=False):
        stamp += interval
        given = SILENT if one is None else good(*one)
        state = tracker.update(stamp, given, SETTINGS)
        if last is not None:
            assert abs(state.scale - last.scale) <= SETTINGS.scale_step * last.scale + 1e-12
            assert abs(state.shift - last.shift) <= SETTINGS.scale_step + 1e-12
        assert 0.5 - 1e-9 <= state.scale <= 2.0 + 1e-9
        last = state


def test_a_robot_that_stands_is_no_fault():
    """The scale is frozen where nothing was measured yet, or where something else is missing."""
    stands = ScaleState(cause='no_motion', reason='it stands', held_for=60.0)
    assert not stands.frozen(0.5)
    assert dataclasses.replace(stands, held_for=math.inf).frozen(0.5)
    assert dataclasses.replace(stands, cause='no_parallax').frozen(0.5)
