# SPDX-License-Identifier: Apache-2.0
"""Camera models against numbers worked out by hand, OpenCV, and their own inverse."""

import dataclasses
import gc
import math
import weakref

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.geometry.rectification import Rectification
from test.support.cameras import (
    CAMERAS,
    HEIGHT,
    RATIONAL,
    STEREO_P,
    STEREO_R,
    STRONG,
    WIDTH,
    calibration_of,
)

DISTORTED = [name for name in CAMERAS if name != 'ideal']
cameras = pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS)
distorted_cameras = pytest.mark.parametrize('name', DISTORTED)


def all_pixels(camera: Camera, step: int = 1) -> np.ndarray:
    """Return every step-th pixel and the last row and column, (..., 2)."""
    u = np.unique(np.append(np.arange(0, camera.width, step), camera.width - 1))
    v = np.unique(np.append(np.arange(0, camera.height, step), camera.height - 1))
    return np.stack(np.meshgrid(u, v), axis=-1).astype(float)


def with_z(rays: np.ndarray) -> np.ndarray:
    """Append z = 1."""
    return np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)


def matrix(camera: Camera) -> np.ndarray:
    """Return K, (3, 3)."""
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])


def cv2_project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Project with OpenCV, (N, 3) to (N, 2)."""
    zero, K, D = np.zeros(3), matrix(camera), np.array(camera.d)
    points = points.reshape(-1, 1, 3)
    if camera.distortion_model == 'equidistant':
        return cv2.fisheye.projectPoints(points, zero, zero, K, D)[0].reshape(-1, 2)
    return cv2.projectPoints(points, zero, zero, K, D)[0].reshape(-1, 2)


def cv2_unproject(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """Unproject with OpenCV, iterated to convergence, (N, 2) to (N, 2)."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 5000, 1e-13)
    pixels, K, D = pixels.reshape(-1, 1, 2), matrix(camera), np.array(camera.d)
    if camera.distortion_model == 'equidistant':
        try:
            rays = cv2.fisheye.undistortPoints(pixels, K, D, criteria=criteria)
        except (TypeError, cv2.error):  # OpenCV before 4.6 takes no criteria
            rays = cv2.fisheye.undistortPoints(pixels, K, D)
    elif hasattr(cv2, 'undistortPointsIter'):  # OpenCV 4
        rays = cv2.undistortPointsIter(pixels, K, D, None, None, criteria)
    else:
        rays = cv2.undistortPoints(pixels, K, D, criteria=criteria)
    return rays.reshape(-1, 2)


def radius_of_slope(d: tuple[float, ...], slope: float) -> float:
    """Return the ideal radius up to which the distorted one grows faster than this."""
    k1, k2, _, _, k3, k4, k5, k6 = (*d, *(0.0,) * 4)[:8]
    r = np.linspace(0.0, 3.0, 3001)
    factor = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    slow = np.diff(r * factor) < slope * np.diff(r)
    return r[np.argmax(slow)] if slow.any() else 3.0


def test_ideal_by_hand():
    """A point at (0.5, -0.25, 2): u = 500 * 0.25 + 320, v = 400 * -0.125 + 240, and back."""
    camera = Camera(640, 480, 500.0, 400.0, 320.0, 240.0)
    np.testing.assert_array_equal(camera.project([0.5, -0.25, 2.0]), [445.0, 190.0])
    np.testing.assert_array_equal(camera.unproject([445.0, 190.0]), [0.25, -0.125])
    assert camera.rays.dtype == np.float32
    assert camera.rays.shape == (480, 640, 2)
    np.testing.assert_array_equal(camera.rays[190, 445], [0.25, -0.125])
    assert camera.visible is None


