# SPDX-License-Identifier: Apache-2.0
"""depth-pcd calibrate-scale on recordings, with a network whose error is known."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from depth_pcd_ros.calibrate import command
from depth_pcd_ros.cli import main
from depth_pcd_ros.recordings.store import TYPES

from ..support.converting import CAMERA, HEIGHT, WIDTH, smooth, video
from ..support.fake_engine import FakeEngine
from ..support.ramp import RAMP, lidar
from ..support.recordings import K, cameras, header, image, record


@pytest.fixture(autouse=True)
def _ramp(monkeypatch):
    """The network's depth is a ramp."""
    depth = np.broadcast_to(RAMP, (HEIGHT, WIDTH))
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine(depth))


def calibrate(*args):
    """Run the command; its exit code."""
    return main(['calibrate-scale', *map(str, args)])


def standing(count):
    """CameraInfo and Image of a camera that stands still."""
    messages = cameras(count)
    for i in range(count):
        messages[2 * i + 1] = ('/cam/image_raw', image(0))
        messages[2 * i + 1][1].header = header(i)
    return messages


def test_one_distance(tmp_path, capsys):
    """A tape measure from the lens to what pixel (40, 30) shows: along its ray, not along z."""
    record(tmp_path / 'in', standing(5))
    x, y = (40 - K[2]) / K[0], (30 - K[5]) / K[4]  # of a lens that hardly distorts
    distance = 1.15 * RAMP[40] * math.hypot(x, y, 1)
    assert calibrate(tmp_path / 'in', '--distance', distance, '--at', 40, 30, '--box', 3) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)['depth_scale'] == pytest.approx(1.15, rel=0.01)
    assert 'median of 5 pictures' in out
    assert not err


def test_points_and_their_spread(tmp_path, capsys):
    """The median, the 10th to 90th percentile, and what told nothing; a constant is no good."""
    factors = [0.8, 0.9, 1.0, 1.1, 1.2]
    clouds = [('/lidar', lidar(i, factor)) for i, factor in enumerate(factors)]
    record(tmp_path / 'in', [*cameras(20), *clouds])
    args = (tmp_path / 'in', '--scale-source', 'points', '--scale-timeout', 0.05)
    assert calibrate(*args) == 0
    out, err = capsys.readouterr()
    numbers = [float(number) for number in re.findall(r'\d\.\d+', out)]
    assert numbers == pytest.approx([1.0, 0.84, 1.16], rel=1e-3)
    assert '15 of 20 pictures tell nothing, stale: ' in err
    assert 'the scale varies by 32%: a constant is right only on average' in err


def test_pictures_are_spread_over_the_recording(tmp_path, capsys):
    """Ten of forty: every fourth."""
    factors = np.where(np.arange(40) % 4, 1.5, 1.1)
    clouds = [('/lidar', lidar(i, factor)) for i, factor in enumerate(factors)]
    record(tmp_path / 'in', [*cameras(40), *clouds])
    assert calibrate(tmp_path / 'in', '--scale-source', 'points', '--frames', 10) == 0
    out = capsys.readouterr().out
    assert yaml.safe_load(out)['depth_scale'] == pytest.approx(1.1, rel=1e-3)
    assert 'median of 10 pictures' in out


def test_range_of_the_recording(tmp_path, capsys):
    """A range finder along the optical axis."""
    ahead = float(np.interp(K[2], np.arange(WIDTH), RAMP))
    reading = TYPES['sensor_msgs/msg/Range'](header(0), 1, 0.02, 0.1, 9.0, 0.9 * ahead)
    record(tmp_path / 'in', [*cameras(1), ('/sonar', reading)])
    assert calibrate(tmp_path / 'in', '--scale-source', 'range') == 0
    found = yaml.safe_load(capsys.readouterr().out)['depth_scale']
    assert found == pytest.approx(0.9, rel=0.01)


