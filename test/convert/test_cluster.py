# SPDX-License-Identifier: Apache-2.0
"""convert --ray with a local cluster of two workers, in processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from depth_pcd_ros.cli import main, parser
from depth_pcd_ros.convert import cluster
from depth_pcd_ros.errors import DeviceLostError
from depth_pcd_ros.inputs.options import intrinsics
from depth_pcd_ros.inputs.sources import find
from depth_pcd_ros.settings import Settings

from ..support.converting import CAMERA, DEMO, contents, photos, video
from ..support.fake_engine import FakeEngine
from ..support.recordings import cameras, record

ROOT = Path(__file__).resolve().parents[2]
# Starts one, prints its address, and ends with the next line that it is told.
CLUSTER = """
import ray
started = ray.init('local', num_cpus=2, include_dashboard=False)
print(started.address_info['gcs_address'], flush=True)
input()
"""


def start(*words):
    """Start the command."""
    command = [sys.executable, '-m', 'depth_pcd_ros.cli', 'convert', *words]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def files(folder):
    """What is in a folder but for manifests."""
    return {name: data for name, data in contents(folder).items() if not name.startswith('.depth')}


@pytest.fixture(scope='module')
def many(tmp_path_factory, ray):
    """The options for a folder of photos, and the files that they give without a cluster."""
    folder = tmp_path_factory.mktemp('many')
    args = [photos(folder / 'in', 120), *CAMERA, *DEMO]
    assert main(['convert', *args, '-o', str(folder / 'out')]) == 0
    return args, files(folder / 'out')


@contextmanager
def in_the_middle(args, out, made=None, workers=2):
    """Workers that have made some of the clouds; they are gone afterwards, whatever happens."""
    made = made or (lambda: list(out.glob('*.ply')))
    driver = start(*args, '-o', str(out), '--ray', '--workers', str(workers))
    try:
        end = time.monotonic() + 100
        while len(made()) < 5:
            assert driver.poll() is None, driver.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.01)
        yield driver
    finally:
        driver.kill()
        driver.communicate()


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


def kill_a_worker(driver):
    """End one with -9 that is at work; the driver goes on, and all is converted once."""
    killed = False
    while not killed:
        assert driver.poll() is None, driver.stderr.read()
        with held(driver) as busy:
            for worker in busy[:1]:
                os.kill(worker, signal.SIGKILL)
                killed = True
    told = driver.communicate(timeout=200)[1]
    assert driver.returncode == 0, told
    assert 'a worker has died' in told
    assert told.splitlines()[-1] == 'depth-pcd convert: 120 converted'


@pytest.mark.timeout(240)
def test_a_worker_is_killed(tmp_path, many):
    """With -9, in the middle: everything is converted once, and nothing is half."""
    args, expected = many
    with in_the_middle(args, tmp_path) as driver:
        kill_a_worker(driver)
    assert files(tmp_path) == expected


@pytest.mark.timeout(240)
def test_a_worker_is_killed_that_writes_over_files(tmp_path, many):
    """With --force: none stays as it was, though it has the same options. Three share two cores."""
    args, expected = many
    assert main(['convert', *args, '-o', str(tmp_path)]) == 0
    for path in tmp_path.rglob('*.ply'):
        path.write_bytes(b'old')
    fresh = lambda: [path for path in tmp_path.rglob('*.ply') if path.stat().st_size > 3]  # noqa: E731
    with in_the_middle([*args, '--force'], tmp_path, fresh, workers=3) as driver:
        kill_a_worker(driver)
    assert files(tmp_path) == expected


def test_a_worker_whose_device_is_lost_has_died(tmp_path, monkeypatch):
    """Nothing else it is given would do better; another process can use the device again."""

    def lost(*_, **__):
        raise DeviceLostError('cuda:0: CUDA error: an illegal memory access was encountered')

    monkeypatch.setattr(cluster, 'run', lost)
    monkeypatch.setattr(cluster, 'create', lambda _: FakeEngine())
    monkeypatch.setattr(os, '_exit', sys.exit)
    folder = photos(tmp_path / 'in', 1)
    args = parser().parse_args(['convert', folder, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO])
    args.out = tmp_path / 'out'
    options = cluster.Options(args, Settings(), intrinsics(args, print))
    worker = cluster._Worker(options, 1, 0, '')
    worker.load()
    part = cluster.Part(tuple(find([folder], args.out)))
    with pytest.raises(SystemExit) as caught:
        worker.convert(part, resume=False, is_retry=False)
    assert caught.value.code == os.EX_UNAVAILABLE


@pytest.mark.parametrize(
    ('units', 'count', 'share'),
    [
        ([8], 2, 4.0),
        ([8, 8], 3, 4.0),  # with 5 each, one would fit on each machine
        ([6, 6], 3, 3.0),  # with 4 each, too
        ([4, 0], 4, 1.0),
        ([2], 3, 0.5),  # two at one of the two
        ([], 1, 1.0),
    ],
)
def test_what_each_worker_gets(units, count, share):
    """As many as were asked for fit, none of them on two machines."""
    assert cluster.share_of(units, count) == share


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_the_driver_is_ended(tmp_path, many, number, code):
    """By Ctrl-C, SIGTERM or -9; started again, it does what is left, and that alone.

    With a cluster again after -9, without one after the others.
    """
    args, expected = many
    with in_the_middle(args, tmp_path) as driver:
        workers = workers_of(driver.pid)
        with held(driver):
            driver.send_signal(number)
        told = driver.communicate(timeout=60)[1]
    assert driver.returncode == code, told
    while any(map(name_of, workers)):  # they end with the driver, a moment later
        time.sleep(0.1)
    made = written(tmp_path)
    assert 0 < len(made) < 120
    assert number == signal.SIGKILL or not list(tmp_path.rglob('*.part'))
    ray = ['--workers', '2', '--ray'] if number == signal.SIGKILL else []
    again = start(*args, '-o', str(tmp_path), '--resume', *ray)
    told = again.communicate(timeout=200)[1]
    assert again.returncode == 0, told
    summary = f'{120 - len(made)} converted, {len(made)} there already'
    assert told.splitlines()[-1] == f'depth-pcd convert: {summary}'
    assert files(tmp_path) == expected
    assert made.items() <= written(tmp_path).items()


@contextmanager
def held(driver):
    """The workers stand still meanwhile; those that are converting."""
    workers = workers_of(driver.pid)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        yield [pid for pid in workers if name_of(pid).startswith('ray::_Worker.convert')]
    finally:
        for worker in filter(name_of, workers):
            os.kill(worker, signal.SIGCONT)


def written(folder):
    """The clouds in a folder, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*.ply')}


