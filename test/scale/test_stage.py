# SPDX-License-Identifier: Apache-2.0
"""The stage in the pipeline: sources, transforms, reasons, time."""

import math

import numpy as np
import pytest

from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.pipeline import Pipeline, estimate_batch
from depth_pcd_ros.scale.stage import ScaleStage
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header, PointsReading, RangeReading
from test.support.fake_engine import FakeEngine

WIDTH, HEIGHT = 160, 120
CAMERA = Camera(WIDTH, HEIGHT, 120.0, 120.0, 79.5, 59.5)
SECOND = 10**9
# optical_from_sensor of a sensor with x ahead, y left, z up, 0.2 m above the camera
ABOVE = (0.0, -0.2, 0.0, 0.5, -0.5, 0.5, 0.5)


def surface():
    """A depth map that is 2 to 3 m deep, (H, W) float32."""
    return np.broadcast_to(np.linspace(2, 3, WIDTH), (HEIGHT, WIDTH)).astype(np.float32)


def optical_points(factor=1.0, shift=0.0):
    """Points of a true surface, (N, 3) [m], which is that of the network scaled and shifted."""
    z = factor * surface()[5:-5:10, 5:-5:10] + shift
    return np.dstack([CAMERA.rays[5:-5:10, 5:-5:10] * z[..., None], z]).reshape(-1, 3)


def evidence(stamp=1.0, xyz=None, frame_id='camera', age=0.0, sequence=''):
    """Of a picture in frame `camera`: its header, and what the sensor says."""
    reading = None
    if xyz is not None:
        reading = PointsReading(round((stamp - age) * SECOND), frame_id, xyz)
    return {
        'header': Header(round(stamp * SECOND), 'camera', sequence),
        'evidence': Evidence(reading),
    }


def correct(given, stage=None, **settings):
    """The state after a frame, and its depth."""
    depth = surface()
    values = {'scale_source': 'points', **settings}
    stage = ScaleStage() if stage is None else stage
    settings = Settings().replace(values)
    return stage.correct(depth, CAMERA, **given, settings=settings, max_depth=20.0), depth


def test_without_a_source_nothing_happens():
    """None, and the depth stays as it is."""
    state, depth = correct(evidence(xyz=optical_points(1.2)), scale_source='none')
    assert state is None
    np.testing.assert_array_equal(depth, surface())


def test_scale_and_shift_are_applied():
    """The corrected depth is the true one."""
    given = evidence(xyz=optical_points(1.1, 0.3), age=0.1)
    state, depth = correct(given, scale_fit='scale_shift')
    assert (state.scale, state.shift) == pytest.approx((1.1, 0.3), abs=1e-3)
    assert (state.reason, state.age) == ('', pytest.approx(0.1))
    np.testing.assert_allclose(depth, 1.1 * surface() + 0.3, rtol=1e-4)


def test_a_sensor_in_another_frame():
    """One with x ahead, y left, z up, 0.2 m above: by the parameter, else by what was looked up."""
    x, y, z = optical_points(1.2).T
    lidar = np.column_stack([z, -x, -y - 0.2])  # worked out by hand
    given = evidence(xyz=lidar, frame_id='lidar')
    assert correct(given)[0].cause == 'no_transform'
    assert "the sensor is in frame 'lidar', the picture in 'camera'" in correct(given)[0].reason
    assert correct(given, scale_transform=ABOVE)[0].scale == pytest.approx(1.2, rel=1e-3)
    looked_up = {**given, 'evidence': Evidence(given['evidence'].reading, ABOVE)}
    assert correct(looked_up)[0].scale == pytest.approx(1.2, rel=1e-3)


def ranging(distance, frame_id='sonar'):
    """Of a range finder."""
    reading = RangeReading(SECOND, frame_id, distance, 0.1, 10.0, 0.0)
    return {'header': Header(SECOND, 'camera'), 'evidence': Evidence(reading)}


def test_range():
    """Ahead, the depth is 2.5 m; along the sensor's own x axis by its transform."""
    ahead = float(surface()[60, 80])
    state, _ = correct(ranging(1.1 * ahead), scale_source='range')
    assert state.scale == pytest.approx(1.1, rel=0.01)
    own_axis = {'scale_source': 'range', 'range_direction': (0.0, 0.0, 0.0)}
    assert correct(ranging(1.1 * ahead), **own_axis)[0].cause == 'no_transform'
    state, _ = correct(ranging(1.1 * ahead), scale_transform=ABOVE, **own_axis)
    assert state.scale == pytest.approx(1.1, rel=0.02)


