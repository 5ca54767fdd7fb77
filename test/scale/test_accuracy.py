# SPDX-License-Identifier: Apache-2.0
"""What docs/scale.md promises, on a short drive and a few frames of scenes/."""

from collections import Counter

import numpy as np
import pytest

from scenes import floors, scale

FRAMES = 15


@pytest.fixture(scope='module')
def runs():
    """Each source on the first frames of one drive, by kind of recording and source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scale, 'FRAMES', FRAMES)
        return {run.key: run for run in scale.on_drives(1, None)}


@pytest.mark.parametrize(
    ('kind', 'source', 'limit'),
    [
        ('constant', 'points, scale', 0.02),
        ('drifting', 'points, scale', 0.02),
        ('constant', 'points, scale_shift', 0.02),
        ('and 0.3 m off', 'points, scale_shift', 0.02),
        ('constant', 'range', 0.03),
        ('drifting', 'range', 0.03),
        ('constant', 'plane', 0.05),
        ('drifting', 'plane', 0.05),
    ],
)
def test_error_after_ten_frames(runs, kind, source, limit):
    """The median error of the frames from the tenth on, and no jump above the bound."""
    run = runs[kind, source]
    assert len(run.errors) == FRAMES - 10
    assert np.mean(run.errors) < limit
    assert 0.0 < run.jump <= run.settings.scale_step + 1e-9


def test_it_was_wrong_before(runs):
    """Without a source, the error is far above those limits."""
    assert np.mean(runs['drifting', 'none'].errors) > 0.1


def test_plane_holds_where_there_is_no_floor():
    """Few of the frames without a floor, or with a larger table, give a wrong scale."""
    counts = Counter()
    for name, seed, shot in floors.shots(12):
        counts[name, floors.outcome(shot, seed, known=True)] += 1
    assert counts['floor ahead', 'right'] >= 11
    wrong = sum(n for (name, what), n in counts.items() if what == 'wrong')
    assert wrong <= 1, counts
    assert counts['no floor', 'right'] == 0