@pytest.mark.timeout(240)
def test_it_listens_to_this_machine_alone(tmp_path, many):
    """Whoever reaches a Ray cluster can run code on it."""
    with in_the_middle(many[0], tmp_path) as driver:
        sockets = set().union(*map(sockets_of, [driver.pid, *below(driver.pid)]))
        tables = [Path('/proc/net', name).read_text() for name in ('tcp', 'tcp6')]
    rows = [row.split() for table in tables for row in table.splitlines()]
    addresses = [row[1] for row in rows if row[3] == '0A' and row[9] in sockets]  # that listen
    assert addresses
    # 127.0.0.1, also as an address of IPv6
    assert {address.rpartition(':')[0][-8:] for address in addresses} == {'0100007F'}


def sockets_of(process):
    """The numbers of the sockets that a process has."""
    links = []
    for path in Path('/proc', str(process), 'fd').glob('*'):
        with suppress(OSError):  # one of those that come and go
            links.append(os.readlink(path))
    return {link[8:-1] for link in links if link.startswith('socket:[')}


def workers_of(driver):
    """The processes of workers below a driver's."""
    return [pid for pid in below(driver) if name_of(pid).startswith('ray::_Worker')]


def below(process):
    """All processes that it has started, and those that they have, in order of their numbers."""
    found, left = set(), [process]
    while left:
        for path in Path('/proc', str(left.pop()), 'task').glob('*/children'):
            with suppress(OSError):  # it has ended
                left += map(int, path.read_text().split())
        found.update(left)
    return sorted(found)


