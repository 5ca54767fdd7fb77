# SPDX-License-Identifier: Apache-2.0
"""Parts of videos and recordings, and how large the results will be."""

import struct

import numpy as np
import pytest
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert import size

from ..support.converting import CAMERA, DEMO, contents, convert, listed, photos, smooth, video
from ..support.recordings import START, STORE, cameras, cdr, image, info, read, record


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ([], range(10)),
        (['--every', '3'], [0, 3, 6, 9]),
        (['--start', '0.5'], range(3, 10)),  # 5 pictures a second: 0.4 s is before, 0.6 s is in
        (['--end', '0.6'], range(4)),
        (['--start', '0.2', '--end', '1.4', '--every', '2'], [2, 4, 6]),
    ],
)
def test_part_of_a_video(tmp_path, capsys, options, expected):
    """The numbers, and so the names, are those of the whole video; the rate tells the times."""
    clip = video(tmp_path / 'clip.avi', 10)
    args = ['convert', clip, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO, *options]
    assert main(args) == 0
    assert sorted(contents(tmp_path / 'out')) == [f'clip/{i:06d}.ply' for i in expected]
    told = capsys.readouterr().err
    assert '5 pictures a second, so 000005 is at 1.000 s' in told
    assert 'announced' not in told


def test_pictures_too_far_apart_for_the_filter(tmp_path, capsys):
    """One of six, 1.2 s apart: nothing is mixed, and that is said once, with the reason."""
    clip = video(tmp_path / 'clip.avi', 13)
    options = ['--every', '6', '--temporal-filter', '0.9']
    assert main(['convert', clip, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO, *options]) == 0
    told = capsys.readouterr().err
    assert told.count('the temporal filter mixed nothing into 2 of 3 pictures, pause') == 1
    assert '1.2 s ago, expected 0.9 s or less' in told


