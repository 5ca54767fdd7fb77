# SPDX-License-Identifier: Apache-2.0
"""Recordings that are divided by time, and joined again, without a cluster."""

import argparse
import math
import os
import shutil

import pytest

from depth_pcd_ros.cli import main, parser
from depth_pcd_ros.convert.recording_job import JoinJob, RecordingJob
from depth_pcd_ros.convert.request import Options, request_of
from depth_pcd_ros.convert.stretches import folder_of_parts, part_of, stretches_of
from depth_pcd_ros.engine import create
from depth_pcd_ros.inputs.intrinsics import Intrinsics
from depth_pcd_ros.inputs.sources import Source
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.work.report import Report
from depth_pcd_ros.work.run import Pipelines, run

from ..support.converting import DEMO, contents
from ..support.recordings import START, camera, cameras, image, info, record


def asked(out, *words):
    """The request of a command line."""
    args: argparse.Namespace = parser().parse_args(['convert', 'x', '-o', str(out), *DEMO, *words])
    args.out = out
    names = ('model', 'device', 'input_size', 'temporal_filter', 'scale_source', 'camera_height')
    settings = Settings().replace({name: getattr(args, name) for name in names})
    return request_of(Options(args, settings, Intrinsics()), lambda _: None)


def of(recording):
    """A recording as an input."""
    return Source(recording, 'recording', 'rec')


def join(source, request, stretches, leave_out=()):
    """Convert the stretches, the last one first, and join them."""
    report = Report()
    with_engine = Pipelines(create(request.settings.engine), request.settings)
    parts = [RecordingJob(source, request, one) for one in reversed(stretches)]
    jobs = [job for i, job in enumerate(parts) if i not in leave_out]
    for job in [*jobs, JoinJob(source, request, stretches)]:
        run([job], with_engine, report, resume=True, batch=1)
    return report


@pytest.mark.parametrize(
    ('words', 'count'),
    [((), 3), (('--write', 'ply'), 3), (('--every', '2', '--start', '0.5', '--end', '2.6'), 2)],
)
def test_the_same_to_the_byte(tmp_path, words, count):
    """The parts, joined, are what comes of the recording as a whole; nothing else is left."""
    pytest.importorskip('torch')
    recording = record(tmp_path / 'rec', cameras(30))
    assert main(['convert', str(recording), '-o', str(tmp_path / 'once'), *DEMO, *words]) == 0
    request = asked(tmp_path / 'out', *words)
    size = 8 if count == 3 else 5
    stretches = stretches_of(of(recording), request, size)
    assert len(stretches) == count
    assert all(one.pictures >= size for one in stretches)
    report = join(of(recording), request, stretches)
    assert not report.failed
    assert contents(tmp_path / 'out') == contents(tmp_path / 'once')
    assert not folder_of_parts(tmp_path / 'out' / 'rec').exists()


def test_a_part_without_clouds(tmp_path):
    """Its pictures fail, as they do in the whole, and the others are there."""
    pytest.importorskip('torch')
    broken = [('/cam/image_raw', image(i, '32FC1')) for i in range(8, 16)]
    messages = [*cameras(8), *broken, *(one for i in range(16, 24) for one in camera(i))]
    for _, message in broken:
        message.encoding = 'nonsense'
    recording = record(tmp_path / 'rec', messages)
    assert main(['convert', str(recording), '-o', str(tmp_path / 'once'), *DEMO]) == 1
    request = asked(tmp_path / 'out')
    stretches = stretches_of(of(recording), request, 8)
    assert [one.number for one in stretches] == [0, 8, 16]
    assert join(of(recording), request, stretches).failed
    assert contents(tmp_path / 'out') == contents(tmp_path / 'once')


def test_a_part_is_missing(tmp_path, capsys):
    """The recording has failed, and later only that part is made."""
    pytest.importorskip('torch')
    recording = record(tmp_path / 'rec', cameras(16))
    request = asked(tmp_path / 'out')
    stretches = stretches_of(of(recording), request, 8)
    assert join(of(recording), request, stretches, leave_out=[0]).failed
    assert '1 of its 2 parts have failed' in capsys.readouterr().err
    assert not (tmp_path / 'out' / 'rec').exists()
    kept = part_of(tmp_path / 'out' / 'rec', stretches[0])
    before = kept.stat().st_mtime_ns
    joined = []
    report = Report()
    report.count = lambda label, result, number=1: joined.append((result, number))
    jobs = [RecordingJob(of(recording), request, one) for one in stretches]
    pipelines = Pipelines(create(request.settings.engine), request.settings)
    run(jobs, pipelines, report, resume=True, batch=1)
    assert kept.stat().st_mtime_ns == before
    assert joined.count(('pictures', 1)) == 8
    assert ('skipped', 8) in joined


def test_kept_whole(tmp_path):
    """Where a picture has to do with others, or is one of few."""
    recording = record(tmp_path / 'rec', cameras(20))

    def count(*words, source=recording, size=8):
        return len(stretches_of(of(source), asked(tmp_path / 'out', *words), size))

    assert count() == 2
    assert count(size=10) == 2
    assert count(size=11) == 0
    assert count('--temporal-filter', '0.8') == 0
    assert count('--scale-source', 'plane', '--camera-height', '1') == 0
    assert count('--copy') == 0
    assert count('--every', '2') == 0
    zoom = record(tmp_path / 'zoom', [*cameras(20), ('/cam/camera_info', info(20, fx=60.0))])
    assert count(source=zoom) == 0
    same = [('/cam/image_raw', image(3), START + i * 10**8) for i in range(20)]
    assert count(source=record(tmp_path / 'same', [*cameras(1), *same])) == 0
    assert count(source=tmp_path / 'none') == 0


def test_damage(tmp_path):
    """A damaged recording is kept whole: what is found is told once."""
    recording = record(tmp_path / 'rec', cameras(40))
    damaged = tmp_path / 'damaged'
    shutil.copytree(recording, damaged)
    file = damaged / 'rec.mcap'
    os.truncate(file, file.stat().st_size // 2)
    request = asked(tmp_path / 'out')
    assert len(stretches_of(of(recording), request, 8)) == 5
    assert stretches_of(of(damaged), request, 8) == []


def test_pictures_of_one_time(tmp_path):
    """Those that were recorded at the same time are not parted."""
    messages = [('/cam/camera_info', info(0))]
    messages += [('/cam/image_raw', image(i), START + i // 4 * 10**9) for i in range(20)]
    request = asked(tmp_path / 'out')
    stretches = stretches_of(of(record(tmp_path / 'rec', messages)), request, 6)
    assert [one.pictures for one in stretches] == [8, 12]
    assert [one.end_ns or math.inf for one in stretches] == [stretches[1].start_ns, math.inf]
