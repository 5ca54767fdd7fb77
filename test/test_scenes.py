# SPDX-License-Identifier: Apache-2.0
"""The rendered rooms: exact depth, distances to surfaces, and the demo recording."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

import scenes
from depth_pcd_ros.evaluate.pairs import find_pairs, read_depth
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.inputs.photos import read_photo
from scenes import demo, evaluate, recording
from scenes.furniture import make_room
from scenes.pool import Pool, picture
from scenes.render import View, distance_to_surface, render, render_depth
from scenes.rooms import BOX, CYLINDER, SPHERE, Room
from scenes.textures import PLAIN, TILES, material
from scenes.views import floor_share, make_view, rotation

WHITE = np.full(3, 0.8)


def test_the_demo_has_the_defaults(monkeypatch):
    """What it shows is what somebody gets who sets nothing but the model."""
    started = []
    monkeypatch.setattr(demo.subprocess, 'Popen', lambda command, **_: started.append(command))
    demo.start_node('demo')
    (command,) = started
    set_ones = [word for flag, word in itertools.pairwise(command) if flag == '-p']
    assert set_ones == ['model:=demo', 'frames:=all']


def _room(*things: tuple[int, tuple[float, ...]]) -> Room:
    """A bare room of 4 x 6 x 3 m with primitives (kind, shape) in it."""
    return Room(
        seed=0,
        size=np.array([4.0, 6.0, 3.0]),
        kinds=np.array([kind for kind, _ in things], np.int64),
        shapes=np.array([shape for _, shape in things], float).reshape(-1, 8),
        materials_of=np.zeros(len(things), np.int64),
        materials=np.stack([material(PLAIN, WHITE)] * 4),
        lights=np.array([[2.0, 3.0, 2.9, 1.0]]),
        ambient=0.3,
        footprints=np.zeros((0, 4)),
    )


def _level(width: int = 64, height: int = 48, **changes: object) -> View:
    """A camera at (2, 1, 1) that looks level along y; its x is the room's."""
    fields: dict[str, object] = {
        'width': width,
        'height': height,
        'fx': 50.0,
        'fy': 52.0,
        'cx': 30.0,
        'cy': 25.0,
        'position': np.array([2.0, 1.0, 1.0]),
        'room_from_camera': rotation(np.pi / 2, 0.0, 0.0),
    }
    return View(**{**fields, **changes})  # type: ignore[arg-type]


def _points(view: View, depth: np.ndarray) -> np.ndarray:
    """The depth map's points (H, W, 3) in the camera's frame."""
    v, u = np.mgrid[: view.height, : view.width]
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones(u.shape)], -1)
    return rays * depth[..., None]


def test_depth_of_a_bare_room_is_that_of_its_planes():
    """A far wall at z = 5 m, a floor at 1 m below: depths worked out by hand."""
    depth = render_depth(_room(), _level())
    assert depth[25, 30] == pytest.approx(5.0)
    assert depth[20, 40] == pytest.approx(5.0)  # z, not the length of the ray
    assert depth[45, 30] == pytest.approx(52.0 / 20.0)  # floor: y = 1 = z (45 - 25) / 52
    assert depth[25, 0] == pytest.approx(2.0 * 50 / 30)  # wall at x = -2 of column 0
    assert depth[25, 63] == pytest.approx(2.0 * 50 / 33)


@pytest.mark.parametrize(
    ('kind', 'shape', 'expected'),
    [
        (BOX, (2, 4, 1, 0.5, 0.25, 0.5, 1, 0), 2.75),
        (BOX, (2, 4, 1, 0.5, 0.5, 0.5, np.sqrt(0.5), np.sqrt(0.5)), 3 - np.sqrt(0.5)),
        (CYLINDER, (2, 4, 1, 0.3, 0.3, 1, 1, 0), 2.7),
        (SPHERE, (2, 4, 1, 0.4, 0.4, 0.4, 1, 0), 2.6),
    ],
)
def test_nearest_point_of_a_primitive_ahead(kind, shape, expected):
    """3 m ahead stands a box, one turned by 45 degrees, a cylinder or a ball."""
    assert render_depth(_room((kind, shape)), _level())[25, 30] == pytest.approx(expected)


def test_every_rendered_point_lies_on_a_surface():
    """Ray casting and the distance functions are written apart, and agree in furnished rooms."""
    for seed in scenes.VALIDATION_SEEDS[:3]:
        room = make_room(seed)
        view = make_view(room, seed, 320, 240)
        points = _points(view, render_depth(room, view))
        distances = distance_to_surface(room, view, points)
        assert distances.shape == (240, 320)
        assert distances.max() < 1e-5


