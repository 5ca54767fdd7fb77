# SPDX-License-Identifier: Apache-2.0
"""Corners, camera motion, triangulation and confidence, on rendered and on computed pictures."""

import itertools

import cv2
import numpy as np
import pytest

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.motion.camera_motion import MotionError, camera_motion
from depth_pcd_ros.motion.confidence import confidence
from depth_pcd_ros.motion.pose import Pose, pose
from depth_pcd_ros.motion.tracks import Tracked, Tracks
from depth_pcd_ros.motion.triangulate import Triangulation
from depth_pcd_ros.scale.measurement import ScaleError
from scenes import sequences

PINHOLE = Camera(640, 480, 500.0, 510.0, 320.0, 240.0)
BENT = Camera(640, 480, 500.0, 510.0, 320.0, 240.0, 'plumb_bob', (-0.25, 0.06, 0.001, -0.002, 0.0))
FISHEYE = Camera(640, 480, 300.0, 300.0, 320.0, 240.0, 'equidistant', (0.01, 0.002, 0.0, 0.0))
CAMERAS = [PINHOLE, BENT, FISHEYE]


def scattered(count=150, seed=0):
    """Points before a camera at the origin, (N, 3) m."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-1, 1, (count, 2)), rng.uniform(2, 5, count)])


def at(camera, points, place):
    """The pixels that a camera at a place (world_from_camera) sees points at."""
    return camera.project((points - place.translation) @ place.rotation)


def moved(x=0.0, z=0.0, yaw=0.0):
    """A place, world_from_camera, turned about the vertical [rad]."""
    return Pose(cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0], np.array([x, 0.0, z]))


def tracked(before, now):
    """Corners that were followed from one picture to the next."""
    return Tracked(np.arange(len(now)), before, now, np.arange(0), np.empty((0, 2)), 2.0)


@pytest.mark.parametrize('camera', CAMERAS)
def test_the_motion_of_the_camera(camera):
    """Found to a millimetre through every lens, a third of the corners being on what moves."""
    points, place = scattered(), moved(0.02, 0.05, 0.02)
    now = at(camera, points, place)
    now[::3] += np.random.default_rng(1).uniform(10, 30, now[::3].shape)
    found = camera_motion(tracked(at(camera, points, moved()), now), points[:, 2], camera)
    expected = place.inverse()
    np.testing.assert_allclose(found.translation, expected.translation, atol=1e-3)
    np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-3)


def test_corners_that_do_not_agree_tell_no_motion():
    """Too few, or most of them where they like."""
    points = scattered()
    pixels = at(PINHOLE, points, moved())
    with pytest.raises(MotionError, match='10 corners'):
        camera_motion(tracked(pixels[:10], pixels[:10]), points[:10, 2], PINHOLE)
    anywhere = pixels + np.random.default_rng(2).uniform(-60, 60, pixels.shape)
    with pytest.raises(MotionError, match='agree') as err:
        camera_motion(tracked(pixels, anywhere), points[:, 2], PINHOLE)
    assert err.value.cause == 'no_agreement'


def test_corners_are_followed():
    """A picture shifted by (7, -4) px: cv2's own warp tells where each corner is."""
    rng = np.random.default_rng(3)
    large = cv2.GaussianBlur(rng.integers(0, 256, (520, 700, 3), np.uint8), (0, 0), 2.5)
    large = cv2.normalize(large, None, 0, 255, cv2.NORM_MINMAX)
    tracks = Tracks()
    first = tracks.update(np.ascontiguousarray(large[20:500, 20:660]))
    second = tracks.update(np.ascontiguousarray(large[24:504, 13:653]))
    assert len(first.ids) == 0
    assert len(second.ids) > 100
    np.testing.assert_allclose(np.median(second.now - second.before, 0), [7.0, -4.0], atol=0.1)
    assert set(second.ids) <= set(first.fresh_ids)