def test_plumb_bob_by_hand():
    """At x = 0.5, y = 0: r2 = 0.25, radial 1 - 0.4 * 0.25 + 0.16 * 0.0625 = 0.91."""
    camera = Camera(640, 480, 100.0, 100.0, 0.0, 0.0, 'plumb_bob', (-0.4, 0.16, 0.01, 0.02))
    # x: 0.5 * 0.91 + 0.02 * (0.25 + 2 * 0.25) = 0.47; y: 0.01 * 0.25 = 0.0025
    np.testing.assert_allclose(camera.project([1.0, 0.0, 2.0]), [47.0, 0.25], atol=1e-12)
    np.testing.assert_allclose(camera.unproject([47.0, 0.25]), [0.5, 0.0], atol=1e-10)


def test_equidistant_by_hand():
    """45 degrees to the right: theta = pi / 4, theta_d = theta (1 + 0.1 theta^2)."""
    camera = Camera(640, 480, 100.0, 100.0, 0.0, 0.0, 'equidistant', (0.1, 0.0, 0.0, 0.0))
    expected = 100.0 * (math.pi / 4 + 0.1 * (math.pi / 4) ** 3)
    np.testing.assert_allclose(camera.project([3.0, 0.0, 3.0]), [expected, 0.0], atol=1e-10)
    np.testing.assert_allclose(camera.unproject([expected, 0.0]), [1.0, 0.0], atol=1e-9)


def test_ideal_fisheye_of_180_degrees():
    """With zeros for D, x / z = tan(u - cx over f); beyond 90 degrees there is no ray."""
    camera = CAMERAS['equidistant 180']
    v = 239  # half a pixel from the axis
    offset = np.hypot(np.arange(WIDTH) - camera.cx, v - camera.cy)
    expected = (np.arange(WIDTH) - camera.cx) / offset * np.tan(offset * math.pi / WIDTH)
    np.testing.assert_allclose(camera.rays[v, :, 0], expected, rtol=1e-6)
    assert np.abs(expected).max() > 200.0  # nearly 90 degrees
    assert np.isnan(camera.rays[0, 0]).all()
    assert np.isnan(camera.project([1.0, 0.0, 0.0])).all()
    np.testing.assert_array_equal(camera.visible == 255, np.isfinite(camera.rays[..., 1]))
    assert set(np.unique(camera.visible)) == {0, 255}