def test_stale_and_silent():
    """Older than scale_timeout by the stamps, or never there."""
    given = evidence(xyz=optical_points(1.2), age=0.6)
    state, _ = correct(given)
    assert (state.scale, state.cause, state.age) == (1.0, 'stale', pytest.approx(0.6))
    assert '0.6 s older than the picture, scale_timeout is 0.5 s' in state.reason
    assert correct(given, scale_timeout=1.0)[0].scale == pytest.approx(1.2, rel=1e-3)
    state, _ = correct(evidence())
    assert state.cause == 'silent'
    assert math.isnan(state.age)


@pytest.mark.parametrize(
    ('xyz', 'cause'),
    [
        (optical_points(1.5)[:0], 'no_points'),
        (optical_points(1.5)[:1], 'too_few_points'),
        (optical_points(1.5)[:5], 'too_few_points'),
        (-optical_points(1.5), 'behind'),
        (optical_points(1.5) + np.array([100.0, 0.0, 0.0]), 'outside'),
        (np.full((100, 3), np.nan), 'no_points'),
        (optical_points(1.5) * np.linspace(0.2, 3.0, 165)[:, None], 'no_agreement'),
        (np.column_stack([optical_points()[:, :2], np.full(165, 2.5)]), 'one_depth'),
    ],
)
@pytest.mark.parametrize('fit', ['scale', 'scale_shift'])
def test_the_last_good_scale_holds(xyz, cause, fit):
    """What tells no scale leaves the last one, to the bit, and the reason."""
    stage = ScaleStage()
    before, _ = correct(evidence(1.0, optical_points(1.2)), stage, scale_fit=fit)
    state, depth = correct(evidence(1.1, xyz), stage, scale_fit=fit)
    assert (state.scale, state.shift) == (before.scale, before.shift)
    assert state.cause == cause
    assert state.reason
    np.testing.assert_allclose(depth, 1.2 * surface(), rtol=1e-3)


def test_time_that_goes_back_is_a_new_beginning():
    """A recording that is played again gives the same again."""
    stage = ScaleStage()
    rounds = []
    for _ in range(2):
        factors = [1.0 + 0.02 * i for i in range(20)]
        states = [
            correct(evidence(10 + 0.1 * i, optical_points(f)), stage)[0]
            for i, f in enumerate(factors)
        ]
        rounds.append(states)
    assert rounds[0] == rounds[1]


def test_another_sequence_is_a_new_beginning():
    """Another recording has another scale."""
    stage = ScaleStage()
    correct(evidence(1.0, optical_points(1.4), sequence='a'), stage)
    assert correct(evidence(1.1, sequence='b'), stage)[0].scale == 1.0


def test_in_the_pipeline():
    """It comes after depth_scale and before the range filter, which cuts nothing of the model."""
    settings = Settings().replace({'scale_source': 'points', 'depth_scale': 2.0})
    calibration = Calibration(WIDTH, HEIGHT, (120.0, 0, 79.5, 0, 120.0, 59.5, 0, 0, 1.0))
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    given = evidence(xyz=optical_points(2.4))
    frame = Pipeline(FakeEngine(surface(), max_depth=3.0), settings).process(
        Picture(rgb, calibration, **given)
    )
    assert frame.scale.scale == pytest.approx(1.2, rel=1e-3)
    np.testing.assert_allclose(frame.depth, 2.4 * surface(), rtol=1e-3)  # and none is NaN
    several = [Picture(rgb, calibration, **one) for one in (given, evidence(1.1))]
    pipeline = Pipeline(FakeEngine(surface(), max_depth=3.0), settings)
    prepared = [pipeline.prepare(one) for one in several]
    first, second = map(pipeline.finish, estimate_batch(pipeline.engine, prepared))
    np.testing.assert_array_equal(first.depth, frame.depth)
    np.testing.assert_array_equal(second.depth, frame.depth)
    assert second.scale.cause == 'silent'
    without = Pipeline(FakeEngine(surface(), max_depth=3.0), Settings()).process(
        Picture(rgb, calibration)
    )
    assert without.scale is None
