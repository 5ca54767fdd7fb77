# SPDX-License-Identifier: Apache-2.0
"""Temporal filter and scale from motion through the pipeline, on rendered sequences."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest

from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.motion.pose import Pose, pose
from depth_pcd_ros.motion.stage import MotionStage
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Evidence, Header
from scenes import sequences
from scenes.scale import Noise, network_depth
from test.support.fake_engine import FakeEngine

WIDTH, HEIGHT = 320, 240
FRAMES = 12
FLICKER = 0.03  # standard deviation of the scale from frame to frame


@functools.cache
def shots(moving='', frames=FRAMES, index=0):
    """A drive; with a box that crosses or goes."""
    room, views = sequences.views(frames, WIDTH, HEIGHT, index)
    thing = getattr(sequences, moving)(views[0]) if moving else None
    return sequences.shoot(room, views, thing)


def depths(shots, scale=1.0, flicker=FLICKER, noise=0.3):
    """What a network says that flickers: by a factor, and by fields that change slowly."""
    rng = np.random.default_rng(1)
    fields = Noise(rng, HEIGHT, WIDTH)
    for shot in shots:
        factors = fields.step(noise) * np.exp(flicker * rng.standard_normal())
        yield (network_depth(shot.depth, scale, 0.0, None) * factors).astype(np.float32)


def run(shots, given, *, stamps=None, poses=True, **settings):
    """The frames of a pipeline over these depths."""
    engine = FakeEngine()
    pipeline = Pipeline(engine, Settings().replace({'edge_filter': 0.0, **settings}))
    frames = []
    for i, (shot, depth) in enumerate(zip(shots, given, strict=True)):
        c = shot.camera
        engine.depth = depth
        calibration = Calibration(c.width, c.height, (c.fx, 0, c.cx, 0, c.fy, c.cy, 0, 0, 1.0))
        header = Header(stamps[i] if stamps else shot.stamp_ns)
        evidence = Evidence(odom_from_camera=shot.world_from_camera if poses else None)
        frames.append(pipeline.process(Picture(shot.rgb, calibration, header, evidence)))
    return frames


def error(depth, shot, where):
    """Mean |depth / truth - 1| there."""
    return float(np.nanmean(np.abs(depth / shot.depth - 1)[where]))


@pytest.mark.parametrize('motion', ['odometry', 'camera'])
def test_what_stands_is_steadied(motion):
    """The error of a still room is less than 0.6 of that without; the filter says why not."""
    still = shots(frames=30)
    given = list(depths(still))
    frames = run(still, given, temporal_filter=0.9, motion=motion)
    assert [frame.steadiness.cause for frame in frames] == ['first'] + [''] * 29
    assert frames[-1].steadiness.motion == motion
    np.testing.assert_array_equal(frames[0].depth, given[0])
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    without = np.mean([error(d, s, everywhere) for d, s in zip(given, still, strict=True)][4:])
    filtered = np.mean(
        [error(f.depth, s, everywhere) for f, s in zip(frames, still, strict=True)][4:]
    )
    assert filtered < 0.6 * without


@pytest.mark.parametrize('motion', ['odometry', 'camera'])
@pytest.mark.parametrize('moving', ['crossing', 'leaving'])
@pytest.mark.parametrize('room', [0, 1, 2])
def test_what_moves_is_not_steadied(room, moving, motion):
    """The error of a box that moves by 1 m/s is at most 1.1 of that without, and no trail is left.

    A robot that has just started has seen little else than the box: its first 12 pictures are
    counted in, and by themselves.
    """
    moved = shots(moving, 30, room)
    given = list(depths(moved))
    frames = run(moved, given, temporal_filter=0.9, motion=motion)
    box = [(i, shot) for i, shot in enumerate(moved) if i >= 1 and shot.moves.sum() > 200]
    assert len(box) > 20

    def worse(pictures):
        without = np.mean([error(given[i], shot, shot.moves) for i, shot in pictures])
        return np.mean([error(frames[i].depth, shot, shot.moves) for i, shot in pictures]) / without

    assert worse(box) < 1.1
    assert worse(box[:12]) < 1.1
    assert trail(moved, frames, given) < 1.1


def trail(moved, frames, given):
    """The error where the box was two pictures ago and is not now, by that without the filter.

    In every single picture, too, up to what the noise of the pictures before may leave: the box
    itself would be 0.1 to 0.5.
    """
    filtered, without = [], []
    for i, shot in enumerate(moved[4:], 4):
        left = moved[i - 2].moves & ~moved[i - 1].moves & ~shot.moves
        if left.sum() > 20:
            filtered.append(error(frames[i].depth, shot, left))
            without.append(error(given[i], shot, left))
            common = np.median((frames[i].depth / given[i])[~shot.moves])
            behind = error(frames[i].depth / common, shot, left)
            assert behind < 1.1 * without[-1] + 0.02
    assert len(filtered) > 10
    return np.mean(filtered) / np.mean(without)


def test_auto_goes_by_the_odometry_where_there_is_one():
    """And by the pictures where there is none; `odometry` then says what is missing."""
    still = shots()[:3]
    given = list(depths(still))
    settings = {'temporal_filter': 0.9}
    assert run(still, given, **settings)[-1].steadiness.motion == 'odometry'
    without = run(still, given, poses=False, **settings)
    assert (without[-1].steadiness.motion, without[-1].steadiness.cause) == ('camera', '')
    alone = run(still, given, poses=False, motion='odometry', **settings)
    assert alone[-1].steadiness.cause == 'no_odometry'
    np.testing.assert_array_equal(alone[-1].depth, given[-1])


def test_what_breaks_a_sequence():
    """A second without pictures, a jump back, and another scene: the new depth stands as it is."""
    still = shots()
    given = list(depths(still))
    for jump in (10**9, -10 * 10**9):
        stamps = [s.stamp_ns + (jump if i >= 6 else 0) for i, s in enumerate(still)]
        frames = run(still, given, stamps=stamps, temporal_filter=0.9)
        np.testing.assert_array_equal(frames[6].depth, given[6])
        assert not np.array_equal(frames[5].depth, given[5])
    room, views = sequences.views(2, WIDTH, HEIGHT, 1)
    cut = [*still[:6], *sequences.shoot(room, views)]
    given = list(depths(cut))
    stamps = [still[0].stamp_ns + i * 10**8 for i in range(8)]
    frames = run(cut, given, stamps=stamps, poses=False, temporal_filter=0.9)
    np.testing.assert_array_equal(frames[6].depth, given[6])


def test_nan_stays_and_nothing_spreads_from_it():
    """What the network does not know is known to nobody."""
    stage, settings = MotionStage(), Settings(temporal_filter=0.9)
    for shot in shots()[:4]:
        depth = shot.depth.copy()
        depth[100:120, 100:140] = np.nan
        evidence = Evidence(odom_from_camera=shot.world_from_camera)
        stage.begin(shot.rgb, shot.camera, Header(shot.stamp_ns), evidence, settings)
        state = stage.steady(depth, settings)
        assert np.isnan(depth[100:120, 100:140]).all()
        assert np.count_nonzero(np.isnan(depth)) == 20 * 40
    assert not state.cause


@pytest.mark.parametrize('scale', [0.8, 1.25])
def test_the_scale_by_the_motion(scale):
    """A drive of 0.3 m/s, a network that is off by a factor: found to 4 %."""
    room, views = sequences.views(30, WIDTH, HEIGHT)
    still = sequences.shoot(room, views)
    frames = run(still, list(depths(still, scale, 0.0, 1 / 15)), scale_source='motion')
    assert frames[0].scale.cause
    assert frames[-1].scale.scale == pytest.approx(1 / scale, rel=0.04)


@pytest.mark.parametrize(
    ('degrees', 'step'),
    [(1.5, (0.02, 0.02, 0.0)), (0.0, (0.1, 0.0, 0.0)), (0.0, (0.0, 0.1, 0.0))],
)
def test_odometry_that_jumps_does_not_spoil_the_scale(degrees, step):
    """As a loop that is closed does it: noticed, and begun anew."""
    driven = list(shots(frames=40))
    turn = cv2.Rodrigues(np.radians([0.0, 0.0, degrees]))[0]
    for i, shot in enumerate(driven[20:], 20):
        place = pose(shot.world_from_camera)
        seven = *(place.translation + step), *sequences.quaternion(turn @ place.rotation)
        driven[i] = dataclasses.replace(shot, world_from_camera=seven)
    frames = run(driven, list(depths(driven, 0.8, 0.0, 1 / 15)), scale_source='motion')
    jumps = [i for i, f in enumerate(frames) if f.scale.cause == 'odometry_jumped']
    assert jumps == [20]
    assert [f.scale.scale for f in frames[20:]] == pytest.approx([1.25] * 20, rel=0.03)
    assert frames[-1].scale.cause == ''


def without(shots, missing):
    """The same, of which some have no pose."""
    return [
        dataclasses.replace(shot, world_from_camera=None) if i in missing else shot
        for i, shot in enumerate(shots)
    ]


def test_a_pose_that_is_missing_costs_its_picture_alone():
    """Odometry that is late every third time: the scale is measured all the same."""
    driven = without(shots(frames=30), range(2, 30, 3))
    frames = run(driven, list(depths(driven, 0.8, 0.0, 1 / 15)), scale_source='motion')
    assert {frame.scale.cause for frame in frames[2::3]} == {'no_odometry'}
    assert frames[-2].scale.cause == ''
    assert frames[-1].scale.scale == pytest.approx(1.25, rel=0.04)


def test_the_pictures_tell_where_the_odometry_does_not():
    """`auto`, two poses missing: the filter goes on, by the camera for as long as it takes."""
    driven = without(shots(), (6, 7))
    frames = run(driven, list(depths(driven)), temporal_filter=0.9)
    found = [(frame.steadiness.motion, frame.steadiness.cause) for frame in frames[5:10]]
    assert found == [('odometry', ''), *[('camera', '')] * 3, ('odometry', '')]


def test_pictures_that_are_far_apart_are_told():
    """A network that takes longer than a second: neither is possible, and that is why."""
    still = shots()[:4]
    stamps = [i * 1_100_000_000 for i in range(1, 5)]
    settings = {'temporal_filter': 0.9, 'scale_source': 'motion'}
    frames = run(still, list(depths(still)), stamps=stamps, **settings)
    assert [frame.steadiness.cause for frame in frames] == ['first', *['pause'] * 3]
    assert {frame.scale.cause for frame in frames[1:]} == {'pause'}
    assert '1.1 s ago, expected 0.9 s or less' in frames[-1].scale.reason


def test_what_was_seen_before_the_filter_was_off_is_forgotten():
    """Switched off for some pictures and on again: the first one is as it came."""
    still, stage = shots()[:6], MotionStage()
    given = list(depths(still))
    on = Settings().replace({'temporal_filter': 0.9, 'scale_source': 'motion'})
    for i, (shot, depth) in enumerate(zip(still, given, strict=True)):
        evidence, steadies = Evidence(odom_from_camera=shot.world_from_camera), i not in (2, 3)
        header = Header(shot.stamp_ns)
        stage.begin(shot.rgb, shot.camera, header, evidence, on, steadies=steadies)
        steadied = depth.copy()
        if steadies:
            stage.steady(steadied, on)
            assert np.array_equal(steadied, depth) == (i in (0, 4))


def test_a_robot_that_stands_keeps_its_scale():
    """Nothing is measured, and the reason is told."""
    shot = shots()[0]
    frames = run([shot] * 5, [shot.depth] * 5, scale_source='motion',
                 stamps=[shot.stamp_ns + i * 10**8 for i in range(5)])  # fmt: skip
    assert {frame.scale.scale for frame in frames} == {1.0}
    assert frames[-1].scale.cause == 'no_motion'


def idle(last, how):
    """300 pictures after a drive: the robot stands, turns in place, or sees nothing."""
    rng = np.random.default_rng(7)
    camera, start = last.camera, pose(last.world_from_camera)
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    for i in range(1, 301):
        rgb, depth, place = last.rgb, last.depth, start
        if how == 'turning':  # what leaves the view is seen in a mirror
            turn = cv2.Rodrigues(np.array([0.0, 0.2 * np.sin(i / 20), 0.0]))[0]
            h = k @ turn.T @ np.linalg.inv(k)
            size = camera.width, camera.height
            rgb = cv2.warpPerspective(last.rgb, h, size, borderMode=cv2.BORDER_REFLECT)
            depth = cv2.warpPerspective(last.depth, h, size, borderMode=cv2.BORDER_REFLECT)
            place = Pose(start.rotation @ turn, start.translation)
        elif how == 'covered':  # and the robot drives on
            rgb, depth = np.full_like(last.rgb, 12), np.full_like(last.depth, 0.5)
            place = Pose(start.rotation, start.translation + 0.02 * i * np.array([1.0, 0.0, 0.0]))
        rgb = np.clip(rgb + rng.normal(0.0, 2.0, rgb.shape), 0, 255).astype(np.uint8)
        place = Pose(place.rotation, place.translation + rng.normal(0.0, 0.001, 3))
        seven = (*place.translation.tolist(), *sequences.quaternion(place.rotation))
        stamp = last.stamp_ns + round(i * 1e9 / sequences.RATE)
        yield dataclasses.replace(
            last, rgb=rgb, depth=depth, stamp_ns=stamp, world_from_camera=seven
        )


@pytest.mark.parametrize('how', ['standing', 'turning', 'covered'])
def test_the_scale_holds_where_nothing_can_be_measured(how):
    """After a drive, for 300 pictures, within 1 %; the odometry is off by a millimetre."""
    driven = shots(frames=30)
    after = [*driven, *idle(driven[-1], how)]
    frames = run(after, list(depths(after, 0.8, 0.0, 1 / 15)), scale_source='motion')
    found = frames[len(driven) - 1].scale.scale
    assert found == pytest.approx(1.25, rel=0.05)
    later = frames[len(driven) :]
    assert [f.scale.scale for f in later] == pytest.approx([found] * 300, rel=0.01)
    assert all(frame.scale.cause for frame in later[15:])


def test_confidence_is_there_where_it_is_asked_for():
    """And what is below `min_confidence` is invalid."""
    still = shots()[:3]
    given = list(depths(still))
    assert run(still, given, temporal_filter=0.9)[-1].confidence is None
    # without odometry, too: nothing asks for it where only confidence does
    frames = run(still, given, min_confidence=60.0, poses=False)
    rated = frames[-1].confidence
    assert (np.isnan(frames[-1].depth) == (rated < 60.0)).all()
    assert 0.2 < np.mean(rated >= 60.0) < 1.0
    everywhere = frames[-1].depth == given[-1]
    assert everywhere[rated >= 60.0].all()  # without temporal_filter the depth is as it was


def test_the_same_pictures_give_the_same_depth():
    """To the bit, with the camera's own motion."""
    still = shots()
    given = list(depths(still))
    settings = {'temporal_filter': 0.9, 'motion': 'camera', 'scale_source': 'motion'}
    one, two = (run(still, [d.copy() for d in given], **settings) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.depth, b.depth)
