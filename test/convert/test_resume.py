# SPDX-License-Identifier: Apache-2.0
"""Interrupted runs of depth-pcd convert that go on, and what is there already."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert import command, jobs
from depth_pcd_ros.convert.manifest import NAME, Manifest
from depth_pcd_ros.engine import EngineError
from depth_pcd_ros.evaluate.results import NAME as RESULTS
from depth_pcd_ros.evaluate.results import Results
from depth_pcd_ros.pipeline import Pipeline

from ..support.converting import CAMERA, DEMO, contents, interrupted_at, listed, photos
from ..support.recordings import cameras, record

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_overwritten(tmp_path, capsys):
    """Without --force what is there stays; --resume makes what is missing; --force makes all."""
    args = ['convert', photos(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main(args) == 0
    first = contents(tmp_path / 'out')
    assert sorted(first) == ['1.ply', '2.ply', 'below/0.ply']
    for name in ('1.ply', 'below/0.ply'):
        (tmp_path / 'out' / name).write_bytes(b'mine')
    (tmp_path / 'out' / '2.ply').unlink()
    capsys.readouterr()
    assert main(args) == 2
    told = capsys.readouterr().err
    assert '1.ply (and 1 more) is there already: --force' in told
    assert not (tmp_path / 'out' / '2.ply').exists()
    assert main([*args, '--resume']) == 0
    assert '1 converted, 2 there already' in capsys.readouterr().err
    assert contents(tmp_path / 'out') == {
        '1.ply': b'mine',
        '2.ply': first['2.ply'],
        'below/0.ply': b'mine',
    }
    assert main([*args, '--force']) == 0
    assert contents(tmp_path / 'out') == first


@pytest.mark.parametrize('at', [(jobs, 'read_photo'), (Pipeline, 'estimate'), (np, 'save')])
@pytest.mark.parametrize('number', [0, 1, 3])
def test_interrupted(tmp_path, at, number):
    """Ctrl-C while one of the threads is at some picture, then --resume: as if run once."""
    folder = photos(tmp_path / 'in', 4)
    args = ['convert', folder, *CAMERA, *DEMO, '--write', 'ply,npy']
    assert main([*args, '-o', str(tmp_path / 'once')]) == 0
    with interrupted_at(*at, number):
        assert main([*args, '-o', str(tmp_path / 'twice')]) == 130
    there = contents(tmp_path / 'twice')
    assert len(there) < 8
    assert not [name for name in there if name.endswith('.part')]
    assert main([*args, '-o', str(tmp_path / 'twice'), '--resume']) == 0
    assert contents(tmp_path / 'twice') == contents(tmp_path / 'once')


@pytest.mark.parametrize('number', [0, 2])
def test_interrupted_recording(tmp_path, number):
    """Ctrl-C in a recording leaves nothing of it; --resume then gives the same file as one run."""
    folder = str(record(tmp_path / 'in', cameras(4)))
    args = ['convert', folder, *DEMO, '--copy']
    assert main([*args, '-o', str(tmp_path / 'once')]) == 0
    out = tmp_path / 'twice'
    with interrupted_at(Pipeline, 'estimate', number):
        assert main([*args, '-o', str(out)]) == 130
    assert not listed(out)
    (out / 'in.part' / 'in').mkdir(parents=True)  # as kill -9 would leave it
    for options in (['--resume'], ['--resume'], ['--force']):
        assert main([*args, *options, '-o', str(out)]) == 0
        assert contents(out) == contents(tmp_path / 'once')
    assert sorted(contents(out)) == ['in/in.mcap', 'in/metadata.yaml']


@pytest.mark.parametrize('name', ['read', 'write'])
def test_interrupted_while_starting(tmp_path, monkeypatch, name):
    """Ctrl-C when only some of the threads were started."""
    start = threading.Thread.start

    def interrupted(thread):
        if thread.name == name:
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, 'start', interrupted)
    args = ['convert', photos(tmp_path / 'in', 1), *CAMERA, *DEMO, '-o', str(tmp_path / 'out')]
    assert main(args) == 130
    assert not contents(tmp_path / 'out')


@pytest.mark.parametrize('is_told', [True, False])
@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_loading(tmp_path, monkeypatch, capsys, number, code, is_told):
    """Ctrl-C or SIGTERM in the import of a compiled library, which then says it is not there."""

    def create(*_):
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            os.kill(os.getpid(), number)
            time.sleep(10.0)
        err = ImportError('initialization failed')
        if not is_told:  # nobody makes a sentence of it
            raise err
        raise EngineError('device openvino needs the Python package openvino') from err

    monkeypatch.setattr(command, 'create', create)
    args = ['convert', photos(tmp_path / 'in', 1), *CAMERA, *DEMO, '-o', str(tmp_path / 'out')]
    assert main(args) == code
    assert 'needs' not in capsys.readouterr().err


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_by_signal(tmp_path, number, code):
    """The real signal, while it works: its exit code, no half file, no traceback."""
    pytest.importorskip('torch')
    folder = photos(tmp_path / 'in', 200)  # a second and more, on a busy machine, too
    out = tmp_path / 'out'
    words = [sys.executable, '-m', 'depth_pcd_ros.cli', 'convert', folder, '-o', str(out)]
    process = subprocess.Popen(
        [*words, *CAMERA, *DEMO], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60.0
    while not list(out.glob('*.ply')) and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == code, told
    assert 'Traceback' not in told
    count = len(contents(out))
    assert 0 < count < 200
    assert not [name for name in contents(out) if not name.endswith('.ply')]


def test_interrupted_at_random(tmp_path):
    """Signals at any moment, twice in a row too, to photos, a video and a recording."""
    pytest.importorskip('torch')
    words = [sys.executable, '-m', 'test.support.interrupt', '--times', '3']
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('the same files as one run') == 3


def test_the_later_of_two_notes_holds(tmp_path):
    """Also of those that have no time, as former versions wrote them."""
    lines = [f'{{"file": "a", "id": "{made}"}}' for made in ('2', '1')]
    (tmp_path / NAME).write_text('\n'.join(lines))
    (tmp_path / 'a').touch()
    assert Manifest(tmp_path, {})._ids == {'a': '1'}


def test_other_options_are_noticed(tmp_path, capsys):
    """What was made with other options is told, and made again only with --force."""
    folder = photos(tmp_path / 'in', 2)
    out = tmp_path / 'out'
    args = ['convert', folder, '-o', str(out), *CAMERA, *DEMO]
    with interrupted_at(jobs, 'read_photo', 1):
        assert main([*args, '--stride', '2']) == 130
    first = contents(out)
    assert list(first) == ['1.ply']
    capsys.readouterr()
    assert main([*args, '--resume', '--max-range', '5.5']) == 2
    told = capsys.readouterr().err
    assert '1.ply was made with other options: ' in told
    assert '--max-range was 0.0, is 5.5' in told
    assert '--stride was 2, is 1' in told
    assert contents(out) == first

    assert main([*args, '--resume', '--force']) == 0
    assert '2 converted\n' in capsys.readouterr().err
    assert main([*args, '-o', str(tmp_path / 'once')]) == 0
    assert contents(out) == contents(tmp_path / 'once')
    assert main([*args, '--resume', '--force']) == 0
    assert '0 converted, 2 there already' in capsys.readouterr().err
    # another kind of file is another file
    assert main([*args, '--resume', '--stride', '2', '--write', 'npy']) == 0


def test_forced_run_goes_on(tmp_path):
    """--force with other options, interrupted: --resume --force makes again only what is left."""
    folder = photos(tmp_path / 'in', 3)
    out = ['-o', str(tmp_path / 'out')]
    args = ['convert', folder, *CAMERA, *DEMO]
    assert main([*args, *out]) == 0
    with interrupted_at(Pipeline, 'estimate', 2):
        assert main([*args, *out, '--depth-scale', '2', '--force']) == 130
    assert main([*args, *out, '--depth-scale', '2', '--resume']) == 2
    assert main([*args, *out, '--depth-scale', '2', '--resume', '--force']) == 0
    assert main([*args, '-o', str(tmp_path / 'once'), '--depth-scale', '2']) == 0
    assert contents(tmp_path / 'out') == contents(tmp_path / 'once')


def test_other_options_of_a_recording(tmp_path, capsys):
    """Those that only a recording has, and another calibration file of the same name."""
    args = ['convert', str(record(tmp_path / 'in', cameras(2))), '-o', str(tmp_path / 'out'), *DEMO]
    assert main(args) == 0
    assert main([*args, '--resume', '--copy']) == 2
    assert '--copy was false, is true' in capsys.readouterr().err
    assert main([*args, '--resume', '--copy', '--force']) == 0
    assert main([*args, '--resume', '--copy']) == 0


def test_files_that_are_asked_for_later(tmp_path):
    """--resume makes the files of a recording's pictures that are missing, and only these."""
    args = ['convert', str(record(tmp_path / 'in', cameras(3))), *DEMO]
    assert main([*args, '-o', str(tmp_path / 'once'), '--write', 'ply,npy']) == 0
    out = tmp_path / 'out'
    assert main([*args, '-o', str(out)]) == 0
    written = (out / 'in' / 'in.mcap').stat().st_mtime_ns
    assert main([*args, '-o', str(out), '--write', 'ply,npy', '--resume']) == 0
    assert contents(out) == contents(tmp_path / 'once')
    assert (out / 'in' / 'in.mcap').stat().st_mtime_ns == written


