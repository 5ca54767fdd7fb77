# SPDX-License-Identifier: Apache-2.0
"""True scale in depth-pcd convert: where it finds the readings and what it tells."""

import numpy as np
import pytest
from PIL import Image

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert import command
from depth_pcd_ros.recordings.store import TYPES

from ..support.converting import CAMERA, HEIGHT, WIDTH, convert, smooth, video
from ..support.fake_engine import FakeEngine
from ..support.ramp import RAMP, lidar
from ..support.recordings import K, cameras, header, read, record

# base_from_lidar and base_from_camera: the lidar is 0.2 m above the camera, which looks along x
LIDAR, CAMERA_PLACE = (0, 0, 0.2, 0, 0, 0, 1), (0, 0, 0, -0.5, 0.5, -0.5, 0.5)


@pytest.fixture(autouse=True)
def _ramp(monkeypatch):
    """The network's depth is a ramp."""
    depth = np.broadcast_to(RAMP, (HEIGHT, WIDTH))
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine(depth))


def scales(folder):
    """Scale and whether it was held, of each picture."""
    messages = [message for _, message in read(folder)['/depth/scale']]
    return [(m.data[0], bool(m.data[3])) for m in messages]


def static_transform(parent, child, place):
    """A TFMessage, with the header that `record` wants."""
    x, y, z, qx, qy, qz, qw = place
    transform = TYPES['geometry_msgs/msg/Transform'](
        TYPES['geometry_msgs/msg/Vector3'](x, y, z),
        TYPES['geometry_msgs/msg/Quaternion'](qx, qy, qz, qw),
    )
    one = TYPES['geometry_msgs/msg/TransformStamped'](header(0, parent), child, transform)
    message = TYPES['tf2_msgs/msg/TFMessage']([one])
    message.header = header(0)
    return message


def test_points_of_the_recording(tmp_path, capsys):
    """The only cloud topic; pictures without a reading hold the scale, which is told."""
    clouds = [('/lidar', lidar(i, 1.2)) for i in range(5)]
    record(tmp_path / 'in', [*cameras(12), *clouds])
    assert convert(tmp_path, '--scale-source', 'points', '--scale-timeout', '0.25') == 0
    found = scales(tmp_path / 'out' / 'in')
    assert [held for _, held in found] == [False] * 7 + [True] * 5
    assert [scale for scale, _ in found] == pytest.approx([1.2] * 12, rel=1e-3)
    told = capsys.readouterr().err
    assert 'scale from /lidar' in told
    assert 'the scale was held for 5 of 12 pictures, stale: the newest of the points' in told


def test_a_filter_without_motion_is_told(tmp_path, capsys):
    """Where the recording has no odometry that was asked for; what has none is refused."""
    record(tmp_path / 'in', cameras(4))
    filtered = ['--temporal-filter', '0.9', '--motion', 'odometry']
    assert convert(tmp_path, *filtered) == 0
    assert (
        'the temporal filter mixed nothing into 3 of 4 pictures, no_odometry: the recording has '
        'neither an Odometry topic nor /tf'
    ) in capsys.readouterr().err
    assert convert(tmp_path, '--motion', 'odometry', '--force') == 0
    assert 'temporal filter' not in capsys.readouterr().err
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    assert convert(tmp_path, *filtered, '--hfov', '60', source='a.png') == 2
    assert 'a.png is a photo: motion odometry is for recordings' in capsys.readouterr().err


@pytest.mark.parametrize('batch', ['1', '4'])
def test_pictures_at_once(tmp_path, batch):
    """--batch makes no difference."""
    clouds = [('/lidar', lidar(i, 1.0 + 0.02 * i)) for i in range(8)]
    record(tmp_path / 'in', [*cameras(8), *clouds])
    args = ('--scale-source', 'points', '--scale-smoothing', '0', '--batch', batch)
    assert convert(tmp_path, *args) == 0
    found = [scale for scale, _ in scales(tmp_path / 'out' / 'in')]
    assert found == pytest.approx([1.0 + 0.02 * i for i in range(8)], rel=1e-3)