@distorted_cameras
def test_rays_equal_those_of_opencv(name):
    """To 1e-4 wherever OpenCV's own iteration converged, which is most of the image."""
    camera = CAMERAS[name]
    pixels = all_pixels(camera, 4).reshape(-1, 2)
    reference = cv2_unproject(camera, pixels)
    with np.errstate(all='ignore'):
        residual = np.abs(cv2_project(camera, with_z(reference)) - pixels).max(axis=-1)
    rays = camera.rays[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
    converged = residual < 1e-7
    seen = np.isfinite(rays[:, 0])
    compared = converged & seen
    assert compared.mean() > (0.6 if name in ('k1 alone', 'equidistant 180') else 0.8)
    assert np.abs(rays[compared] - reference[compared]).max() < 1e-4
    # What OpenCV finds where we find nothing is beyond the fold, or at 90 degrees.
    beyond = np.hypot(*reference[converged & ~seen].T)
    fisheye = camera.distortion_model == 'equidistant'
    assert (beyond > (999.0 if fisheye else 0.99 * radius_of_slope(camera.d, 0.0))).all()


@distorted_cameras
def test_project_equals_that_of_opencv(name):
    """To 1e-6 px, over the whole field of view."""
    camera = CAMERAS[name]
    rays = camera.unproject(all_pixels(camera, 5)).reshape(-1, 2)
    points = with_z(rays[np.isfinite(rays[:, 0])]) * 3.5
    np.testing.assert_allclose(camera.project(points), cv2_project(camera, points), atol=1e-6)


@cameras
def test_project_inverts_unproject(camera):
    """To 0.01 px at every pixel, corners included, or there is no ray."""
    pixels = all_pixels(camera)
    seen = np.isfinite(camera.unproject(pixels)[..., 0])
    back = camera.project(with_z(camera.unproject(pixels)))
    assert np.abs(back - pixels)[seen].max() < 1e-5
    assert np.isnan(back[~seen]).all()
    assert seen[camera.height // 2, camera.width // 2]
    # The float32 rays that make the cloud, too.
    back = camera.project(with_z(camera.rays))
    assert np.nanmax(np.abs(back - pixels)) < 0.01
    np.testing.assert_array_equal(np.isfinite(back[..., 0]), seen)


@pytest.mark.parametrize('name', ['ideal', 'plumb_bob 4', 'plumb_bob 5', 'pincushion'])
def test_whole_image_has_rays(name):
    """A lens that covers its sensor leaves no pixel out."""
    assert CAMERAS[name].visible is None


def test_no_ray_beyond_the_fold_of_the_polynomial():
    """k1 = -0.35 alone: r (1 - 0.35 r2) is largest, 2/3 r, at r2 = 1 / 1.05."""
    camera = CAMERAS['k1 alone']
    limit = math.sqrt(1.0 / 1.05)
    edge = 2.0 / 3.0 * limit
    angles = np.linspace(0.0, 2.0 * math.pi, 32)
    circle = np.stack([camera.fx * np.cos(angles), camera.fy * np.sin(angles)], axis=-1)
    centre = [camera.cx, camera.cy]
    inside = camera.unproject(0.9999 * edge * circle + centre)
    np.testing.assert_allclose(np.hypot(*inside.T), limit, rtol=0.02)
    assert (np.hypot(*inside.T) < limit).all()
    assert np.isnan(camera.unproject(1.0001 * edge * circle + centre)).all()
    # A point far outside the view, which the polynomial alone would draw in the image.
    assert np.isnan(camera.project([1.5, 0.0, 1.0])).all()
    u, _ = cv2_project(camera, np.array([[1.5, 0.0, 1.0]]))[0]
    assert 0 < u < WIDTH
    assert np.isfinite(camera.project([0.999 * limit, 0.0, 1.0])).all()


@pytest.mark.parametrize(
    ('model', 'd', 'point'),
    [
        # The radius is largest at 1.68, falls to 3.5, and then grows again.
        ('rational_polynomial', RATIONAL, [5.5, 0.0, 1.0]),
        # y' = y + 0.3 y2 is least at y = -1.67.
        ('plumb_bob', (0.0, 0.0, 0.1, 0.0), [0.0, -3.0, 1.0]),
    ],
)
def test_no_pixel_beyond_other_folds(model, d, point):
    """Neither on a later growing branch, nor where the tangential terms fold the image."""
    camera = Camera(WIDTH, HEIGHT, 300.0, 300.0, 311.2, 246.8, model, d)
    u, v = cv2_project(camera, np.array([point]))[0]
    assert 0 < u < WIDTH
    assert 0 < v < HEIGHT
    assert np.isnan(camera.project(point)).all()


@settings(max_examples=60, deadline=None)
@given(
    d=st.tuples(
        *[st.floats(-b, b) for b in (0.7, 0.4, 0.01, 0.01, 0.2, 0.6, 0.2, 0.1)],
        *[st.floats(-0.002, 0.002)] * 4,
        *[st.floats(-0.1, 0.1)] * 2,
    ),
    length=st.sampled_from([5, 8, 12, 14]),
)
def test_any_lens_is_inverted(d, length):
    """Every ray is found again from its pixel, and every pixel from its ray or it has none."""
    camera = Camera(640, 480, 400.0, 400.0, 320.0, 240.0, 'rational_polynomial', d[:length])
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, 41), np.linspace(-1.5, 1.5, 41))
    # Where the radius hardly grows, the small terms decide where the image is folded.
    rays = np.stack([x, y], axis=-1)[np.hypot(x, y) < radius_of_slope(d[:length], 0.3)]
    np.testing.assert_allclose(camera.unproject(camera.project(with_z(rays))), rays, atol=1e-6)

    pixels = all_pixels(camera, 16)
    back = camera.project(with_z(camera.unproject(pixels)))
    seen = np.isfinite(back[..., 0])
    assert seen[15, 20]
    np.testing.assert_allclose(back[seen], pixels[seen], atol=0.01)