@pytest.mark.parametrize(
    ('args', 'told'),
    [
        ([], 'say what is known: either --distance or --scale-source'),
        (['--distance', 2, '--scale-source', 'points'], 'say what is known: either'),
        (['--distance', -1], '--distance is -1 m, expected more than 0'),
        (['--distance', 'inf'], '--distance is inf m, expected more than 0'),
        (['--distance', 2, '--frames', 0], '--frames is 0, expected 1 or more'),
        (['--distance', 2, '--box', -3], '--box is -3 px, expected 0 or more'),
        (['--scale-source', 'plane'], 'camera_height is 0.0, expected more'),
    ],
)
def test_wrong_usage(tmp_path, capsys, args, told):
    """What does not go together is told before a model is loaded."""
    record(tmp_path / 'in', cameras(1))
    assert calibrate(tmp_path / 'in', *args) == 2
    assert told in capsys.readouterr().err
    assert calibrate(tmp_path / 'no', '--distance', 2) == 2
    assert f'{tmp_path / "no"}: no such file' in capsys.readouterr().err


def test_nothing_to_measure_by(tmp_path, capsys):
    """No line for a YAML file comes out."""
    record(tmp_path / 'in', cameras(3))
    assert calibrate(tmp_path / 'in', '--scale-source', 'plane', '--camera-height', 1.0) == 1
    out, err = capsys.readouterr()
    assert not out
    assert '3 of 3 pictures tell nothing, no_floor: no floor in view' in err
    assert 'no picture tells the scale' in err
    assert calibrate(tmp_path / 'in', '--scale-source', 'points') == 1
    assert f'{tmp_path / "in"}: it lacks a PointCloud2 topic' in capsys.readouterr().err


@pytest.mark.parametrize('kind', ['photo', 'folder', 'video'])
def test_files(tmp_path, capsys, kind):
    """Photos and videos, with the camera that is given."""
    folder = tmp_path / 'in'
    folder.mkdir()
    path = folder / 'a.png'
    if kind == 'video':
        path = Path(video(tmp_path / 'clip.avi', 4))
    else:
        Image.fromarray(smooth(0)).save(path)
        Image.fromarray(smooth(0)).save(folder / 'b.png')
    path = folder if kind == 'folder' else path
    distance = 1.15 * RAMP[27]  # on the optical axis
    options = ['--distance', distance, '--at', 27, 20]
    assert calibrate(path, *options, *CAMERA) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)['depth_scale'] == pytest.approx(1.15, rel=0.01)
    assert f'median of { {"photo": 1, "folder": 2, "video": 4}[kind] } pictures' in out
    assert ('so the camera has moved: it must stand still' in err) == (kind == 'video')
    assert calibrate(path, *options, '--hfov', 60) == 0
    assert capsys.readouterr().err.count('--hfov 60 across') == 1
    assert calibrate(path, '--scale-source', 'points', *CAMERA) == 2
    assert 'scale_source points is for recordings' in capsys.readouterr().err
    assert calibrate(path, *options) == 1
    err = capsys.readouterr().err
    assert err.count('no intrinsics') == (2 if kind == 'folder' else 1)
    assert ('none of the inputs has a picture' in err) == (kind == 'folder')


def test_a_scale_to_be_doubted(tmp_path, capsys):
    """A distance in feet, say."""
    record(tmp_path / 'in', standing(3))
    assert calibrate(tmp_path / 'in', '--distance', 9.34 * RAMP[27], '--at', 27, 20) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)['depth_scale'] == pytest.approx(9.34, rel=0.01)
    assert 'a scale of 9.3' in err
    assert 'is to be doubted' in err


def test_a_camera_that_has_moved(tmp_path, capsys):
    """The distance holds for one place; a change of exposure is no motion."""
    record(tmp_path / 'in', cameras(3))
    options = ['--distance', 2.5]
    assert calibrate(tmp_path / 'in', *options) == 0
    assert 'the camera has moved: it must stand still' in capsys.readouterr().err
    assert calibrate(tmp_path / 'in', *options, '--frames', 1) == 0
    assert 'moved' not in capsys.readouterr().err
    messages = standing(3)
    messages[3][1].data = np.clip(messages[1][1].data.astype(int) + 30, 0, 255).astype(np.uint8)
    record(tmp_path / 'brighter', messages)
    assert calibrate(tmp_path / 'brighter', *options) == 0
    assert 'moved' not in capsys.readouterr().err


def test_intrinsics_of_a_recording(tmp_path, capsys):
    """It has its own."""
    record(tmp_path / 'in', standing(1))
    assert calibrate(tmp_path / 'in', '--distance', 2, '--hfov', 60) == 1
    assert 'a recording has its CameraInfo' in capsys.readouterr().err