def test_corners_at_the_border_of_what_is_visible_are_none():
    """A circle of picture that moves on black: its rim stands still, what it shows moves."""
    rng = np.random.default_rng(8)
    large = cv2.GaussianBlur(rng.integers(60, 256, (500, 700, 3), np.uint8), (0, 0), 2.5)
    large = cv2.normalize(large, None, 60, 255, cv2.NORM_MINMAX)
    visible = cv2.circle(np.zeros((480, 640), np.uint8), (320, 240), 200, 255, -1)
    tracks = Tracks()
    for shift in (0, 6):
        rgb = np.where(visible[..., None] > 0, large[:480, shift : shift + 640], 0)
        found = tracks.update(np.ascontiguousarray(rgb.astype(np.uint8)), visible)
    assert len(found.ids) > 60
    np.testing.assert_allclose(found.now - found.before, [[-6.0, 0.0]] * len(found.ids), atol=0.5)
    assert np.linalg.norm(found.now - [320, 240], axis=1).max() < 200 - 10


@pytest.mark.parametrize('size', [1, 2, 9])
def test_the_motion_at_every_size(size):
    """Corners are off by half a pixel of the picture in which they are followed: no matter."""
    camera = Camera(320 * size, 240 * size, *[260.0 * size] * 2, 160.0 * size, 120.0 * size)
    points, place, rng = scattered(), moved(0.02, 0.05), np.random.default_rng(9)
    noise = 0.5 * size * rng.uniform(-1, 1, (150, 2))
    before, now = at(camera, points, moved()), at(camera, points, place) + noise
    corners = Tracked(np.arange(150), before, now, np.arange(0), np.empty((0, 2)), float(size))
    found = camera_motion(corners, points[:, 2], camera)
    np.testing.assert_allclose(found.translation, place.inverse().translation, atol=0.01)


def triangulated(camera, places, points, noise=0.0, seed=4):
    """What triangulation makes of points that are seen from all places."""
    rng = np.random.default_rng(seed)
    triangulation, found = Triangulation(), None
    for place in places:
        now = at(camera, points, place)
        now += noise * rng.standard_normal(now.shape)
        try:
            found = triangulation.update(tracked(now, now), camera, place)
        except ScaleError as err:
            found = err
    return found


@pytest.mark.parametrize('camera', CAMERAS)
def test_points_by_the_motion(camera):
    """The depth in the last picture, to 1 %, through every lens."""
    points, places = scattered(), [moved(0.04 * i) for i in range(8)]
    found = triangulated(camera, places, points)
    assert len(found.ids) > 100
    np.testing.assert_allclose(found.xyz[:, 2], points[found.ids, 2], rtol=0.01)
    np.testing.assert_allclose(found.xyz[:, 0], points[found.ids, 0] - 0.28, atol=0.02)


def test_the_uncertainty_is_what_the_depths_are_off_by():
    """With half a pixel of noise the errors by their standard deviations spread by about 1."""
    points, places = scattered(400), [moved(0.04 * i) for i in range(10)]
    found = triangulated(PINHOLE, places, points, noise=0.5)
    off = (found.xyz[:, 2] / points[found.ids, 2] - 1) / found.uncertainty
    assert 0.6 < np.median(np.abs(off)) * 1.48 < 1.4


def test_a_centimetre_is_enough_to_measure_again():
    """Also where a picture is not kept; less is not."""
    places = [moved(0.04 * i) for i in range(8)]
    points = scattered()
    assert len(triangulated(PINHOLE, [*places, moved(0.292)], points).ids) > 100
    assert triangulated(PINHOLE, [*places, moved(0.286)], points).cause == 'no_motion'


def test_short_ways_are_less_certain():
    """The error of the poses by the way: a third of the way, three times the error."""
    short, long = (
        triangulated(PINHOLE, [moved(way * i / 7) for i in range(8)], scattered())
        for way in (0.21, 0.63)
    )
    here, there = np.isin(short.ids, long.ids), np.isin(long.ids, short.ids)
    ratio = short.shared[here] / long.shared[there]
    np.testing.assert_allclose(ratio, 3.0, rtol=0.05)