def with_a_pause(data, quick, slow):
    """An MPEG-4 file whose pictures are not evenly spaced (ISO/IEC 14496-12, 8.6.1.2: stts).

    Args:
        data: a file with pictures that are.
        quick: how many come four times as fast.
        slow: how many come after them, four times as slow: so that it is as long as it was.
    """
    data, at = bytearray(data), data.index(b'stts') - 4
    size, _, _, entries, count, delta = struct.unpack_from('>I4s4I', data, at)
    assert (size, entries, count) == (24, 1, quick + slow)
    table = struct.pack('>I4s6I', 32, b'stts', 0, 2, quick, delta // 4, slow, 4 * delta)
    for kind in (b'moov', b'trak', b'mdia', b'minf', b'stbl'):
        box = data.index(kind, data.index(b'moov')) - 4
        struct.pack_into('>I', data, box, struct.unpack_from('>I', data, box)[0] + 8)
    assert data.index(b'mdat') < data.index(b'moov')  # so that the pictures stay where they are
    return bytes(data[:at] + table + data[at + size :])


def test_pictures_that_are_not_evenly_spaced(tmp_path, capsys):
    """As a phone's: the times are the video's own, and no picture is missed."""
    path = tmp_path / 'phone.mp4'
    video(path, 10, 'mp4v', (56, 42))
    path.write_bytes(with_a_pause(path.read_bytes(), 8, 2))
    # at 0, 0.05, ..., 0.35, 0.4, 1.2 s
    args = ['convert', str(path), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--start', '0.29', '--end', '1']) == 0
    assert sorted(contents(tmp_path / 'out')) == [f'phone/{i:06d}.ply' for i in (6, 7, 8)]
    told = capsys.readouterr().err
    assert 'its pictures are not evenly spaced: 000009 is at 1.200 s' in told
    assert 'announced' not in told
    assert main([*args, '--force']) == 0
    assert len(contents(tmp_path / 'out')) == 10


def test_a_part_that_a_video_does_not_have(tmp_path, capsys):
    """It is told."""
    clip = video(tmp_path / 'clip.avi', 10)
    args = ['convert', clip, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--start', '3']) == 1
    assert 'it has no picture from --start on: 10 pictures' in capsys.readouterr().err
    assert main([*args, '--start', '3', '--end', '2']) == 2
    assert '--end is 2 s, expected more than --start 3' in capsys.readouterr().err


@pytest.mark.parametrize('option', [['--every', '0'], ['--every', 'x'], ['--start', '-1']])
def test_parts_that_cannot_be(tmp_path, option):
    """Argparse refuses them."""
    with pytest.raises(SystemExit) as error:
        main(['convert', 'x.avi', '-o', str(tmp_path), *option])
    assert error.value.code == 2


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (['--every', '4'], [0, 4, 8]),
        (['--start', '0.3', '--end', '0.6'], [3, 4, 5, 6]),
        (['--start', '0.3', '--every', '2'], [4, 6, 8]),
    ],
)
def test_part_of_a_recording(tmp_path, options, expected):
    """Clouds of these pictures; a copy has the messages of that time, and what was latched."""
    record(tmp_path / 'in', cameras(10))
    assert convert(tmp_path, '--copy', *options) == 0
    found = read(tmp_path / 'out' / 'in')
    assert [(time_ns - START) // 10**8 for time_ns, _ in found['/points']] == expected
    start = 3 if '--start' in options else 0
    last = 6 if '--end' in options else 9
    copied = [(time_ns - START) // 10**8 for time_ns, _ in found['/cam/image_raw']]
    assert copied == list(range(start, last + 1))


def test_a_part_that_a_recording_does_not_have(tmp_path, capsys):
    """It is told, also of one of several cameras."""
    record(tmp_path / 'in', cameras(10))
    assert convert(tmp_path, '--start', '3') == 1
    assert 'it has no picture from --start on: 10 pictures' in capsys.readouterr().err
    late = [('/late/camera_info', info(9)), ('/late/image_raw', image(9))]
    record(tmp_path / 'two', [*cameras(5), *late])
    assert convert(tmp_path, source='two') == 1
    choose = 'with --image-topic, or all with --cameras all: /cam/image_raw, /late/image_raw'
    assert choose in capsys.readouterr().err
    assert convert(tmp_path, '--cameras', 'all', '--end', '0.3', source='two') == 1
    assert 'late: it has no picture up to --end 0.3' in capsys.readouterr().err


def test_latched_messages_before_the_part(tmp_path):
    """The CameraInfo of the beginning serves, and is copied."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    zero = QosTime(0, 0)
    latched = Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, zero,
        zero, QosLiveliness.AUTOMATIC, zero, False,
    )  # fmt: skip
    with Writer(tmp_path / 'in', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, message in [('/cam/camera_info', info(0)), *cameras(6)[1::2]]:
            kind, stamp = message.__msgtype__, message.header.stamp
            if topic not in connections:
                qos = [latched] if topic.endswith('info') else []
                connections[topic] = writer.add_connection(
                    topic, kind, typestore=STORE, offered_qos_profiles=qos
                )
            writer.write(connections[topic], stamp.sec * 10**9 + stamp.nanosec, cdr(message))
    assert convert(tmp_path, '--copy', '--start', '0.3') == 0
    found = read(tmp_path / 'out' / 'in')
    assert [len(found[topic]) for topic in ('/points', '/cam/camera_info')] == [3, 1]


def test_other_parts_are_other_recordings(tmp_path, capsys):
    """--resume notices it; a folder of before there were parts is as it was."""
    record(tmp_path / 'in', cameras(4))
    assert convert(tmp_path) == 0
    assert convert(tmp_path, '--resume') == 0
    assert convert(tmp_path, '--resume', '--every', '2') == 2
    assert '--every was null, is 2' in capsys.readouterr().err


def test_resume_names_only_what_has_changed(tmp_path, capsys):
    """Numbers that are the same as lists and as tuples have not."""
    args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main(args) == 0
    assert main([*args, '--resume', '--stride', '2']) == 2
    told = capsys.readouterr().err
    assert 'other options: --stride was 1, is 2; --resume goes on' in told


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (
            [],
            'a picture of 3000x2000 gives up to 6 million points, 90 MB; all results, up to 90 MB',
        ),
        (['--write', 'pcd,npy'], '6 million points, 120 MB; all results, up to 120 MB'),
        (['--stride', '2'], ''),
        (['--resolution', 'network'], ''),
        (['--voxel-size', '0.1'], ''),
    ],
)
def test_large_pictures_are_told(tmp_path, capsys, monkeypatch, options, told):
    """Before anything is done, with what makes them smaller."""
    Image.fromarray(np.zeros((2000, 3000, 3), np.uint8)).save(tmp_path / 'a.png')
    monkeypatch.setattr('depth_pcd_ros.convert.command.run', lambda *_, **__: None)
    args = ['convert', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'out'), '--hfov', '60', *DEMO]
    assert main([*args, *options]) == 0
    err = capsys.readouterr().err
    assert told in err
    advice = '--stride 2 makes a quarter of that, --voxel-size less'
    assert (advice in err) == bool(told)
    # 70x42 px at the network: 15 bytes a point for PLY, 16 + 4 for the others
    small = '0.0588 MB' if options else '0.0441 MB'
    assert (f'--resolution network makes {small} of it' in err) == bool(told)


def test_large_results_are_told(tmp_path, capsys, monkeypatch):
    """Many small ones, of photos, a video and a recording: what is looked at stands for all."""
    monkeypatch.setattr(size, 'LARGE_RUN', 100_000)
    monkeypatch.setattr(size, 'MOST_LOOKED_AT', 2)
    folder = tmp_path / 'in'
    photos(folder, 3)
    Image.fromarray(smooth(3)).save(folder / 'z.png')
    args = ['convert', str(folder), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main(args) == 0
    assert f'all results, up to {4 * 15 * 56 * 42 / 1e6:.3g} MB' in capsys.readouterr().err
    clip = video(tmp_path / 'clip.avi', 6)
    assert main(['convert', clip, '-o', str(tmp_path / 'clips'), *CAMERA, *DEMO]) == 0
    assert f'all results, up to {6 * 15 * 56 * 42 / 1e6:.3g} MB' in capsys.readouterr().err
    record(tmp_path / 'rec', cameras(5))
    assert convert(tmp_path, source='rec') == 0
    assert f'all results, up to {5 * 20 * 56 * 42 / 1e6:.3g} MB' in capsys.readouterr().err
    assert listed(tmp_path / 'out')
