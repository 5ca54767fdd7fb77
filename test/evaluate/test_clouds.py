# SPDX-License-Identifier: Apache-2.0
"""Distances of clouds, obstacles and the temporal error, by hand on small scenes."""

import numpy as np
import pytest

from depth_pcd_ros.evaluate import clouds
from depth_pcd_ros.evaluate.temporal import alignment_error
from depth_pcd_ros.geometry.camera import Camera

CAMERA = Camera(160, 120, 100.0, 100.0, 79.5, 59.5)
STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def wall(z):
    """A wall across the view, (H, W)."""
    return np.full((120, 160), z, np.float32)


def test_points_by_hand():
    """Pixel (u, v) at depth z is at ((u - cx) z / fx, (v - cy) z / fy, z); invalid ones are out."""
    depth = np.full((120, 160), np.nan, np.float32)
    depth[10, 20], depth[119, 159], depth[0, 0], depth[0, 1] = 2.0, 4.0, 0.0, np.inf
    found = clouds.points_of(depth, CAMERA)
    np.testing.assert_allclose(found, [[-1.19, -0.99, 2.0], [3.18, 2.38, 4.0]], rtol=1e-6)


def test_distances_of_two_walls():
    """7 cm apart: nothing within 5 cm, all within 10; the rims are a little farther."""
    pytest.importorskip('scipy')
    found = clouds.distances(wall(2.07), wall(2.0), CAMERA)
    assert found.accuracy == pytest.approx(0.07, abs=3e-3)
    assert found.completeness == pytest.approx(0.07, abs=3e-3)
    assert found.f_5cm == 0.0
    assert found.f_10cm > 0.98


@pytest.mark.parametrize('odd', [0, 1])
def test_a_truth_with_gaps_of_its_own(odd):
    """Of a depth camera of half the resolution only each second pixel is there, in both ways."""
    pytest.importorskip('scipy')
    truth = np.full((480, 640), np.nan, np.float32)
    truth[odd::2, odd::2] = 2.0
    camera = Camera(640, 480, 400.0, 400.0, 319.5, 239.5)
    found = clouds.distances(np.full_like(truth, 2.07), truth, camera)
    assert found.accuracy == pytest.approx(0.07, abs=3e-3)
    assert found.completeness == pytest.approx(0.07, abs=3e-3)


@pytest.mark.parametrize('size', [(480, 640), (512, 640)])
def test_a_sample_is_spread_over_the_picture(size):
    """Each of 40 stripes in both directions has its share, also where one of n is one a row."""
    height, width = size
    camera = Camera(width, height, 400.0, 400.0, width / 2 - 0.5, height / 2 - 0.5)
    points = clouds.points_of(np.ones(size, np.float32), camera, 2560)
    assert len(points) == 2560
    for pixels, length in zip(camera.project(points).T, (width, height), strict=True):
        counts, _ = np.histogram(pixels, 40, (-0.5, length - 0.5))
        assert counts.min() > 32  # of 64
        assert counts.max() < 96


def test_accuracy_and_completeness_are_two_things():
    """An estimate of half the wall is accurate, but not complete; only known places are judged."""
    pytest.importorskip('scipy')
    half = wall(2.0)
    half[:, 80:] = np.nan
    found = clouds.distances(half, wall(2.0), CAMERA)
    assert found.accuracy == pytest.approx(0.0, abs=1e-6)
    assert found.completeness == pytest.approx(0.4, abs=0.02)  # half of 0 to 1.6 m, half of 0
    # within 5 cm are all points of it, and of the wall 1.6 m and 5 cm of 3.2 m
    recall = (1.6 + 0.05) / 3.2
    assert found.f_5cm == pytest.approx(2 * recall / (1 + recall), abs=0.02)
    turned = clouds.distances(wall(2.0), half, CAMERA)
    assert turned.accuracy == pytest.approx(0.0, abs=1e-6)
    assert turned.f_5cm == 1.0
    with pytest.raises(ValueError, match='points, expected some'):
        clouds.distances(wall(np.nan), wall(2.0), CAMERA)


def test_obstacles_missed_and_ghosts():
    """A box at 2.1 m before a wall at 4.1 m: not seen, in its place, too near, and beyond range."""
    truth = wall(4.1)
    truth[41:79, 61:99] = 2.1  # 0.39 m to each side: 4 x 4 cells of 0.2 m
    same = clouds.obstacles(truth, truth, CAMERA)
    assert (same.missed, same.ghosts) == (0.0, 0.0)
    without = clouds.obstacles(wall(4.1), truth, CAMERA)
    assert without.missed == pytest.approx(16 / without.true_cells)
    assert without.ghosts > 0.0  # the wall, where the box hides it
    assert clouds.obstacles(wall(9.0), wall(9.0), CAMERA) is None
    gone = clouds.obstacles(wall(9.0), truth, CAMERA)
    assert (gone.missed, gone.found_cells, gone.ghosts) == (1.0, 0, 0.0)


def test_the_floor_is_no_obstacle():
    """A floor 1 m below the camera: all of it, or nothing where its plane is known."""
    y = CAMERA.ray_maps[1]
    floor = np.where(y > 0.1, 1.0 / np.maximum(y, 0.1), np.nan) * np.ones((1, 160))
    floor = floor.astype(np.float32)
    assert clouds.obstacles(floor, floor, CAMERA).true_cells > 100
    assert clouds.obstacles(floor, floor, CAMERA, (0.0, -1.0, 0.0)) is None
    # and a floor that the network sees 30 cm too high is an obstacle
    seen = clouds.obstacles(0.7 * floor, floor, CAMERA, (0.0, -1.0, 0.0))
    assert seen.true_cells == 0
    assert seen.found_cells > 50
    assert seen.ghosts == 1.0


def test_temporal_error_of_a_wall():
    """The camera goes 0.5 m towards a wall at 2 m: no error if it is at 1.5 m then."""
    ahead = (0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 1.0)  # the earlier camera is behind the later one
    assert alignment_error(wall(2.0), wall(1.5), CAMERA, ahead) == pytest.approx(0.0, abs=1e-4)
    # at 1.6: |1.6 - 1.5| / 1.6 there, |2 - 2.1| / 2 back
    found = alignment_error(wall(2.0), wall(1.6), CAMERA, ahead)
    assert found == pytest.approx(100 * (0.1 / 1.6 + 0.1 / 2.0) / 2, rel=1e-5)


def test_temporal_error_skips_what_is_invalid():
    """Pixels without a depth on either side do not count; without any there is an error."""
    before, after = wall(2.0), wall(2.2)
    before[:60], after[:, :80] = np.nan, 0.0
    found = alignment_error(before, after, CAMERA, STILL)
    assert found == pytest.approx(100 * (0.2 / 2.2 + 0.2 / 2.0) / 2, rel=1e-5)
    with pytest.raises(ValueError, match='no pixel of one frame is seen'):
        alignment_error(wall(2.0), wall(np.nan), CAMERA, STILL)
