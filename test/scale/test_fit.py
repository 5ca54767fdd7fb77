# SPDX-License-Identifier: Apache-2.0
"""Robust fits against numbers that are known, and against an exact linear program."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pcd_ros.scale.fit import _least_absolute, fit
from depth_pcd_ros.scale.measurement import ScaleError


def noisy(seed, count, scale, shift, wrong):
    """Depths of a network with 2 % error, the true ones, a share of which is anything."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.5, 8.0, count)
    depth = (true - shift) / scale * (1 + 0.02 * rng.standard_normal(count))
    bad = rng.permutation(count) < wrong * count
    true[bad] = rng.uniform(0.3, 10.0, bad.sum())
    usable = depth > 0.05
    return true[usable], depth[usable]


@given(st.integers(0, 999), st.floats(0.8, 1.25))
@settings(max_examples=50, deadline=None)
def test_scale_with_a_fifth_wrong(seed, scale):
    """200 points, 20 % wrong: the factor within 1 %."""
    found = fit(*noisy(seed, 200, scale, 0.0, 0.2), 'scale')
    assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.shift == 0.0
    assert 150 <= found.inliers <= 195


@given(st.integers(0, 999), st.floats(0.8, 1.25), st.floats(-0.3, 0.3))
@settings(max_examples=50, deadline=None)
def test_scale_and_shift_with_a_fifth_wrong(seed, scale, shift):
    """The line that is found is nowhere farther than 3 % from the true one."""
    found = fit(*noisy(seed, 200, scale, shift, 0.2), 'scale_shift')
    depth = np.linspace(1.0, 8.0, 20)
    np.testing.assert_allclose(found.scale * depth + found.shift, scale * depth + shift, rtol=0.03)


def test_exact_points_give_the_exact_line():
    """Without noise, any nine of thirteen points on a line give it."""
    depth = np.arange(1.0, 14.0)
    true = 1.1 * depth - 0.25
    true[[2, 5, 8, 11]] = 20.0, 0.4, 3.0, 31.0
    found = fit(true, depth, 'scale_shift')
    assert (found.scale, found.shift) == pytest.approx((1.1, -0.25), abs=1e-6)
    assert found.inliers == 9


def test_least_absolute_deviations_are_least():
    """The best line goes through two of the points: all pairs are tried."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        depth = rng.uniform(0.5, 8.0, 25)
        true = 1.2 * depth + 0.1 + rng.laplace(0, 0.1, 25) * depth

        def cost(scale, shift, true=true, depth=depth):
            return np.sum(np.abs(true - scale * depth - shift) / depth)

        best = np.inf
        for i, j in itertools.combinations(range(25), 2):
            scale = (true[i] - true[j]) / (depth[i] - depth[j])
            best = min(best, cost(scale, true[i] - scale * depth[i]))
        assert cost(*_least_absolute(true, depth, np.ones_like(depth))) <= 1.01 * best


@pytest.mark.parametrize('kind', ['scale', 'scale_shift'])
@pytest.mark.parametrize(
    ('case', 'cause'),
    [
        ('none', 'too_few_points'),
        ('one', 'too_few_points'),
        ('five', 'too_few_points'),
        ('one depth', 'one_depth'),
        ('all wrong', 'no_agreement'),
    ],
)
def test_degenerate(kind, case, cause):
    """What does not tell the scale is refused by name."""
    true, depth = noisy(1, 200, 1.1, 0.0, 0.0)
    if case in ('none', 'one', 'five'):
        n = {'none': 0, 'one': 1, 'five': 5}[case]
        true, depth = true[:n], depth[:n]
    elif case == 'one depth':
        true, depth = np.full(200, 2.0), np.full(200, 1.9)
    else:
        true = np.random.default_rng(2).permutation(true) ** 2
    with pytest.raises(ScaleError) as err:
        fit(true, depth, kind)
    assert err.value.cause == cause


def test_little_spread_tells_a_scale_but_no_shift():
    """Points from 2.0 to 2.2 m: enough for a factor, too little for a line."""
    depth = np.linspace(2.0, 2.2, 50)
    assert fit(1.1 * depth, depth, 'scale').scale == pytest.approx(1.1)
    with pytest.raises(ScaleError, match=r'all points are 2\.21 to 2\.41 m deep'):
        fit(1.1 * depth, depth, 'scale_shift')
