# SPDX-License-Identifier: Apache-2.0
"""The picture that tells whether a cloud is right."""

import numpy as np
import pytest

from depth_pcd_ros.cloud.unproject import pack_points
from depth_pcd_ros.show.preview import BACKGROUND, UNCOLOURED, preview, render_cloud

WIDTH, HEIGHT, FOCAL = 64, 48, 60.0


def flat(depth):
    """Depth and organized points, red on the left and blue on the right, of a wall."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    rays = (u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, : WIDTH // 2, 0] = rgb[:, WIDTH // 2 :, 2] = 255
    depths = np.full((HEIGHT, WIDTH), depth, np.float32)
    return rgb, depths, pack_points(depths, rays, rgb)


def test_panels():
    """Photo as BGR, colours of the depth, cloud."""
    rgb, depth, points = flat(2.0)
    depth[:, 40:] = 4.0
    depth[0, 0] = np.nan
    picture = preview(rgb, depth, points, focal=FOCAL)
    assert picture.shape == (HEIGHT, 3 * WIDTH, 3)
    np.testing.assert_array_equal(picture[:, :WIDTH], rgb[..., ::-1])
    colours = picture[:, WIDTH : 2 * WIDTH]
    assert not colours[0, 0].any()
    assert colours[9, 9, 2] > colours[9, 9, 0]  # near is warm
    assert colours[9, 60, 0] > colours[9, 60, 2]  # far is cold
    np.testing.assert_array_equal(
        picture[:, 2 * WIDTH :], render_cloud(points, WIDTH, HEIGHT, FOCAL)
    )


def test_large_picture(monkeypatch):
    """Of a picture with many pixels, every n-th is shown; the cloud is seen as large as before."""
    rgb, depth, points = flat(2.0)
    whole = preview(rgb, depth, points, focal=FOCAL)
    monkeypatch.setattr('depth_pcd_ros.show.preview.MOST_PIXELS', depth.size // 4)
    small = preview(rgb, depth, points, focal=FOCAL)
    assert small.shape == (HEIGHT // 2, 3 * WIDTH // 2, 3)
    np.testing.assert_array_equal(small[:, : 2 * WIDTH // 2], whole[::2, : 2 * WIDTH : 2])
    shown = [
        (picture[:, -picture.shape[1] // 3 :] != BACKGROUND).mean() for picture in (whole, small)
    ]
    assert abs(shown[0] - shown[1]) < 0.1
    voxels = preview(rgb, depth, points.reshape(-1, 4)[::3], focal=FOCAL)
    assert voxels.shape == small.shape


def test_cloud_unmoved_is_the_photo(monkeypatch):
    """From where the camera was, the middle at its own distance, the cloud is the photo."""
    monkeypatch.setattr('depth_pcd_ros.show.preview.DISTANCE', 1.0)
    rgb, _, points = flat(2.0)
    middle = np.median(points[..., :3].reshape(-1, 3), axis=0)
    assert abs(middle[0]) + abs(middle[1]) < 0.04
    shown = render_cloud(points, WIDTH, HEIGHT, FOCAL, yaw=0.0, pitch=0.0)
    same = (shown == rgb[..., ::-1]).all(axis=2)
    assert same[2:-2, 2:-2].mean() > 0.95


@pytest.mark.parametrize(('yaw', 'pitch', 'nearer'), [(30, 0, 'right'), (-30, 0, 'left')])
def test_camera_goes_to_the_side(yaw, pitch, nearer):
    """Seen from the right, the right half of a wall is larger."""
    _, _, points = flat(2.0)
    shown = render_cloud(points, WIDTH, HEIGHT, FOCAL, yaw=yaw, pitch=pitch)
    red, blue = (int((shown[..., i] == 255).sum()) for i in (2, 0))
    assert (blue > red) == (nearer == 'right')


def test_near_points_do_not_fill_the_picture():
    """A point next to the new camera is left out."""
    _, _, points = flat(4.0)
    with_fly = points.reshape(-1, 4).copy()
    from depth_pcd_ros.show.preview import DISTANCE, NEAREST, PITCH, YAW, _rotation

    middle = np.median(with_fly[:, :3], axis=0)
    distance = DISTANCE * np.linalg.norm(middle)
    before_camera = np.array([0.0, 0.0, 0.9 * NEAREST * distance - distance])
    with_fly[0, :3] = middle + before_camera @ _rotation(YAW, PITCH)
    np.testing.assert_array_equal(
        render_cloud(with_fly, WIDTH, HEIGHT, FOCAL)[20:28, 28:36],
        render_cloud(points, WIDTH, HEIGHT, FOCAL)[20:28, 28:36],
    )


@pytest.mark.parametrize('fields', [3, 4])
def test_nothing_valid(fields):
    """A cloud without a valid point is drawn as background, its depth as black."""
    points = np.full((HEIGHT, WIDTH, fields), np.nan, np.float32)
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture = preview(rgb, points[..., 0], points, focal=FOCAL)
    assert not picture[:, WIDTH : 2 * WIDTH].any()
    assert (picture[:, 2 * WIDTH :] == BACKGROUND).all()


def test_without_colours():
    """Points without a colour are grey."""
    _, _, points = flat(2.0)
    shown = render_cloud(points[..., :3], WIDTH, HEIGHT, FOCAL)
    assert set(np.unique(shown)) == {BACKGROUND, UNCOLOURED}


def test_what_is_near_hides_what_is_far():
    """Each point covers four pixels, and none of those behind shows through."""
    _, _, wall = flat(2.0)
    near, far = wall[::2, ::2].reshape(-1, 4), wall.reshape(-1, 4).copy()
    far[:, :3] *= np.float32(1.02)  # from the camera's place, behind the same pixels
    far[:, 3] = pack_points(np.ones((1, 1), np.float32), (np.zeros((1, 1), np.float32),) * 2,
                            np.full((1, 1, 3), (0, 255, 0), np.uint8))[0, 0, 3]  # fmt: skip
    order = np.random.default_rng(0).permutation(len(near) + len(far))
    shown = render_cloud(np.vstack([near, far])[order], WIDTH, HEIGHT, FOCAL, yaw=0.0, pitch=0.0)
    green = (shown == (0, 255, 0)).all(axis=2)
    assert not green[8:-8, 14:-14].any()
    assert (shown[8:-8, 14:-14] != BACKGROUND).any(axis=2).all()