def test_distance_to_surface_by_hand():
    """In the air, in a wall's direction, inside a box, beyond the room, and of NaN."""
    room = _room((BOX, (2, 4, 1, 0.5, 0.25, 0.5, 1, 0)), (SPHERE, (1, 2, 1, 0.2, 0.2, 0.2, 1, 0)))
    points = [
        (0, 0, 2.5),  # 0.25 m before the box
        (1.9, 0, 1),  # 0.1 m from the wall at x = 4
        (0, 0, 3.1),  # inside the box, 0.15 m from its back
        (0, 0, 5.3),  # 0.3 m beyond the far wall
        (-1, 0.5, 1),  # 0.5 m below the ball's centre
        (np.nan, 0, 1),
    ]
    distances = distance_to_surface(room, _level(), np.array(points))
    np.testing.assert_allclose(distances, [0.25, 0.1, 0.15, 0.3, 0.3, np.nan], atol=1e-12)


def test_a_thing_before_a_lamp_throws_a_shadow():
    """A plate half-way between lamp and floor darkens the floor below, and not that beside it."""
    down = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    view = _level(room_from_camera=down, position=np.array([2.0, 3.0, 1.0]), cx=31.5, cy=23.5)
    plate = (BOX, (2, 3, 1.9, 0.1, 0.1, 0.01, 1, 0))  # its shadow is 0.29 m from side to side
    for room, low, high in ((_room(), 0.99, 1.05), (_room(plate), 0.4, 0.75)):
        grey = render(room, view).rgb.mean(-1)
        assert low < grey[22:26, 30:34].mean() / grey[:, :5].mean() < high


def test_tiles_have_their_grain():
    """The joints between the floor's tiles are 0.3 m apart, seen from straight above."""
    room = _room()
    room.materials[0] = material(TILES, WHITE, np.zeros(3), grain=0.3)
    down = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    view = _level(400, 3, fx=200.0, fy=200.0, cx=199.5, cy=1.0, room_from_camera=down)
    view.position[:] = (2.0, 1.05, 1.0)  # half a tile off the joints along x
    row = render(room, view).rgb[1].mean(-1)
    dark = np.flatnonzero(row < 0.5 * np.median(row))
    middles = [group.mean() for group in np.split(dark, np.flatnonzero(np.diff(dark) > 1) + 1)]
    np.testing.assert_allclose(np.diff(middles), 0.3 * 200, atol=1.5)


def test_supersampling_keeps_the_depth_and_smooths_the_photo():
    """Samples within a pixel change its colour, not its depth."""
    room = make_room(scenes.VALIDATION_SEEDS[0])
    view = make_view(room, 0, 160, 120)
    one, four = render(room, view), render(room, view, samples=2)
    np.testing.assert_array_equal(one.depth, four.depth)
    roughness = [np.abs(np.diff(r.rgb.astype(float), axis=1)).mean() for r in (one, four)]
    assert roughness[1] < 0.95 * roughness[0]


def test_a_seed_gives_the_same_picture_and_another_seed_another():
    """Reproducible: the second rendering equals the first."""
    first, again, other = picture(7, 160, 120), picture(7, 160, 120), picture(8, 160, 120)
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.depth, again.depth)
    assert (first.depth != other.depth).mean() > 0.5


def test_a_resized_view_sees_along_the_same_rays():
    """Pixel areas scale: a 4x smaller view's pixel is the middle of 4x4 pixels."""
    view = _level(64, 48)
    small = view.resized(16, 12)
    u = 7
    assert (u - small.cx) / small.fx == pytest.approx((4 * u + 1.5 - view.cx) / view.fx)


def test_views_are_a_robots():
    """Camera height and pitch in their bands, free floor ahead, in nearly every room."""
    shares = []
    for seed in scenes.VALIDATION_SEEDS[:20]:
        room = make_room(seed)
        view = make_view(room, seed)
        shares.append(floor_share(room, view))
        assert 0.97 <= view.position[2] <= 1.03
        assert np.degrees(np.arcsin(-view.room_from_camera[2, 2])) == pytest.approx(12, abs=1)
        np.testing.assert_allclose(
            view.room_from_camera.T @ view.room_from_camera, np.eye(3), atol=1e-12
        )
        assert np.linalg.det(view.room_from_camera) == pytest.approx(1)
    assert np.mean(np.array(shares) >= 0.6) >= 0.9


def test_seeds_are_disjoint():
    """What is trained on is never measured on, nor shown."""
    ranges = (scenes.TRAIN_SEEDS, scenes.VALIDATION_SEEDS, scenes.EVALUATION_SEEDS)
    ranges += (range(scenes.DEMO_SEED, scenes.DEMO_SEED + 1),)
    assert sum(map(len, ranges)) == len(set().union(*ranges))


