# SPDX-License-Identifier: Apache-2.0
"""The metrics against the official formulas written down anew, and against numbers by hand."""

import dataclasses

import numpy as np
import pytest

from depth_pcd_ros.evaluate import metrics


def official(z, t):
    """Depth Anything V2's formulas, of arrays without invalid pixels, in NumPy's double precision.

    Written from the definitions in metric_depth/util/metric.py, one statement each.
    """
    ratio = np.maximum(t / z, z / t)
    logarithms = np.log(z) - np.log(t)
    return {
        'abs_rel': np.mean(np.abs(z - t) / t),
        'sq_rel': np.mean((z - t) ** 2 / t),
        'rmse': np.sqrt(np.mean((z - t) ** 2)),
        'rmse_log': np.sqrt(np.mean(logarithms**2)),
        'log10': np.mean(np.abs(np.log10(z) - np.log10(t))),
        'silog': np.sqrt(np.mean(logarithms**2) - 0.5 * np.mean(logarithms) ** 2),
        'delta1': np.mean(ratio < 1.25),
        'delta2': np.mean(ratio < 1.25**2),
        'delta3': np.mean(ratio < 1.25**3),
    }


@pytest.fixture
def pair():
    """A depth and a truth with invalid pixels of every kind in both, and which are valid."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.3, 12.0, (48, 64)).astype(np.float32)
    depth = (truth * rng.lognormal(0.1, 0.3, truth.shape)).astype(np.float32)
    valid = np.ones(truth.shape, bool)
    for i, invalid in enumerate((0.0, np.nan, np.inf, -1.0)):
        truth[i, :9], depth[10 + i, 5:20] = invalid, invalid
        valid[i, :9] = valid[10 + i, 5:20] = False
    return depth, truth, valid


def test_as_the_official_formulas(pair):
    """To 1e-6 on the same pixels, and only on those that are valid in both."""
    depth, truth, valid = pair
    expected = official(depth[valid].astype(float), truth[valid].astype(float))
    found = dataclasses.asdict(metrics.compare(depth, truth))
    assert found == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(metrics.valid(depth, truth), valid)


def test_aligned_by_the_median(pair):
    """The ratio of the medians is applied first, so that a factor on the depth changes nothing."""
    depth, truth, valid = pair
    z, t = depth[valid].astype(float), truth[valid].astype(float)
    expected = official(z * np.median(t) / np.median(z), t)
    for factor in (1.0, 3.0):
        found = metrics.compare_aligned(depth.astype(float) * factor, truth)
        assert dataclasses.asdict(found) == pytest.approx(expected, rel=1e-6)


def test_by_hand():
    """Two known pixels, one 10 % and one 30 % too far, and one unknown."""
    depth, truth = np.array([[2.2, 1.3, 9.0]]), np.array([[2.0, 1.0, 0.0]])
    found = metrics.compare(depth, truth)
    a, b = np.log(1.1), np.log(1.3)
    assert found.abs_rel == pytest.approx(0.2)
    assert found.sq_rel == pytest.approx((0.04 / 2 + 0.09) / 2)
    assert found.rmse == pytest.approx(np.sqrt((0.04 + 0.09) / 2))
    assert found.rmse_log == pytest.approx(np.sqrt((a * a + b * b) / 2))
    assert found.log10 == pytest.approx((np.log10(1.1) + np.log10(1.3)) / 2)
    assert found.silog == pytest.approx(np.sqrt((a * a + b * b) / 2 - ((a + b) / 2) ** 2 / 2))
    assert (found.delta1, found.delta2, found.delta3) == (0.5, 1.0, 1.0)
    assert metrics.scale_of(depth, truth) == pytest.approx((1 / 1.1 + 1 / 1.3) / 2)


def test_the_thresholds_are_exclusive():
    """A ratio of 1.25 is outside of delta 1, of 1.25^2 outside of delta 2, either way round."""
    truth = np.array([4.0, 5.0, 16.0, 25.0])
    found = metrics.compare(np.array([5.0, 4.0, 25.0, 16.0]), truth)
    assert (found.delta1, found.delta2, found.delta3) == (0.0, 0.5, 1.0)


def test_mean_over_frames():
    """Frames weigh the same, however many pixels they have."""
    one = metrics.compare(np.full(1, 2.0), np.full(1, 1.0))
    many = metrics.compare(np.full(100, 1.0), np.full(100, 1.0))
    assert metrics.mean([one, many]).abs_rel == pytest.approx(0.5)
    assert metrics.mean([one, many]).delta1 == pytest.approx(0.5)


def test_what_cannot_be_compared():
    """Other shapes and nothing valid are errors, never zeros."""
    with pytest.raises(ValueError, match=r'depth is \(2,\) and truth \(3,\)'):
        metrics.compare(np.ones(2), np.ones(3))
    for truth in (np.zeros(2), np.full(2, np.nan)):
        with pytest.raises(ValueError, match='no pixel has both'):
            metrics.compare(np.ones(2), truth)