@cameras
def test_points_behind_the_camera_have_no_pixel(camera):
    """Also those in its plane, and NaN."""
    points = [[0.1, 0.1, -1.0], [0.1, 0.1, 0.0], [math.nan, 0.0, 1.0], [0.0, 0.0, math.nan]]
    assert np.isnan(camera.project(points)[[0, 1, 3]]).all()
    assert np.isnan(camera.project(points)[2, 0])


def test_rays_live_with_the_camera():
    """They are computed once for each camera, read-only, and gone with it."""
    camera = Camera(64, 48, 50.0, 50.0, 32.0, 24.0, 'plumb_bob', STRONG)
    x, y = camera.ray_maps
    assert camera.ray_maps[0] is x
    assert camera.ray_maps[1] is y
    assert not x.flags.writeable
    assert not y.flags.writeable
    assert dataclasses.replace(camera, fx=51.0).ray_maps[0][24, 40] != x[24, 40]
    gone = weakref.ref(camera)
    del camera
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize('name', ['strong', 'rational 14', 'equidistant'])
def test_roi_and_binning_see_the_same_rays(name):
    """A pixel of the window has the ray of the full image's pixel that it shows."""
    camera = CAMERAS[name]
    window = calibration_of(camera, roi=(60, 40, 320, 200), binning_x=2, binning_y=2)
    rays = Camera.from_calibration(window).rays
    assert rays.shape == (100, 160, 2)
    np.testing.assert_allclose(rays, camera.rays[40:240:2, 60:380:2], atol=1e-5)


@cameras
@pytest.mark.parametrize('n', [1, 2, 3, 7])
def test_stride_takes_every_nth_pixel(camera, n):
    """Camera and calibration agree, and their rays are those of the full image."""
    strided = camera.strided(n)
    np.testing.assert_allclose(strided.rays, camera.rays[::n, ::n], rtol=1e-5, atol=1e-6)
    calibration = calibration_of(camera, p=(8.0, 0, 4.0, 2.0, 0, 6.0, 3.0, 0, 0, 0, 1.0, 0))
    assert Camera.from_calibration(calibration.strided(n)) == strided
    assert calibration.strided(n).p == tuple(
        np.array([8.0, 0, 4.0, 2.0, 0, 6.0, 3.0, 0, 0, 0, n, 0]) / n
    )


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial', 'equidistant', ''])
def test_empty_d_is_no_distortion(model):
    """In every model; so are zeros where the polynomial says so."""
    assert not dataclasses.replace(CAMERAS['ideal'], distortion_model=model).distorts
    zeros = dataclasses.replace(
        CAMERAS['ideal'],
        distortion_model=model,
        d=(0.0,) * {'rational_polynomial': 8, 'equidistant': 4}.get(model, 5),
    )
    assert zeros.distorts == (model == 'equidistant')


@pytest.mark.parametrize('name', ['plumb_bob 5', 'strong', 'rational 14', 'equidistant'])
def test_rectification_equals_that_of_opencv(name):
    """The same source pixels, and the same picture where there is one."""
    camera = CAMERAS[name]
    calibration = calibration_of(camera, r=tuple(STEREO_R.ravel()), p=STEREO_P)
    rectification = Rectification.from_calibration(calibration)
    fisheye = camera.distortion_model == 'equidistant'
    module = cv2.fisheye if fisheye else cv2
    P = np.array(STEREO_P).reshape(3, 4)[:, :3]
    reference_u, reference_v = module.initUndistortRectifyMap(
        matrix(camera), np.array(camera.d), STEREO_R, P, (WIDTH, HEIGHT), cv2.CV_32FC1
    )
    seen = np.full((HEIGHT, WIDTH), True)
    if rectification.visible is not None:
        seen = rectification.visible == 255
    assert seen.mean() > 0.8
    np.testing.assert_allclose(rectification.source_u[seen], reference_u[seen], atol=1e-3)
    np.testing.assert_allclose(rectification.source_v[seen], reference_v[seen], atol=1e-3)

    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image = cv2.GaussianBlur(image, (9, 9), 3.0)
    rectified = rectification.rectify(image)
    reference = cv2.remap(image, reference_u, reference_v, cv2.INTER_LINEAR)
    assert np.abs(rectified.astype(int) - reference)[seen].max() <= 1
    assert not rectified[~seen].any()
    assert rectification.camera == Camera(WIDTH, HEIGHT, 380.0, 380.0, 330.0, 235.0)


