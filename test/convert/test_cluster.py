# SPDX-License-Identifier: Apache-2.0
"""convert --ray with a local cluster of two workers, in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from depth_pcd_ros.cli import main

from ..support.converting import CAMERA, DEMO, contents, photos, video
from ..support.recordings import cameras, record

ROOT = Path(__file__).resolve().parents[2]


def start(*words):
    """Start the command."""
    command = [sys.executable, '-m', 'depth_pcd_ros.cli', 'convert', *words]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def files(folder):
    """What is in a folder but for manifests."""
    return {name: data for name, data in contents(folder).items() if not name.startswith('.depth')}


@pytest.fixture
def ray():
    """Skips where it is not installed."""
    return pytest.importorskip('ray')


@pytest.mark.usefixtures('ray')
@pytest.mark.timeout(240)
def test_two_workers(tmp_path):
    """The files, the exit code and the summary are those of a run without a cluster."""
    photos(tmp_path / 'in', 40)
    video(tmp_path / 'in' / 'clip.avi', 3)
    record(tmp_path / 'in' / 'rec', cameras(3))
    (tmp_path / 'in' / 'broken.png').write_bytes(b'broken')
    args = [str(tmp_path / 'in'), *CAMERA, *DEMO, '--write', 'ply']
    alone = start(*args, '-o', str(tmp_path / 'once'))
    told = alone.communicate(timeout=100)[1]
    assert alone.returncode == 1, told
    two = start(*args, '-o', str(tmp_path / 'out'), '--ray', '--workers', '2')
    told_by_ray = two.communicate(timeout=200)[1]
    assert two.returncode == 1, told_by_ray
    assert files(tmp_path / 'out') == files(tmp_path / 'once')
    summary = 'depth-pcd convert: 42 converted, 1 failed'
    assert told.splitlines()[-1] == told_by_ray.splitlines()[-1] == summary
    assert 'demo on cpu with fp32, 2 workers' in told_by_ray
    assert told_by_ray.count('broken.png: ') == 1
    assert main(['convert', *args, '-o', str(tmp_path / 'out'), '--resume']) == 1


@pytest.mark.usefixtures('ray')
@pytest.mark.timeout(240)
def test_a_worker_is_killed(tmp_path):
    """With -9, in the middle: everything is converted once, and nothing is half."""
    folder = photos(tmp_path / 'in', 120)
    out = tmp_path / 'out'
    args = [folder, *CAMERA, *DEMO, '-o', str(out)]
    driver = start(*args, '--ray', '--workers', '2')
    end = time.monotonic() + 100
    while len(list(out.glob('*.ply'))) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(workers_of(driver.pid)[0], signal.SIGKILL)
    told = driver.communicate(timeout=200)[1]
    assert driver.returncode == 0, told
    assert 'a worker has died' in told
    assert told.splitlines()[-1] == 'depth-pcd convert: 120 converted'
    assert main(['convert', folder, *CAMERA, *DEMO, '-o', str(tmp_path / 'once')]) == 0
    assert files(out) == files(tmp_path / 'once')


@pytest.mark.usefixtures('ray')
@pytest.mark.timeout(240)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_the_driver_is_ended(tmp_path, number):
    """By Ctrl-C or -9; started again, it does what is left."""
    folder = photos(tmp_path / 'in', 120)
    out = tmp_path / 'out'
    args = [folder, *CAMERA, *DEMO, '-o', str(out)]
    driver = start(*args, '--ray', '--workers', '2')
    end = time.monotonic() + 100
    while len(list(out.glob('*.ply'))) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    driver.send_signal(number)
    driver.communicate(timeout=60)
    assert driver.returncode == (130 if number == signal.SIGINT else -9)
    assert 0 < len(list(out.rglob('*.ply'))) < 120
    if number == signal.SIGINT:
        assert not list(out.rglob('*.part'))
    again = start(*args, '--ray', '--workers', '2', '--resume')
    told = again.communicate(timeout=200)[1]
    assert again.returncode == 0, told
    assert ' there already' in told.splitlines()[-1]
    assert main(['convert', folder, *CAMERA, *DEMO, '-o', str(tmp_path / 'once')]) == 0
    assert files(out) == files(tmp_path / 'once')


def workers_of(driver):
    """The processes of workers below a driver's."""
    parents, names = {}, {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            parents[int(path.name)] = int((path / 'stat').read_text().rsplit(')', 1)[1].split()[1])
            names[int(path.name)] = (path / 'cmdline').read_text()
        except OSError:
            continue

    def below(pid):
        while pid in parents:
            pid = parents[pid]
            if pid == driver:
                return True
        return False

    return [pid for pid, name in names.items() if name.startswith('ray::_Worker') and below(pid)]


def test_without_ray(tmp_path, capsys, monkeypatch):
    """One clear sentence."""
    monkeypatch.setitem(sys.modules, 'ray', None)
    args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--ray']) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert '--ray needs the Python package ray' in told[0]
    assert 'depth_pcd_ros[ray]' in told[0]


@pytest.mark.usefixtures('ray')
def test_no_cluster(tmp_path, capsys):
    """An address where there is none."""
    args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--ray', 'nothing://here']) == 2
    assert 'the Ray cluster nothing://here cannot be used' in capsys.readouterr().err
