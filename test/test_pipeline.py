# SPDX-License-Identifier: Apache-2.0
"""The stages together, with a fake engine that gives a known depth: no network, no ROS."""

import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_pcd_ros.cloud.unproject import unpack_rgb
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.calibration import Calibration, CameraError, pinhole
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.geometry.distortion import PolynomialLens
from depth_pcd_ros.geometry.rectification import Rectification
from depth_pcd_ros.messages.decode import rgb_from_msg
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.recordings.store import TYPES
from depth_pcd_ros.results import OUTPUTS, Result
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.show.colorize import SKY, color_range, colorize
from depth_pcd_ros.show.preview import preview
from depth_pcd_ros.sync.readings import Evidence, Header, PointsReading, RangeReading
from test.support.cameras import CAMERAS, STEREO_P, STEREO_R, calibration_of
from test.support.fake_engine import FakeEngine, FakeFamily, SkyFamily
from test.support.recordings import header

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


def test_a_lens_without_rays_is_warned_of(caplog):
    """Once for a camera, whose lens may zoom with each picture."""
    alien = dataclasses.replace(BENT, d=(-20.0, 0.0, 0.0, 0.0))
    pipe = pipeline()
    for zoom in (1.0, 1.0, 1.1):
        zoomed = dataclasses.replace(alien, k=(alien.k[0] * zoom, *alien.k[1:]))
        assert np.isnan(pipe.process(Picture(RGB, zoomed)).depth).mean() > 0.5
    (record,) = caplog.records
    assert record.message.startswith('98% of the pixels have no ray with D = [-20.0, ')
    pipe.process(Picture(RGB, BENT))
    pipeline(distortion='ignore').process(Picture(RGB, alien))
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    'changes',
    [
        {'r': (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},  # it looks back
        {'p': (6.0, 0.0, 70.0, 0.0, 0.0, 6.0, 3.5, 0.0, 0.0, 0.0, 1.0, 0.0)},
    ],
)
def test_a_rectification_that_shows_nothing_is_told(caplog, changes):
    """R or P of another camera: the cloud is empty, and the log says why."""
    pipe = pipeline(distortion='rectify')
    pipe.process(Picture(RGB, BENT))
    assert not caplog.records
    frame = pipe.process(Picture(RGB, dataclasses.replace(BENT, **changes)))
    assert np.isnan(frame.depth).mean() > 0.8
    (record,) = caplog.records
    assert re.match('[0-9]+% of the rectified picture show anything', record.message)


@pytest.mark.parametrize(('bits', 'told'), [(10, True), (12, True), (16, False)])
def test_a_black_picture_is_told_once(caplog, bits, told):
    """As 16 bit images are whose sensor has fewer, sent as they are."""
    raw = np.random.default_rng(0).integers(0, 2**bits, (64, 80), np.uint16)
    image = TYPES['sensor_msgs/msg/Image'](
        header(0), 64, 80, 'mono16', 0, 160, np.frombuffer(raw.tobytes(), np.uint8)
    )
    pipe = pipeline()
    calibration = pinhole(80.0, 80.0, 40.0, 32.0, (80, 64))
    for _ in range(2):
        pipe.process(Picture(rgb_from_msg(image), calibration))
    assert len(caplog.records) == told
    assert not told or 'the picture is black, its brightest value' in caplog.records[0].message


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


@pytest.mark.filterwarnings('error', 'ignore::ResourceWarning')  # of tests before it
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


@pytest.mark.filterwarnings('error', 'ignore::ResourceWarning')  # of tests before it
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