def test_rectification_without_p_and_r():
    """Both all zero: K is kept and nothing is turned; an ideal lens then changes nothing."""
    calibration = calibration_of(CAMERAS['ideal'], r=(0.0,) * 9)
    rectification = Rectification.from_calibration(calibration)
    assert rectification.camera == CAMERAS['ideal']
    assert rectification.visible is None
    image = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(rectification.rectify(image), image)


def test_rectification_of_a_window():
    """With ROI and binning, the rectified window is a window of the rectified image."""
    camera = CAMERAS['plumb_bob 5']
    full = calibration_of(camera, p=STEREO_P)
    window = dataclasses.replace(full, roi=(100, 80, 320, 240), binning_x=2, binning_y=2)
    whole, part = Rectification.from_calibration(full), Rectification.from_calibration(window)
    assert part.camera == Camera(160, 120, 190.0, 190.0, 115.0, 77.5)
    seen = np.full((120, 160), True) if part.visible is None else part.visible == 255
    assert seen.mean() > 0.7
    expected_u = (whole.source_u[80:320:2, 100:420:2] - 100.0) / 2.0
    expected_v = (whole.source_v[80:320:2, 100:420:2] - 80.0) / 2.0
    np.testing.assert_allclose(part.source_u[seen], expected_u[seen], atol=1e-3)
    np.testing.assert_allclose(part.source_v[seen], expected_v[seen], atol=1e-3)


def test_a_resized_camera_by_hand():
    """1921 px become 961: two pixels are one; 1081 rows become 541."""
    camera = Camera(1921, 1081, 1000.0, 1100.0, 960.0, 540.0).resized(961, 541)
    assert camera == Camera(961, 541, 500.0, 550.0, 480.0, 270.0)
    # 640x480 at a network of 7x5: pixel 3 is image column 3 x 639 / 6 = 319.5
    small = Camera(640, 480, 525.0, 525.0, 319.5, 239.5).resized(7, 5)
    np.testing.assert_allclose([small.cx, small.cy], [3.0, 2.0])
    np.testing.assert_allclose([small.fx, small.fy], [525.0 * 6 / 639, 525.0 * 4 / 479])


@pytest.mark.parametrize('name', CAMERAS)
def test_a_resized_camera_has_the_rays_of_the_same_places(name):
    """For every lens, pixel (i, j) sees what the image sees at (i (W - 1) / (w - 1), ...)."""
    camera = CAMERAS[name]
    small = camera.resized(98, 70)
    v, u = np.mgrid[:70, :98]
    places = np.stack([u * (WIDTH - 1) / 97, v * (HEIGHT - 1) / 69], axis=-1)
    np.testing.assert_allclose(small.rays, camera.unproject(places), rtol=1e-5, atol=1e-6)
    calibration = calibration_of(camera).resized(98, 70)
    assert Camera.from_calibration(calibration) == small


def test_a_side_of_one_pixel_stays_one():
    """It has no two ends to be aligned."""
    assert Camera(9, 1, 10.0, 10.0, 4.0, 0.0).resized(5, 1).cy == 0.0
    with pytest.raises(ValueError, match='a side of 9 px cannot become one of 1 px'):
        Camera(9, 9, 10.0, 10.0, 4.0, 4.0).resized(1, 9)
