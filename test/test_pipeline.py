# SPDX-License-Identifier: Apache-2.0
"""The stages together, with a fake engine that gives a known depth: no network, no ROS."""

import dataclasses

import numpy as np
import pytest

from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.calibration import Calibration, CameraError
from depth_pcd_ros.geometry.distortion import PolynomialLens
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header, PointsReading, RangeReading
from test.support.fake_engine import FakeEngine

WIDTH, HEIGHT = 12, 8
FX, FY, CX, CY = 600.0, 500.0, 5.0, 3.5
CALIBRATION = Calibration(WIDTH, HEIGHT, (FX, 0.0, CX, 0.0, FY, CY, 0.0, 0.0, 1.0))
BENT = dataclasses.replace(
    CALIBRATION,
    k=(10.0, 0.0, CX, 0.0, 10.0, CY, 0.0, 0.0, 1.0),
    distortion_model='plumb_bob',
    d=(0.1, 0.0, 0.0, 0.0, 0.0),
)
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
PICTURE = Picture(RGB, CALIBRATION)


def pipeline(depth=2.0, **settings):
    """A pipeline over the fake engine."""
    return Pipeline(FakeEngine(depth), Settings().replace(settings))


def test_points_of_a_constant_depth():
    """Pixel (9, 7) at 2 m: x = 2 (9 - 5) / 600, y = 2 (7 - 3.5) / 500."""
    pipe = pipeline()
    frame = pipe.process(PICTURE)
    points = pipe.points(frame)
    assert points.shape == (HEIGHT, WIDTH, 4)
    np.testing.assert_allclose(points[7, 9, :3], [8 / 600, 7 / 500, 2.0], rtol=1e-6)
    assert frame.calibration == CALIBRATION


def test_range_is_judged_after_the_scale():
    """0.04 m x 2 is nearer than min_depth 0.1 m, 12 m x 2 is deeper than max_range 22 m."""
    depth = np.full((HEIGHT, WIDTH), 5.0)
    depth[0, 0], depth[0, 1], depth[0, 2], depth[0, 3] = 0.04, 0.06, 12.0, 10.5
    pipe = pipeline(depth, depth_scale=2.0, max_range=22.0, edge_filter=0.0)
    out = pipe.process(PICTURE).depth
    np.testing.assert_allclose(out[0, :5], [np.nan, 0.12, np.nan, 21.0, 10.0], rtol=1e-6)


def test_without_a_maximum_nothing_of_the_model_is_cut():
    """max_range 0 keeps all that the model gives, scaled or not."""
    for scale in (0.5, 1.0, 3.0):
        out = pipeline(20.0, depth_scale=scale).process(PICTURE).depth
        assert np.isfinite(out).all()


def test_stride():
    """Every third pixel, with its own ray, colour and CameraInfo."""
    full, strided = pipeline(), pipeline(stride=3)
    frame = strided.process(PICTURE)
    points = full.points(full.process(PICTURE))
    # one float more or less in the last place: 3 u / fx is not u / (fx / 3) to the bit
    np.testing.assert_allclose(
        strided.points(frame)[..., :3], points[::3, ::3, :3], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(frame.rgb, RGB[::3, ::3])
    assert (frame.calibration.width, frame.calibration.height) == (4, 3)
    np.testing.assert_allclose(frame.calibration.k, [FX / 3, 0, CX / 3, 0, FY / 3, CY / 3, 0, 0, 1])


def test_unorganized_cloud_has_the_valid_points():
    """`organized: false` leaves out what is NaN, in the order of the pixels."""
    depth = np.full((HEIGHT, WIDTH), 2.0)
    depth[2, 3:7] = 30.0
    organized, unorganized = pipeline(depth), pipeline(depth, organized=False)
    everything = organized.points(organized.process(PICTURE)).reshape(-1, 4)
    points = unorganized.points(unorganized.process(PICTURE))
    assert points.shape == (HEIGHT * WIDTH - 4, 4)
    np.testing.assert_array_equal(
        points.view(np.uint32), everything[np.isfinite(everything[:, 2])].view(np.uint32)
    )


def test_voxels():
    """One cube holds the whole small picture: its mean is the mean of all points."""
    pipe = pipeline(voxel_size=1.0)
    frame = pipe.process(PICTURE)
    points = pipe.points(frame)
    assert points.shape == (1, 4)
    rays = frame.camera.rays.reshape(-1, 2).mean(axis=0)
    np.testing.assert_allclose(points[0, :3], [2 * rays[0], 2 * rays[1], 2.0], rtol=1e-5, atol=1e-7)


def test_cloud_without_colour():
    """`cloud_fields: xyz` gives three numbers a point."""
    pipe = pipeline(cloud_fields='xyz')
    assert pipe.points(pipe.process(PICTURE)).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ('settings', 'shape'),
    [({}, (HEIGHT, WIDTH, 4)), ({'organized': False}, (0, 4)), ({'voxel_size': 0.1}, (0, 4))],
)
def test_no_valid_point(settings, shape):
    """A picture without a valid depth gives a cloud without a valid point."""
    pipe = pipeline(0.01, **settings)
    points = pipe.points(pipe.process(PICTURE))
    assert points.shape == shape
    assert np.isnan(points[..., :3]).all()