def test_pool_holds_the_pictures_of_its_seeds(tmp_path):
    """What is read back is what `picture` renders; what is there is not rendered again."""
    pool = Pool(tmp_path, range(100, 102), 56, 42, workers=1)
    assert len(pool) == 2
    for i in range(2):
        shown = picture(100 + i, 56, 42)
        np.testing.assert_array_equal(pool[i][0], shown.rgb)
        np.testing.assert_array_equal(pool[i][1], shown.depth.astype(np.float16))
    with pytest.raises(IndexError):
        pool[2]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.npy')}
    Pool(tmp_path, range(100, 102), 56, 42, workers=1)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.npy')}


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a few small frames."""
    return _record(tmp_path_factory.mktemp('recording') / 'demo')


def _record(out: Path) -> Path:
    room = make_room(scenes.DEMO_SEED)
    views = recording.drive(room, scenes.DEMO_SEED, 60, 10.0, 64, 48)
    recording.write(out, room, views[:3], 10.0)
    return out


def _read(folder: Path) -> dict[str, list]:
    found: dict[str, list] = {}
    with AnyReader([folder]) as reader:
        for connection, time, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((time, message, data))
    return found


def test_recording_has_photo_calibration_and_truth_of_each_frame(recorded):
    """Topics, types, stamps 0.1 s apart, frame_id, and a calibration that is not centred."""
    found = _read(recorded)
    assert sorted(found) == sorted([recording.IMAGE, recording.CAMERA_INFO, recording.TRUTH])
    for messages in found.values():
        times = [time for time, _, _ in messages]
        np.testing.assert_array_equal(np.diff(times), 10**8)
        for time, message, _ in messages:
            assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == time
            assert message.header.frame_id == 'camera_optical_frame'
            assert (message.height, message.width) == (48, 64)
    info = found[recording.CAMERA_INFO][0][1]
    fx, _, cx, _, fy, cy = info.k[:6]
    assert fx != fy
    assert cx != 31.5
    assert cy != 23.5
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
    assert info.distortion_model == 'plumb_bob'
    assert not info.d.any()


def test_recorded_truth_is_the_depth_of_the_recorded_camera(recorded):
    """The points of truth and CameraInfo lie on the room's surfaces, the photo is no blank."""
    found = _read(recorded)
    room = make_room(scenes.DEMO_SEED)
    views = recording.drive(room, scenes.DEMO_SEED, 60, 10.0, 64, 48)
    for i in range(3):
        info, truth = found[recording.CAMERA_INFO][i][1], found[recording.TRUTH][i][1]
        assert (truth.encoding, truth.step) == ('32FC1', 256)
        depth = truth.data.view('<f4').reshape(48, 64)
        v, u = np.mgrid[:48, :64]
        fx, _, cx, _, fy, cy = info.k[:6]
        points = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(u.shape)], -1) * depth[..., None]
        assert distance_to_surface(room, views[i], points).max() < 1e-5
        photo = found[recording.IMAGE][i][1]
        assert (photo.encoding, photo.step) == ('rgb8', 192)
        assert photo.data.std() > 20


def test_recording_is_the_same_for_the_same_seed(recorded, tmp_path):
    """Message by message, byte by byte."""
    first, again = _read(recorded), _read(_record(tmp_path / 'again'))
    for topic, messages in first.items():
        assert [data for _, _, data in messages] == [data for _, _, data in again[topic]]


def test_drive_is_smooth_and_touches_nothing():
    """Steps of at most 4 cm and 4 degrees, and 0.3 m of air around the camera all the way."""
    room = make_room(scenes.DEMO_SEED)
    views = recording.drive(room, scenes.DEMO_SEED, 60, 10.0, 64, 48)
    assert len(views) == 60
    for before, after in itertools.pairwise(views):
        assert np.linalg.norm(after.position - before.position) < 0.04
        turned = before.room_from_camera.T @ after.room_from_camera
        assert np.degrees(np.arccos((np.trace(turned) - 1) / 2)) < 4
    for view in views:
        assert distance_to_surface(room, view, np.zeros(3)) > 0.3


def test_rooms_for_evaluate(tmp_path):
    """A room becomes a photo, its exact depth in metres and its camera; those there stay."""
    evaluate.write_rooms(tmp_path, 1)
    (pair,) = find_pairs(tmp_path, lambda _: None)
    seed = scenes.EVALUATION_SEEDS[0]
    shown = picture(seed)
    np.testing.assert_array_equal(read_photo(pair.photo)[0], shown.rgb)
    np.testing.assert_array_equal(read_depth(pair), shown.depth.astype(np.float32))
    view = make_view(make_room(seed), seed)
    found = Camera.from_calibration(pair.calibration)
    assert (found.fx, found.fy, found.cx, found.cy) == view.intrinsics()
    before = pair.photo.stat().st_mtime_ns
    evaluate.write_rooms(tmp_path, 1)
    assert pair.photo.stat().st_mtime_ns == before