class TestSky:
    """A network that knows the sky: it has no depth anywhere, and a colour of its own."""

    DEPTH = np.full((HEIGHT, WIDTH), 100.0)
    DEPTH[:3] = np.nan

    def pipe(self, depth=DEPTH, **settings):
        """A pipeline over an engine that gives NaN for sky."""
        engine = FakeEngine(depth, network=SkyFamily(Path()))
        return Pipeline(engine, Settings().replace(settings))

    def test_depth_has_no_end(self):
        """Far is valid, sky is not, with and without a limit."""
        frame = self.pipe().process(PICTURE)
        assert frame.max_range == np.inf
        np.testing.assert_array_equal(np.isfinite(frame.depth), np.isfinite(self.DEPTH))
        np.testing.assert_array_equal(frame.sky, np.isnan(self.DEPTH))
        limited = self.pipe(max_range=50.0).process(PICTURE)
        assert limited.max_range == 50.0
        assert limited.valid_count == 0
        np.testing.assert_array_equal(limited.sky, frame.sky)

    def test_points_voxels_and_stride_leave_it_out(self):
        """Nothing of it in any cloud."""
        for settings in ({'organized': False}, {'voxel_size': 0.01}, {}):
            pipe = self.pipe(stride=2, **settings)
            frame = pipe.process(PICTURE)
            assert frame.sky.shape == frame.depth.shape
            np.testing.assert_array_equal(frame.sky, np.isnan(frame.depth))
            points = pipe.points(frame).reshape(-1, 4)
            known = points[np.isfinite(points[:, 2])]
            np.testing.assert_allclose(known[:, 2], 100.0)
            assert len(known) == 2 * 6  # rows 4 and 6

    def test_its_colour_is_its_own(self):
        """Pale; depth beyond the range of colours, and what a filter drops, have theirs."""
        pipe = self.pipe()
        frame = pipe.process(PICTURE)
        frame.depth[5] = np.nan
        near, far = color_range(pipe.settings.min_depth, frame.max_range)
        assert (near, far) == (2.5, 40.0)
        result = Result(frame, header(0), pipe.settings, pipe.points, TYPES)
        message = OUTPUTS['depth/color'].message(result, None)
        picture = np.frombuffer(message.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        assert (picture[:3] == SKY).all()
        assert (picture[5] == 0).all()
        assert not (picture[3:] == SKY).all(axis=-1).any()
        turbo = colorize(np.linspace(2, 50, 4000, dtype=np.float32)[None], near, far)
        assert not (turbo == SKY).all(axis=-1).any()

    @pytest.mark.parametrize(
        ('source', 'cause'), [('points', 'no_depth'), ('range', 'no_depth'), ('plane', 'no_floor')]
    )
    def test_a_frame_that_is_all_sky(self, source, cause):
        """No point, no warning, no scale; the last good scale holds."""
        pipe = self.pipe(np.nan, scale_source=source, camera_height=1.0)
        reading = {
            'points': PointsReading(0, '', np.array([[0.0, 0.0, 3.0]] * 9, np.float32)),
            'range': RangeReading(0, '', 3.0, 0.1, 10.0, 1e-3),
            'plane': None,
        }[source]
        evidence = Evidence(reading, (0, 0, 0, 0, 0, 0, 1))
        frame = pipe.process(Picture(RGB, CALIBRATION, evidence=evidence))
        assert frame.valid_count == 0
        assert np.isnan(frame.depth).all()
        assert frame.sky.all()
        assert frame.scale.cause == cause
        assert np.isnan(pipe.points(frame)[..., :3]).all()
        colours = colorize(frame.depth, *color_range(0.1, frame.max_range), sky=frame.sky)
        assert (colours == SKY).all()
        assert preview(RGB, frame.depth, pipe.points(frame), focal=600.0, sky=frame.sky).any()

    def test_a_network_that_does_not_know_it(self):
        """Says nothing of it."""
        assert pipeline().process(PICTURE).sky is None


def test_one_engine_serves_several_cameras():
    """A pipeline for each, turn about: what each gives is what it gives alone."""
    engine = FakeEngine(2.0)
    sensor = PointsReading(0, 'camera', np.float32([[0.01 * i, 0.0, 3.0 + i] for i in range(20)]))
    cameras = (
        ({}, Picture(RGB, CALIBRATION)),
        ({'distortion': 'rectify', 'depth_scale': 2.0}, Picture(RGB, BENT)),
        ({'voxel_size': 0.5}, Picture(255 - RGB, dataclasses.replace(CALIBRATION, k=BENT.k))),
        ({'scale_source': 'points'}, Picture(RGB, BENT, evidence=Evidence(sensor))),
    )

    def clouds(pipes):
        for _ in range(2):
            for pipe, (_, picture) in zip(pipes, cameras, strict=True):
                frame = pipe.process(picture)
                yield pipe.points(frame).copy(), frame.scale

    shared = [Pipeline(engine, Settings().replace(settings)) for settings, _ in cameras]
    alone = [pipeline(**settings) for settings, _ in cameras]
    for (together, scale), (apart, expected) in zip(clouds(shared), clouds(alone), strict=True):
        np.testing.assert_array_equal(together, apart)
        assert scale == expected or str(scale) == str(expected)  # NaN is no NaN


class PlaneEngine(FakeEngine):
    """Sees a plane, n . p = d in the frame of a camera, as a network of a short side of 140 px."""

    NORMAL, DISTANCE = (0.3, -0.2, 1.0), 2.5

    def __init__(self, camera):
        super().__init__(network=FakeFamily(Path(), 20.0, 140))
        self.camera = camera

    def _run(self, pictures, size, result):
        assert result == size, 'nothing is resized'
        rays = self.camera.unproject(places(self.camera, *size))
        z = self.DISTANCE / (rays @ self.NORMAL[:2] + self.NORMAL[2])
        return np.nan_to_num(z, nan=1.0).astype(np.float32)[None, None]


def places(camera, height, width):
    """Where the pixels of a picture of a size lie in that of a camera, the corners aligned."""
    v, u = np.mgrid[:height, :width].astype(float)
    return np.stack(
        [u * (camera.width - 1) / (width - 1), v * (camera.height - 1) / (height - 1)], -1
    )


WINDOW = {'roi': (40, 20, 560, 420), 'binning_x': 2, 'binning_y': 2}


@pytest.mark.parametrize(
    ('name', 'changes', 'options'),
    [
        ('ideal', {}, {}),
        ('ideal', {}, {'stride': 3}),
        ('ideal', WINDOW, {}),
        ('strong', {}, {}),
        ('strong', {}, {'distortion': 'rectify'}),
        ('strong', WINDOW, {'stride': 2}),
        ('equidistant 180', {}, {}),
        ('plumb_bob 5', {'r': tuple(STEREO_R.ravel()), 'p': STEREO_P}, {'rectified': True}),
        ('plumb_bob 5', {'r': tuple(STEREO_R.ravel()), 'p': STEREO_P}, {'distortion': 'rectify'}),
    ],
)
def test_the_cloud_of_the_networks_own_size(name, changes, options):
    """A plane is one, and each point is seen where its pixel lies, by the CameraInfo and before."""
    calibration = calibration_of(CAMERAS[name], **changes)
    rectified = 'rectified' in options or options.get('distortion') == 'rectify'
    whole = Camera.from_calibration(
        calibration.rectified() if rectified else calibration, rectified=rectified
    )
    settings = Settings().replace({'resolution': 'network', 'edge_filter': 0.0, **options})
    pipe = Pipeline(PlaneEngine(whole), settings)
    raw = calibration.of_image()
    rgb = np.zeros((raw.height, raw.width, 3), np.uint8)
    frame = pipe.process(Picture(rgb, calibration))
    size = pipe.engine.network.network_size(whole.height, whole.width)
    n = settings.stride
    assert frame.depth.shape == (-(-size[0] // n), -(-size[1] // n)) == frame.rgb.shape[:2]
    points = pipe.points(frame)[..., :3].astype(float)
    seen = np.isfinite(points[..., 2])
    assert seen.mean() > 0.6
    distances = points[seen] @ PlaneEngine.NORMAL
    np.testing.assert_allclose(distances, PlaneEngine.DISTANCE, rtol=1e-5)
    expected = places(whole, *size)[::n, ::n]
    np.testing.assert_allclose(whole.project(points)[seen], expected[seen], atol=0.01)
    described = Camera.from_calibration(frame.calibration, rectified=rectified)
    v, u = np.mgrid[: frame.depth.shape[0], : frame.depth.shape[1]]
    np.testing.assert_allclose(
        described.project(points)[seen], np.stack([u, v], axis=-1)[seen], atol=0.01
    )


def test_what_a_rectified_picture_does_not_show_has_no_point_at_that_size():
    """No pixel counts that lies between some of which one has no source."""
    calibration = calibration_of(CAMERAS['pincushion'])
    rectification = Rectification.from_calibration(calibration)
    settings = Settings().replace({'resolution': 'network', 'distortion': 'rectify'})
    pipe = Pipeline(PlaneEngine(rectification.camera), settings)
    frame = pipe.process(Picture(np.zeros((480, 640, 3), np.uint8), calibration))
    where = places(rectification.camera, *frame.depth.shape)
    low, high = np.floor(where).astype(int), np.ceil(where).astype(int)
    shown = np.ones(frame.depth.shape, bool)
    for v in (low, high):
        for u in (low, high):
            shown &= rectification.visible[v[..., 1], u[..., 0]] > 0
    assert 0.0 < shown.mean() < 1.0
    np.testing.assert_array_equal(np.isfinite(frame.depth), shown)


def test_colours_are_means_at_the_networks_size():
    """28x28 px at 14x14: each is the mean of four."""
    rgb = np.random.default_rng(1).integers(0, 256, (28, 28, 3), np.uint8)
    calibration = pinhole(30.0, 30.0, 13.5, 13.5, (28, 28))
    engine = FakeEngine(network=FakeFamily(Path(), 20.0, 14))
    pipe = Pipeline(engine, Settings(resolution='network', organized=False))
    frame = pipe.process(Picture(rgb, calibration))
    expected = rgb.reshape(14, 2, 14, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(frame.rgb, expected, atol=0.51)
    points = pipe.points(frame)
    np.testing.assert_array_equal(unpack_rgb(points[:, 3]), frame.rgb.reshape(-1, 3))


def test_colours_are_those_of_the_whole_area():
    """68x68 px at 28x28, by two and then by a fraction: as cv2 has it in one step."""
    ramp = np.linspace(0, 255, 68).astype(np.uint8)
    rgb = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 9), axis=-1).astype(np.uint8)
    engine = FakeEngine(network=FakeFamily(Path(), 20.0, 28))
    pipe = Pipeline(engine, Settings(resolution='network'))
    frame = pipe.process(Picture(rgb, pinhole(70.0, 70.0, 33.5, 33.5, (68, 68))))
    expected = cv2.resize(rgb, (28, 28), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(frame.rgb.astype(int), expected.astype(int), atol=1)


def test_a_picture_smaller_than_the_networks_keeps_its_size():
    """Nothing is enlarged: `network` is then the same as `image`."""
    depth = np.linspace(1.0, 3.0, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    alike = []
    for resolution in ('image', 'network'):
        pipe = pipeline(depth, resolution=resolution)
        frame = pipe.process(PICTURE)
        assert frame.calibration == CALIBRATION
        alike.append(pipe.points(frame).copy())
    np.testing.assert_array_equal(*[points.view(np.uint32) for points in alike])


@pytest.mark.parametrize('options', [{}, {'voxel_size': 0.05}, {'stride': 2, 'organized': False}])
def test_scale_motion_sky_and_confidence_at_the_networks_size(options):
    """The range in the middle says 3 m where the network says 2: all becomes 1.5 times as deep."""
    height, width = 240, 320
    depth = np.full((height, width), 2.0)
    depth[:60] = np.nan  # sky
    engine = FakeEngine(depth, network=SkyFamily(Path(), input_size=56))
    settings = Settings().replace(
        {
            **{'resolution': 'network', 'temporal_filter': 0.5, 'min_confidence': 1.0},
            **{'scale_source': 'range', 'scale_smoothing': 0.0, 'scale_step': 1.0, **options},
        }
    )
    pipe = Pipeline(engine, settings)
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    calibration = pinhole(300.0, 300.0, 159.5, 119.5, (width, height))
    for moment in range(3):
        stamp = 10**9 + moment * 10**8
        reading = RangeReading(stamp, 'camera', 3.0, 0.1, 10.0, 0.1)
        picture = Picture(rgb, calibration, Header(stamp, 'camera'), Evidence(reading))
        frame = pipe.process(picture, with_confidence=True)
    n = settings.stride
    assert engine.network.depth_size(height, width) == (56, 70)
    assert frame.depth.shape == frame.sky.shape == frame.confidence.shape == (56 // n, 70 // n)
    np.testing.assert_allclose(frame.depth[~np.isnan(frame.depth)], 3.0, rtol=1e-3)
    assert frame.sky[: 10 // n].all()
    assert not frame.sky[16 // n :].any()
    assert frame.valid_count > 0.5 * frame.depth.size
    points = pipe.points(frame).reshape(-1, 4)
    np.testing.assert_allclose(points[np.isfinite(points[:, 2]), 2], 3.0, rtol=1e-3)


def test_the_size_may_change_between_frames():
    """From the image's to the network's and back, with what was seen before forgotten."""
    engine = FakeEngine(2.0, network=FakeFamily(Path(), 20.0, 14))
    pipe = Pipeline(engine, Settings(temporal_filter=0.9))
    rgb = np.zeros((28, 42, 3), np.uint8)
    picture = Picture(rgb, pinhole(30.0, 30.0, 20.5, 13.5, (42, 28)), Header(1, 'camera'))
    for resolution, shape in (('image', (28, 42)), ('network', (14, 28)), ('image', (28, 42))):
        pipe.settings = pipe.settings.replace({'resolution': resolution})
        assert pipe.process(picture).depth.shape == shape
