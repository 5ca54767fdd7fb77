# SPDX-License-Identifier: Apache-2.0
"""Several cameras of a recording in one go, against each of them alone."""

from contextlib import suppress
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from depth_pcd_ros.convert import command
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.recordings.reader import RecordingError, open_recording
from depth_pcd_ros.recordings.store import TYPES as T
from depth_pcd_ros.recordings.topics import find_cameras
from depth_pcd_ros.work import run

from ..support.converting import (
    HEIGHT,
    WIDTH,
    contents,
    convert,
    interrupted_at,
    listed,
    smooth,
)
from ..support.fake_engine import FakeEngine
from ..support.ramp import RAMP, lidar
from ..support.recordings import START, cdr, compressed, header, image, info, read, record

TOPICS = ('points', 'depth/image', 'depth/camera_info')


def wide(i, frame_id):
    """An Image of another size."""
    rgb = smooth(100 + i, WIDTH + 28, HEIGHT)
    size = HEIGHT, WIDTH + 28
    return T['sensor_msgs/msg/Image'](
        header(i, frame_id), *size, 'rgb8', 0, 3 * size[1], rgb.ravel()
    )


def rig(count=4):
    """Three cameras: two of one size with other pictures and focal lengths, the rear one wider."""
    found = []
    for i in range(count):
        other = image(50 + i)
        other.header = header(i, 'left_optical')
        found += [
            ('/front/camera_info', info(i, frame_id='front_optical')),
            ('/front/image_raw', image(i, frame_id='front_optical')),
            ('/left/camera_info', info(i, fx=61.0, frame_id='left_optical')),
            ('/left/image_raw', other),
            ('/rear/camera_info', info(i, frame_id='rear_optical', width=WIDTH + 28)),
            ('/rear/image_raw', wide(i, 'rear_optical')),
        ]
    times = (START + 10**8 * (n // 6) + n for n in range(len(found)))
    return [(*message, time_ns) for message, time_ns in zip(found, times, strict=True)]


@pytest.mark.parametrize('options', [[], ['--temporal-filter', '0.9']])
def test_each_is_as_if_it_were_alone(tmp_path, options):
    """Byte for byte, with stamps, frames, calibrations and files; also what depends on time."""
    record(tmp_path / 'in', rig())
    options = [*options, '--write', 'npy']
    assert convert(tmp_path, '--cameras', 'front,left,rear', *options) == 0
    together = read(tmp_path / 'out' / 'in')
    names = 'front', 'left', 'rear'
    assert together.keys() == {f'/{name}/{topic}' for name in names for topic in TOPICS}
    for name in names:
        assert convert(tmp_path, '--image-topic', f'/{name}/image_raw', *options, out=name) == 0
        alone = read(tmp_path / name / 'in')
        for topic in TOPICS:
            pairs = zip(together[f'/{name}/{topic}'], alone[f'/{topic}'], strict=True)
            assert all(a[0] == b[0] and cdr(a[1]) == cdr(b[1]) for a, b in pairs)
        files = contents(tmp_path / name / 'in_files')
        assert len(files) == 4
        assert contents(tmp_path / 'out' / 'in_files' / name) == files
    assert together['/left/points'][0][1].header.frame_id == 'left_optical'
    assert listed(tmp_path / 'out') == ['in', 'in_files']


def test_batches(tmp_path):
    """Pictures of one size of several cameras go through the network together: the same depth."""
    record(tmp_path / 'in', rig())
    options = ['--cameras', 'all', '--temporal-filter', '0.9']
    batches = mock.Mock(wraps=run.estimate_batch)
    with mock.patch.object(run, 'estimate_batch', batches):
        assert convert(tmp_path, *options, '--batch', '4') == 0
    front_and_left = batches.mock_calls[0].args[1]
    assert len({one.picture.header.frame_id for one in front_and_left}) == 2
    assert convert(tmp_path, *options, out='alone') == 0
    together, alone = read(tmp_path / 'out' / 'in'), read(tmp_path / 'alone' / 'in')
    for name in ('front', 'left', 'rear'):
        pairs = zip(together[f'/{name}/depth/image'], alone[f'/{name}/depth/image'], strict=True)
        for (_, got), (_, wanted) in pairs:
            assert cdr(got.header) == cdr(wanted.header)
            got, wanted = np.frombuffer(got.data, '<f4'), np.frombuffer(wanted.data, '<f4')
            np.testing.assert_allclose(got, wanted, rtol=1e-3)


def test_all(tmp_path, capsys):
    """The same as all names; one model, one input in the report, and each camera is named."""
    record(tmp_path / 'in', rig(2))
    assert convert(tmp_path, '--cameras', 'all') == 0
    told = capsys.readouterr().err
    assert 'in, left: pictures of /left/image_raw, intrinsics of /left/camera_info' in told
    assert told.count('demo on cpu') == 1
    assert '1 converted\n' in told
    assert len(read(tmp_path / 'out' / 'in')) == 9


def test_one_that_fails_costs_the_others_nothing(tmp_path, capsys):
    """No CameraInfo, a torn image, silence: each is told of its camera, the others are whole."""
    torn = image(1, frame_id='left_optical')
    torn.data = torn.data[:-9]
    messages = [m for m in rig(3) if m[0] != '/rear/camera_info']
    messages += [('/left/image_raw', torn, START + 10**9)]
    messages += [('/top/camera_info', info(0), START)]
    record(tmp_path / 'in', messages, silent=['/top/image_raw'])
    assert convert(tmp_path, '--cameras', 'front,left,rear,top') == 1
    told = capsys.readouterr().err
    assert 'in, rear: choose a CameraInfo topic with --camera-info-topic: /front/' in told
    assert 'in, left: ' in told
    assert 'in, top: it has no picture' in told
    assert '1 in part' in told
    found = read(tmp_path / 'out' / 'in')
    assert len(found['/front/points']) == len(found['/left/points']) == 3
    assert not any(topic.startswith(('/rear', '/top')) for topic in found)


def test_go_on(tmp_path, capsys):
    """An interrupted run goes on as one; other cameras are another option."""
    record(tmp_path / 'in', rig())
    options = ['--cameras', 'front,rear', '--write', 'npy']
    assert convert(tmp_path, *options, out='once') == 0
    with interrupted_at(Pipeline, 'estimate', 5):
        assert convert(tmp_path, *options) == 130
    assert 'in' not in listed(tmp_path / 'out')
    assert convert(tmp_path, *options, '--resume') == 0
    assert contents(tmp_path / 'out' / 'in_files') == contents(tmp_path / 'once' / 'in_files')
    (tmp_path / 'out' / 'in_files' / 'rear' / f'{START}.depth.npy').unlink()
    assert convert(tmp_path, *options, '--resume') == 0
    assert contents(tmp_path / 'out' / 'in_files') == contents(tmp_path / 'once' / 'in_files')
    capsys.readouterr()
    assert convert(tmp_path, '--cameras', 'all', '--write', 'npy', '--resume') == 2
    assert '--cameras was ["front", "rear"], is all' in capsys.readouterr().err


def test_a_part_of_each(tmp_path):
    """--every counts the pictures of each camera, --start and --end from the first of all."""
    record(tmp_path / 'in', rig(6))
    options = ['--every', '2', '--start', '0.15', '--end', '0.45']
    assert convert(tmp_path, '--cameras', 'all', *options) == 0
    found = read(tmp_path / 'out' / 'in')
    for name in ('front', 'left', 'rear'):
        stamps = [m.header.stamp.nanosec for _, m in found[f'/{name}/points']]
        assert stamps == [2 * 10**8, 4 * 10**8]


def test_copy(tmp_path, capsys):
    """With all that the recording has; a topic that both would have is refused."""
    record(tmp_path / 'in', rig(2))
    assert convert(tmp_path, '--cameras', '/left/', '--copy') == 0
    found = read(tmp_path / 'out' / 'in')
    assert found.keys() >= {'/front/image_raw', '/left/image_raw', '/left/points'}
    assert convert(tmp_path, '--cameras', 'left', '--copy', source='out/in', out='again') == 1
    assert 'it has /left/points already' in capsys.readouterr().err


def test_readings_of_each(tmp_path, monkeypatch):
    """The cloud below a camera's name goes before the one of all, and {camera} in --scale-topic."""
    depth = np.broadcast_to(RAMP, (HEIGHT, WIDTH))
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine(depth))
    messages = []
    for i in range(3):
        for name in ('front', 'left'):
            messages += [(f'/{name}/camera_info', info(i)), (f'/{name}/image_raw', image(i))]
        messages += [('/front/scale/points', lidar(i, 1.2)), ('/scale/points', lidar(i, 0.9))]
    record(tmp_path / 'in', messages)

    def scales(out, name):
        found = read(tmp_path / out / 'in')[f'/{name}/depth/scale']
        return [message.data[0] for _, message in found]

    options = ['--cameras', 'front,left', '--scale-source', 'points']
    assert convert(tmp_path, *options) == 0
    assert scales('out', 'front') == pytest.approx([1.2] * 3, rel=1e-3)
    assert scales('out', 'left') == pytest.approx([0.9] * 3, rel=1e-3)
    options = ['--cameras', 'front', '--scale-source', 'points']
    assert convert(tmp_path, *options, '--scale-topic', '/{camera}/scale/points', out='two') == 0
    assert scales('two', 'front') == pytest.approx([1.2] * 3, rel=1e-3)


def test_parameters_of_one(tmp_path, capsys):
    """--set is for the camera that it names: as if that were alone with them; all others differ."""
    record(tmp_path / 'in', rig(2))
    own = ['--set', 'left.stride=2', '--set', 'left.depth_scale=2', '--set', 'left.organized=false']
    assert convert(tmp_path, '--cameras', 'front,left', *own) == 0
    together = read(tmp_path / 'out' / 'in')
    alone = ['--stride', '2', '--depth-scale', '2', '--no-organized']
    for name, options in (('left', alone), ('front', [])):
        options = [*options, '--image-topic', f'/{name}/image_raw']
        assert convert(tmp_path, *options, out=name) == 0
        for topic in TOPICS:
            wanted = read(tmp_path / name / 'in')[f'/{topic}']
            assert [cdr(m) for _, m in together[f'/{name}/{topic}']] == [cdr(m) for _, m in wanted]
    capsys.readouterr()
    assert convert(tmp_path, '--cameras', 'front,left', *own[:2], '--resume') == 2
    assert '--set was' in capsys.readouterr().err


NAMES = ['/front/image_raw', '/robot/rear/color/image_raw', '/image', '/a/b', '/stereo/left']


@pytest.mark.parametrize(
    ('asked', 'pattern', 'expected'),
    [
        (
            [],
            '',
            {
                'front': '/front/image_raw',
                'robot/rear/color': '/robot/rear/color/image_raw',
                'image': '/image',
                'a': '/a/b',
                'stereo/left': '/stereo/left',
                'stereo/right': '/stereo/right/compressed',
            },
        ),
        (['color', 'right'], '', {'color': NAMES[1], 'right': '/stereo/right/compressed'}),
        (['rear'], '/robot/{camera}/color/image_raw', {'rear': NAMES[1]}),
        ([], '/{camera}/image_raw', {'front': NAMES[0], 'robot/rear/color': NAMES[1]}),
        (['rear'], '', 'it has no camera rear; there is a (/a/b), front (/front/image_raw)'),
        (['b'], '/{camera}/image_raw', 'no Image or CompressedImage topic /b/image_raw; there'),
        ([], '/{camera}/none', 'it has no camera'),
    ],
)
def test_names(tmp_path, asked, pattern, expected):
    """The namespace of the image topic, with its last part where that is not enough."""
    messages = [(topic, image(0)) for topic in NAMES]
    messages += [('/stereo/right/compressed', compressed(0)), ('/depth/image', image(0, '32FC1'))]
    record(tmp_path / 'in', messages)
    with open_recording(tmp_path / 'in') as reader:
        if isinstance(expected, dict):
            assert find_cameras(reader, asked, pattern) == expected
            return
        with pytest.raises(RecordingError) as told:
            find_cameras(reader, asked, pattern)
    assert expected in str(told.value)


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (['--cameras', 'front,'], "'', expected names of cameras with commas, or all"),
        (['--cameras', 'front,front'], "'front,front' names a camera twice"),
        (['--cameras', 'rear'], 'it has no camera rear; there is front (/front/image_raw)'),
        (['--cameras', 'all', '--image-topic', '/x'], '--image-topic is /x, expected {camera} in'),
        (['--cameras', 'front', '--set', 'rear.stride=2'], '--set rear.stride: there is no such'),
        (['--cameras', 'all', '--set', 'rear.stride=2'], 'for a camera that --cameras names: list'),
        (['--set', 'rear.stride=2'], '--set rear.stride is for a camera that --cameras names'),
        (['--cameras', 'front', '--set', 'front.model=demo'], 'expected NAME.PARAMETER=VALUE'),
        (['--cameras', 'front', '--set', 'front.stride=0'], '--set front: stride is 0'),
        (['--scale-topic', '/{camera}/x'], '--scale-topic has {camera}, which goes with --cameras'),
    ],
)
def test_refused(tmp_path, capsys, options, told):
    """With what was given and what is expected."""
    record(tmp_path / 'in', rig(1)[:2])
    with suppress(SystemExit):
        assert convert(tmp_path, *options) in (1, 2)
    assert told in capsys.readouterr().err


def test_photos_have_one(tmp_path, capsys):
    """--cameras is for recordings."""
    (tmp_path / 'in').mkdir()
    Image.fromarray(smooth(0)).save(tmp_path / 'in' / '0.png')
    assert convert(tmp_path, '--cameras', 'all', '--hfov', '60') == 2
    assert '--cameras is for recordings, and there is none' in capsys.readouterr().err