def test_frames_by_tf_static(tmp_path):
    """Lidar and camera are connected by what the recording says of both."""
    transforms = [
        ('/tf_static', static_transform('base', 'lidar', LIDAR)),
        ('/tf_static', static_transform('base', 'camera', CAMERA_PLACE)),
    ]
    record(tmp_path / 'in', [*transforms, *cameras(1), ('/lidar', lidar(0, 1.2, 'lidar'))])
    assert convert(tmp_path, '--scale-source', 'points') == 0
    assert scales(tmp_path / 'out' / 'in') == [(pytest.approx(1.2, rel=1e-3), False)]


def test_no_transform_is_told(tmp_path, capsys):
    """Without it, the scale is held."""
    record(tmp_path / 'in', [*cameras(2), *[('/lidar', lidar(i, 1.2, 'lidar')) for i in (0, 1)]])
    assert convert(tmp_path, '--scale-source', 'points') == 0
    assert scales(tmp_path / 'out' / 'in') == [(1.0, True)] * 2
    assert 'held for 2 of 2 pictures, no_transform: the sensor is in' in capsys.readouterr().err


def test_several_topics(tmp_path, capsys):
    """One is to be chosen."""
    clouds = [(topic, lidar(0, f)) for topic, f in (('/front', 1.1), ('/rear', 1.2))]
    record(tmp_path / 'in', [*cameras(1), *clouds])
    assert convert(tmp_path, '--scale-source', 'points') == 1
    told = capsys.readouterr().err
    assert 'choose a PointCloud2 topic with --scale-topic: /front, /rear' in told
    assert convert(tmp_path, '--scale-source', 'points', '--scale-topic', '/rear') == 0
    assert scales(tmp_path / 'out' / 'in')[0][0] == pytest.approx(1.2, rel=1e-3)
    assert convert(tmp_path, '--force', '--scale-source', 'range') == 1
    assert 'it lacks a Range topic' in capsys.readouterr().err


def test_range_of_the_recording(tmp_path):
    """Along the optical axis."""
    ahead = float(np.interp(K[2], np.arange(WIDTH), RAMP))
    reading = TYPES['sensor_msgs/msg/Range'](header(0), 1, 0.02, 0.1, 9.0, 1.1 * ahead)
    record(tmp_path / 'in', [*cameras(1), ('/sonar', reading)])
    assert convert(tmp_path, '--scale-source', 'range') == 0
    assert scales(tmp_path / 'out' / 'in')[0][0] == pytest.approx(1.1, rel=0.01)


def test_photos_and_videos(tmp_path, capsys, monkeypatch):
    """A photo has no lidar, but it may show the floor: each for itself."""
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    Image.fromarray(smooth(1)).save(tmp_path / 'b.png')
    args = ['convert', str(tmp_path / 'a.png'), str(tmp_path / 'b.png'), '--write', 'npy', *CAMERA]
    args += ['-o', str(tmp_path / 'out')]
    assert main([*args, '--scale-source', 'points']) == 2
    assert 'a.png is a photo: scale_source points is for recordings' in capsys.readouterr().err

    v = np.arange(HEIGHT).reshape(-1, 1) - 20.0  # a floor 1 m below a level camera
    floor = np.where(v > 0, 48.0 / np.maximum(v, 1e-3), np.inf)
    floor = np.broadcast_to(np.minimum(floor, 6.0), (HEIGHT, WIDTH))
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine(floor / 1.3))
    plane = ['--scale-source', 'plane', '--camera-height', '1.0', '--edge-filter', '0']
    assert main([*args, *plane]) == 0
    for name in 'ab':
        depth = np.load(tmp_path / 'out' / f'{name}.depth.npy')
        np.testing.assert_allclose(depth[-1], 48.0 / 21, rtol=0.01)
    film = video(tmp_path / 'film.avi', 4)
    args = ['convert', film, '--write', 'npy', *CAMERA, '-o', str(tmp_path / 'out')]
    assert main([*args, *plane]) == 0
    assert len(list((tmp_path / 'out' / 'film').glob('*.npy'))) == 4