def test_settings_may_change_between_frames():
    """The next frame is computed with the new settings."""
    pipe = pipeline()
    assert pipe.points(pipe.process(PICTURE)).shape == (HEIGHT, WIDTH, 4)
    pipe.settings = pipe.settings.replace({'stride': 2, 'depth_scale': 2.0})
    frame = pipe.process(PICTURE)
    assert pipe.points(frame).shape == (HEIGHT // 2, WIDTH // 2, 4)
    np.testing.assert_array_equal(frame.depth, 4.0)


def test_distortion_modes():
    """`ignore` is the ideal lens, `rays` bends the points, `rectify` makes the picture ideal."""
    ideal = np.float32(2.0 * (0 - CX) / 10.0)
    x, middle = {}, {}
    for mode in ('rays', 'rectify', 'ignore'):
        pipe = pipeline(distortion=mode)
        frame = pipe.process(Picture(RGB, BENT))
        points = pipe.points(frame)
        x[mode], middle[mode] = points[3, 0, 0], points[3, 6, 0]
        assert any(frame.calibration.d) == (mode != 'rectify')
    assert x['ignore'] == ideal
    assert abs(x['rays']) < abs(ideal) - 0.01
    # k1 above 0 draws in what is outside the picture: its border has no source, its middle does
    assert np.isnan(x['rectify'])
    assert middle['rectify'] == middle['ignore'] == np.float32(2.0 * (6 - CX) / 10.0)


def test_a_picture_of_another_size_is_refused():
    """It is never stretched to fit."""
    with pytest.raises(CameraError, match='image 12x8 but CameraInfo 24x8'):
        pipeline().process(Picture(RGB, dataclasses.replace(CALIBRATION, width=24)))


@pytest.mark.parametrize('settings', [{}, {'distortion': 'rectify'}, {'stride': 2}])
@pytest.mark.parametrize('of_its_own', [True, False])
def test_six_cameras_compute_their_rays_once(monkeypatch, settings, of_its_own):
    """Pictures of six distorted cameras in turn, with a pipeline each or one for all."""
    inverted, distorted = [], []
    undistort, distort = PolynomialLens.undistort, PolynomialLens.distort
    monkeypatch.setattr(
        PolynomialLens, 'undistort', lambda *args: inverted.append(1) or undistort(*args)
    )
    monkeypatch.setattr(
        PolynomialLens, 'distort', lambda *args: distorted.append(1) or distort(*args)
    )
    cameras = [dataclasses.replace(BENT, d=(0.1 + n / 100, 0.0, 0.0, 0.0)) for n in range(6)]
    shared = pipeline(**settings)
    pipes = [pipeline(**settings) if of_its_own else shared for _ in cameras]
    counts = []
    for _ in range(3):
        for pipe, calibration in zip(pipes, cameras, strict=True):
            # as it comes: equal numbers in another object
            pipe.points(pipe.process(Picture(RGB, dataclasses.replace(calibration))))
        counts.append(len(inverted) + len(distorted))
    assert counts[0] >= 6
    assert counts[1:] == counts[:1] * 2


ABSURD = (0.0, 1.0, -1.0, 1e-300, 1e-40, 1e10, 1e38, 1e39, 1e155, 1e300, -1e300)


def absurd(rng, ordinary, share):
    """Numbers, of which this share is absurd."""
    numbers = np.where(
        rng.random(len(ordinary)) < share, rng.choice(ABSURD, len(ordinary)), ordinary
    )
    return tuple(numbers.tolist())


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant'])
@pytest.mark.parametrize('distortion', ['rays', 'rectify'])
def test_absurd_calibrations(model, distortion):
    """They are refused or give points, and NumPy says nothing about them in the log."""
    rng = np.random.default_rng(0)
    coefficients = {'plumb_bob': 5, 'rational_polynomial': 14, 'equidistant': 4}[model]
    pipe = pipeline(distortion=distortion, voxel_size=0.05)
    processed = 0
    for _ in range(200):
        k, p = BENT.k, (10.0, 0.0, CX, 0.0, 0.0, 10.0, CY, 0.0, 0.0, 0.0, 1.0, 0.0)
        calibration = dataclasses.replace(
            BENT,
            k=absurd(rng, k, 0.02),
            distortion_model=model,
            d=absurd(rng, np.zeros(coefficients), 0.3),
            r=absurd(rng, np.eye(3).ravel(), 0.05),
            p=absurd(rng, p, 0.05),
        )
        try:
            pipe.points(pipe.process(Picture(RGB, calibration)))
            processed += 1
        except CameraError:
            continue
    assert 10 < processed < 200


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('source', ['points', 'range'])
def test_absurd_readings(source):
    """What a broken sensor says is no measurement, and NumPy says nothing about it in the log."""
    rng = np.random.default_rng(0)
    numbers = (*ABSURD, np.nan, np.inf, -np.inf)
    pipe = pipeline(scale_source=source)
    for stamp in range(1, 200):
        if source == 'points':
            xyz = rng.normal(2.0, 0.5, (60, 3))
            xyz[rng.random(xyz.shape) < 0.02] = rng.choice(numbers)
            reading = PointsReading(stamp, 'sensor', xyz)
        else:
            reading = RangeReading(stamp, 'sensor', *rng.choice(numbers, 4).tolist())
        place = (*absurd(rng, np.zeros(3), 0.1), 0.0, 0.0, 0.0, 1.0)
        picture = Picture(RGB, CALIBRATION, Header(stamp, 'camera'), Evidence(reading, place))
        low, high = Settings().scale_bounds
        assert low <= pipe.process(picture).scale.scale <= high
