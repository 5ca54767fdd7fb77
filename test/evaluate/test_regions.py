# SPDX-License-Identifier: Apache-2.0
"""Errors by distance, place and edge, and what is measured of a frame, by hand."""

import json

import numpy as np
import pytest

from depth_pcd_ros.evaluate import regions
from depth_pcd_ros.evaluate.frame_measures import TruthError, check_unit, measure, published
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import Settings

CAMERA = Camera(160, 120, 100.0, 100.0, 79.5, 59.5)


def scene():
    """A box at 2 m before a wall at 4 m, drawn with a soft left side: 2.5, 3, 3.5 m."""
    truth = np.full((120, 160), 4.0, np.float32)
    truth[30:90, 60:100] = 2.0
    depth = truth.copy()
    depth[30:90, 57:60] = 3.5, 3.0, 2.5
    return depth, truth


def summed(depth, truth):
    """The sums of a row of pixels, or several, none at an edge."""
    depth, truth = (np.atleast_2d(one).astype(np.float32) for one in (depth, truth))
    return regions.add_up(depth, truth, regions.Edges(np.zeros(depth.shape, bool), None))


def test_by_distance():
    """Sums of each range of the true distance; the bound belongs to the farther one."""
    found = summed([1.1, 2.0, 2.0, 50.0, 3.0], [1.0, 2.0, 4.0, 100.0, np.nan]).by_distance
    assert found.shape == (7, 5)
    np.testing.assert_allclose(found[0], [1, 0.1, 0.01, np.log(1.1), 1], rtol=1e-5)
    np.testing.assert_allclose(found[1], [2, 0.5, 4.0, np.log(0.5), 1], rtol=1e-6)
    np.testing.assert_allclose(found[6], [1, 0.5, 2500.0, np.log(0.5), 0], rtol=1e-6)
    assert not found[2:6].any()


def test_by_place():
    """Each pixel counts in its ninth of the picture, row by row."""
    depth = np.ones((6, 9))
    depth[5, 0] = 2.0  # below on the left
    depth[2, 8] = np.nan  # right, in the middle
    found = summed(depth, np.ones((6, 9))).by_place
    np.testing.assert_array_equal(found[:, 0], [6, 6, 6, 6, 6, 5, 6, 6, 6])
    np.testing.assert_array_equal(found[:, 1], [0, 0, 0, 0, 0, 0, 1, 0, 0])


def test_errors_and_estimates():
    """Histograms: ln(z / t) in bins of 0.02, the estimate in bins of 10 %."""
    truth = np.array([1.0, 1.0, 1.0, np.nan])
    depth = np.array([1.0, np.exp(0.04), 100.0, 1.0])
    found = summed(depth, truth).errors
    assert np.flatnonzero(found).tolist() == [100, 102, 200]
    everything, good = regions.by_estimate(depth, truth)
    at = int(np.log(1.0 / 0.05) / np.log(1.1))
    assert everything[at] == 2 == good[at]
    assert everything.sum() == 3
    assert good.sum() == 2


def test_edges_and_flying_pixels():
    """What hangs between the box and the wall flies; the filter drops it, and tells how much."""
    depth, truth = scene()
    edges = regions.find_edges(depth, truth)
    assert edges.at[60, 59]
    assert not edges.at[60, 56]
    assert not edges.at[60, 80]
    rows, columns = np.nonzero(edges.flying)
    assert set(columns) == {59}  # reach is one pixel here: 120 / 160
    assert len(rows) == 60
    away, at = regions.add_up(depth, truth, edges).by_edge
    assert at[0] == np.count_nonzero(edges.at)
    assert at[1] == pytest.approx(60 * 1.5 / 4)
    assert away[1] == pytest.approx(60 * (0.5 + 1.0) / 4)
    flying, good = regions.try_edge_filter(depth, truth, CAMERA, edges)
    assert flying[0] == 0 or flying[0] <= flying[-1]
    assert flying[-1] == 60
    assert good[-1] == 0


def test_a_frame():
    """Everything there is, as JSON has it; of the depth as it is published."""
    pytest.importorskip('scipy')
    depth, truth = scene()
    settings = Settings('demo', edge_filter=84.0, max_range=3.9)
    shown = published(depth, CAMERA, settings)
    assert np.isnan(shown[truth == 4.0]).mean() > 0.99
    assert np.isnan(shown[30:90, 57:60]).all()
    found = json.loads(json.dumps(measure(depth, shown, truth, CAMERA)))
    assert found['metrics']['abs_rel'] == 0.0
    assert found['pixels'] == 60 * 40
    assert found['coverage'] == pytest.approx(60 * 40 / (120 * 160))
    assert found['known'] == 1.0
    assert found['flying'] == 0
    assert found['scale'] == 1.0
    twice = measure(2 * depth, 2 * depth, truth, CAMERA)
    assert twice['metrics']['abs_rel'] == pytest.approx(1.0, abs=0.02)
    assert twice['aligned']['abs_rel'] == pytest.approx(0.0, abs=0.02)
    assert twice['scale'] == pytest.approx(0.5)
    assert twice['flying'] == 60


def test_a_truth_without_a_pixel():
    """Empty, all NaN, and nothing in common are told apart; none gives zeros."""
    depth, truth = scene()
    for empty in (np.zeros_like(truth), np.full_like(truth, np.nan), np.full_like(truth, np.inf)):
        with pytest.raises(TruthError, match='no valid pixel') as caught:
            measure(depth, depth, empty, CAMERA)
        assert caught.value.cause == 'truth_empty'
    with pytest.raises(TruthError, match='none of the 19200 pixels') as caught:
        measure(depth, np.full_like(depth, np.nan), truth, CAMERA)
    assert caught.value.cause == 'nothing_valid'


@pytest.mark.parametrize(
    ('factor', 'message'),
    [
        (1000.0, r'1000 times .* factor of 1000: millimetres taken for metres'),
        (0.001, r'0.001 times .* factor of 1000: metres taken for millimetres'),
        (5000.0, 'TUM'),
        (300.0, 'KITTI'),
        (40.0, r'the truth is 40 times the estimate; --truth-scale'),
    ],
)
def test_a_truth_in_another_unit(factor, message):
    """A scale that no network has is named as what it is."""
    depth, truth = scene()
    with pytest.raises(TruthError, match=message) as caught:
        measure(depth, depth, truth * np.float32(factor), CAMERA)
    assert caught.value.cause == 'truth_unit'
    check_unit(3.0)