def test_odometry_that_shakes():
    """0.1 deg of noise on each pose is nearly 1 px: the pictures know better."""
    points, rng = scattered(), np.random.default_rng(5)
    places = [moved(0.04 * i) for i in range(8)]
    shaken = [
        Pose(p.rotation @ cv2.Rodrigues(np.radians(0.1) * rng.standard_normal(3))[0], p.translation)
        for p in places
    ]
    triangulation = Triangulation()
    for place, said in zip(places, shaken, strict=True):
        pixels = at(PINHOLE, points, place)
        try:
            found = triangulation.update(tracked(pixels, pixels), PINHOLE, said)
        except ScaleError:
            continue
    assert abs(np.median(found.xyz[:, 2] / points[found.ids, 2]) - 1) < 0.02


@pytest.mark.parametrize(
    ('places', 'cause'),
    [
        ([moved()] * 8, 'no_motion'),
        ([moved(yaw=0.05 * i) for i in range(8)], 'no_motion'),
    ],
)
def test_without_motion_there_is_no_scale(places, cause):
    """Standing, and turning in place."""
    assert triangulated(PINHOLE, places, scattered()).cause == cause


def test_a_camera_that_pans_tells_little():
    """The focal length is off by 1.5 %: nothing is measured from turns of 5 degrees for 3 cm.

    The depths would be 12 % wrong. Where it drives on and turns no more, they are told.
    """
    points, triangulation = scattered(), Triangulation()
    other = Camera(640, 480, 507.5, 517.6, 320.0, 240.0)
    causes = []
    for i in range(20):
        place = moved(0.031 * i, yaw=0.09 * min(i - 8, 0))
        pixels = at(other, points, place)
        try:
            found = triangulation.update(tracked(pixels, pixels), PINHOLE, place)
        except ScaleError as err:
            causes.append(err.cause)
            continue
        causes.append('')
        true = ((points - place.translation) @ place.rotation)[found.ids, 2]
        np.testing.assert_allclose(np.median(found.xyz[:, 2] / true), 1.0, atol=0.1)
    assert causes[2:8] == ['no_parallax'] * 6
    assert causes[12:] == [''] * 8


def test_wheels_that_slip():
    """The odometry moves and the picture does not."""
    points, triangulation = scattered(), Triangulation()
    pixels = at(PINHOLE, points, moved())
    for i in range(8):
        with pytest.raises(ScaleError) as err:
            triangulation.update(tracked(pixels, pixels), PINHOLE, moved(0.04 * i))
    assert err.value.cause == 'no_parallax'


def test_confidence():
    """It grows with agreement, and falls to an edge, to the border, and where there is no depth."""
    depth = np.full((40, 60), 2.0, np.float32)
    depth[:, 30:] = 4.0
    depth[20, 10] = np.nan
    rated = confidence(depth, np.full((40, 60), 3.0, np.float32))
    assert rated[10, 15] == pytest.approx(75.0)  # three pictures: 3 / 4
    assert rated[20, 10] == 0.0
    assert rated[10, 29] == rated[10, 30] == 0.0
    assert rated[0, 15] < 20.0
    assert (confidence(depth, np.ones((40, 60), np.float32)) <= 50.0).all()


def test_rendered_poses_and_pictures_agree():
    """Corners of a drive go where the poses say, and where the motion found says, to 0.5 px."""
    room, views = sequences.views(4, 320, 240)
    shots = sequences.shoot(room, views)
    tracks = Tracks()
    tracks.update(shots[0].rgb)
    for before, now in itertools.pairwise(shots):
        corners = tracks.update(now.rgb)
        u, v = np.rint(corners.before).astype(int).T
        z = before.depth[v, u].astype(float)
        points = np.column_stack([before.camera.unproject(corners.before), np.ones(len(z))])
        points *= z[:, None]
        poses = (
            camera_motion(corners, z, now.camera),
            pose(now.world_from_camera).inverse() @ pose(before.world_from_camera),
        )
        for found in poses:
            pixels = now.camera.project(points @ found.rotation.T + found.translation)
            assert np.median(np.linalg.norm(pixels - corners.now, axis=1)) < 0.5