def name_of(process):
    """What it is called; '' where it has ended."""
    try:
        return Path('/proc', str(process), 'cmdline').read_text()
    except OSError:
        return ''


@pytest.mark.timeout(240)
def test_a_cluster_that_is_there(tmp_path, many, monkeypatch):
    """Which was started without OMP_NUM_THREADS; that of the command holds there."""
    args, expected = many
    monkeypatch.setenv('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER', '0')  # on the loopback interface
    monkeypatch.setenv('RAY_AUTH_MODE', 'disabled')
    words = [sys.executable, '-c', CLUSTER]
    environment = {name: v for name, v in os.environ.items() if name != 'OMP_NUM_THREADS'}
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as head:
        address = head.stdout.readline().split()[-1]
        driver = start(*args, '-o', str(tmp_path), '--workers', '1', '--ray', address)
        told = driver.communicate(timeout=200)[1]
        head.communicate('\n', timeout=60)
    assert driver.returncode == 0, told
    assert files(tmp_path) == expected


@pytest.mark.usefixtures('ray')
@pytest.mark.timeout(240)
def test_a_divided_recording(tmp_path, capsys, monkeypatch):
    """Two workers make parts of it, of which comes what one makes of the whole, files and all."""
    source = record(tmp_path / 'rec', cameras(30))
    args = ['convert', str(source), *DEMO, '--write', 'ply']
    assert main([*args, '-o', str(tmp_path / 'once')]) == 0
    told = capsys.readouterr().err
    monkeypatch.setattr(cluster, 'PICTURES_AT_ONCE', 8)
    divided = []
    tell = cluster._Driver._next

    def next_of(driver, part, stretches):
        divided.append(len(stretches))
        return tell(driver, part, stretches)

    monkeypatch.setattr(cluster._Driver, '_next', next_of)
    assert main([*args, '-o', str(tmp_path / 'out'), '--workers', '2', '--ray']) == 0
    assert sorted(divided) == [0, 0, 0, 0, 3]
    assert files(tmp_path / 'out') == files(tmp_path / 'once')
    assert capsys.readouterr().err.splitlines()[-1] == told.splitlines()[-1]


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
@pytest.mark.parametrize('address', ['127.0.0.1:{}', 'ray://127.0.0.1:{}', 'nothing.invalid:{}'])
def test_no_cluster(tmp_path, capsys, address):
    """Where there is none, that is said at once."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = address.format(free.getsockname()[1])
        args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
        assert main([*args, '--ray', address]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert f'the Ray cluster {address} cannot be reached: ' in told[0]


@pytest.mark.usefixtures('ray')
def test_no_address_of_a_cluster(tmp_path, capsys):
    """What Ray does not know."""
    args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--ray', 'nothing://here']) == 2
    assert 'the Ray cluster nothing://here cannot be used' in capsys.readouterr().err


def test_workers_without_ray(tmp_path, capsys):
    """They would be ignored."""
    args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--workers', '2']) == 2
    assert '--workers 2 goes with --ray' in capsys.readouterr().err


def test_an_input_after_ray(tmp_path, capsys):
    """It would be the address of a cluster."""
    one, other = photos(tmp_path / 'one', 1), photos(tmp_path / 'other', 1)
    args = ['convert', '--ray', one, other, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main(args) == 2
    assert f'--ray takes {one} as the address of a cluster' in capsys.readouterr().err