@pytest.mark.parametrize('options', [['--force'], ['--force', '--resume']])
def test_a_folder_of_ones_own_is_not_replaced(tmp_path, capsys, options):
    """A recording would take its place with all that is in it; one of an earlier run may go."""
    record(tmp_path / 'in', cameras(1))
    (tmp_path / 'in' / 'in.mcap').rename(tmp_path / 'run1.mcap')
    mine = record(tmp_path / 'out' / 'run1', cameras(2)) / 'metadata.yaml'
    before = mine.read_bytes()
    args = ['convert', str(tmp_path / 'run1.mcap'), '-o', str(tmp_path / 'out'), *DEMO]
    assert main([*args, *options]) == 2
    assert 'out/run1 was not made by convert' in capsys.readouterr().err
    assert mine.read_bytes() == before
    mine.parent.rename(tmp_path / 'elsewhere')
    assert main(args) == 0
    assert main([*args, *options]) == 0


@pytest.mark.parametrize(
    'line',
    [b'[]', b'null', b'7', b'{"a": 1}', b'{"options": 3}', b'{"file": "a", "id": 1, "time": "x"}'],
)
def test_lines_of_a_manifest_that_are_none(tmp_path, line):
    """They spoil no others."""
    Manifest(tmp_path, {'--stride': 1}).begin(tmp_path / 'a')
    (tmp_path / 'a').touch()
    with (tmp_path / NAME).open('ab') as file:
        file.write(b'\n' + line)
    assert Manifest(tmp_path, {'--stride': 1}).is_done(tmp_path / 'a')
    assert not Manifest(tmp_path, {'--stride': 2}).is_done(tmp_path / 'a')
    (tmp_path / RESULTS).write_bytes(line + b'\n')
    assert not Results(tmp_path, anew=False).of('a')


def test_half_a_manifest(tmp_path):
    """What a full disk leaves of a line spoils neither the lines before it nor those after."""
    for name in ('a', 'b', 'c'):
        (tmp_path / name).touch()
    Manifest(tmp_path, {'--stride': 1}).begin(tmp_path / 'a')
    (tmp_path / 'a').touch()
    with (tmp_path / NAME).open('ab') as file:
        file.write(b'\n{"file": "b", "i')
    Manifest(tmp_path, {'--stride': 2}).begin(tmp_path / 'c')
    (tmp_path / 'c').touch()
    now = Manifest(tmp_path, {'--stride': 1})
    assert [now.is_done(tmp_path / name) for name in ('a', 'b', 'c')] == [True, True, False]
    assert now.difference(tmp_path / 'c') == '--stride was 2, is 1'
    assert now.difference(tmp_path / 'b') == ''


def test_unreadable_manifest(tmp_path, capsys):
    """A manifest that cannot be read is told, before anything is done."""
    (tmp_path / 'out' / NAME).mkdir(parents=True)
    folder = photos(tmp_path / 'in', 1)
    assert main(['convert', folder, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]) == 2
    assert 'the manifest of earlier runs cannot be read' in capsys.readouterr().err
