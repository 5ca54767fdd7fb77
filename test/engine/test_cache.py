# SPDX-License-Identifier: Apache-2.0
"""The cache of converted networks: what makes an entry, and what happens to a bad one."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from depth_pcd_ros import engine
from depth_pcd_ros.engine import EngineError, cache
from depth_pcd_ros.networks.checkpoints import of_settings
from depth_pcd_ros.networks.families import FAMILIES
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.settings import EngineSettings
from test.support.fake_engine import seen

pytest.importorskip('openvino', reason='OpenVINO is not installed')

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
DEMO = of_settings(EngineSettings('demo'))


@pytest.fixture(scope='module')
def filled(tmp_path_factory):
    """A cache with the demo network, converted once for all tests here."""
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.FOLDER_VARIABLE, str(folder))
        with cache.converted(DEMO, 'fp32'):
            pass
    return folder


@pytest.fixture
def cached(filled, tmp_path, monkeypatch):
    """A copy of it for one test."""
    folder = tmp_path / 'cache'
    shutil.copytree(filled, folder)
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(folder))
    return folder


def entries(cached):
    """The folders of an entry each."""
    return sorted(path for path in cached.iterdir() if path.is_dir())


def infer():
    """Depth of the demo network in OpenVINO."""
    made = engine.create(EngineSettings('demo', device='openvino', precision='fp32'))
    return made.infer(*seen(RGB))


def test_the_second_start_converts_nothing(cached, monkeypatch):
    """The entry is all it needs."""
    monkeypatch.setattr(cache, '_export', None)
    assert infer().shape == (30, 40)


def test_where_networks_are_kept(monkeypatch):
    """The variable, then XDG's, then the home; nowhere for a user without one."""
    monkeypatch.setenv('HOME', '/home/robot')
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.delenv(cache.FOLDER_VARIABLE)
    assert cache.folder() == Path('/home/robot/.cache/depth_pcd_ros')
    monkeypatch.setenv('XDG_CACHE_HOME', '/var/cache')
    assert cache.folder() == Path('/var/cache/depth_pcd_ros')
    monkeypatch.setenv(cache.FOLDER_VARIABLE, '~/networks')
    assert cache.folder() == Path('/home/robot/networks')
    for name in ('HOME', 'XDG_CACHE_HOME', cache.FOLDER_VARIABLE):
        monkeypatch.delenv(name)
    monkeypatch.setattr('pwd.getpwuid', {}.__getitem__)
    with pytest.raises(NotADirectoryError):
        cache.folder().mkdir(parents=True)


def test_a_key_is_all_that_an_entry_depends_on(tmp_path, monkeypatch):
    """Content, kind, range, format, versions and code; not the place of the file."""
    one, other, moved = (tmp_path / name for name in ('a.pth', 'b.pth', 'folder/a.pth'))
    moved.parent.mkdir()
    one.write_bytes(b'1')
    moved.write_bytes(b'1')
    other.write_bytes(b'2')

    def key(path=one, family='depth_anything_v2', max_depth=12.0, weights='fp32'):
        return cache.key_of(FAMILIES[family](path, max_depth), weights)

    keys = [key(), key(other), key(family='demo'), key(max_depth=80.0), key(weights='fp16')]
    for name, value in (('__version__', '9.9.9'), ('SOURCES', ('geometry',))):
        with monkeypatch.context() as patch:
            patch.setattr(cache, name, value)
            keys.append(key())
    monkeypatch.setattr(cache.metadata, 'version', lambda _: '9999')
    keys.append(key())
    assert len(set(keys)) == len(keys)
    monkeypatch.undo()
    assert key(moved) == keys[0]


@pytest.mark.parametrize('name', ['entry.json', 'network.xml', 'network.bin'])
@pytest.mark.parametrize('how', ['cut', 'changed', 'missing'])
def test_a_damaged_entry_is_made_anew(cached, caplog, monkeypatch, filled, name, how):
    """Told, and replaced by a whole one; here by a copy in place of a conversion."""
    (entry,) = entries(cached)
    path = entry / name
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 0x10
    if how == 'missing':
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if how == 'cut' else changed)

    def copy(_network, _weights, _onnx, target):
        for file in ('network.xml', 'network.bin'):
            shutil.copy(entries(filled)[0] / file, target)

    monkeypatch.setattr(cache, '_export', copy)
    with cache.converted(DEMO, 'fp32') as made:
        assert made.is_file()
    assert f'{entry}' in caplog.text
    assert 'made anew' in caplog.text
    assert path.read_bytes() == content or name == 'entry.json'


def test_a_process_that_was_ended_leaves_nothing_behind(cached):
    """What it had begun is removed by the next conversion."""
    (entry,) = entries(cached)
    half = cached / f'demo-{20 * "0"}.part'
    entry.rename(half)
    infer()
    assert [path.name for path in entries(cached)] == [entry.name]


def test_what_others_have_in_the_folder_is_left_alone(cached, monkeypatch):
    """Folders of a user, older than any entry, and what looks half written."""
    monkeypatch.setattr(cache, 'MAX_ENTRIES', 1)
    theirs = ('thesis', 'download.part', 'backup-20261127', f'{20 * "0"}')
    for name in theirs:
        (cached / name).mkdir()
        os.utime(cached / name, (0, 0))
    (entry,) = (path for path in entries(cached) if path.name not in theirs)
    (entry / 'entry.json').unlink()  # so that it is converted, too
    infer()
    assert [path.name for path in entries(cached)] == sorted([entry.name, *theirs])


def test_a_folder_that_cannot_be_made_is_told_and_done_without(tmp_path, monkeypatch, caplog):
    """The network runs all the same, and nothing is left of it."""
    (tmp_path / 'file').touch()
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / 'file' / 'cache'))
    make, made = tempfile.TemporaryDirectory, []

    def spied(**where):
        made.append(make(**where))
        return made[-1]

    monkeypatch.setattr(tempfile, 'TemporaryDirectory', spied)
    assert infer().shape == (30, 40)
    assert 'Not a directory' in caplog.text
    assert cache.FOLDER_VARIABLE in caplog.text
    assert [Path(folder.name).exists() for folder in made] == [False]


def test_a_full_disk_is_told_and_done_without(tmp_path, monkeypatch, caplog):
    """A real one, of 1 MiB."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip('needs the right to mount a disk')
    try:
        monkeypatch.setenv(cache.FOLDER_VARIABLE, str(disk))
        assert infer().shape == (30, 40)
        assert 'cannot be kept' in caplog.text
        assert entries(disk) == []
    finally:
        subprocess.run(['umount', str(disk)], check=True)


def test_without_room_in_memory_a_disk_will_do(tmp_path, monkeypatch, filled):
    """A container's /dev/shm has 64 MB: the default temporary folder is next (here both fake)."""
    (tmp_path / 'file').touch()
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / 'file' / 'cache'))
    memory = tmp_path / 'memory'
    memory.mkdir()
    monkeypatch.setattr(cache, 'MEMORY', str(memory))
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    tried = []

    def copy(_network, _weights, _onnx, target):
        tried.append(memory in target.parents)
        if tried[-1]:
            raise OSError(28, 'No space left on device')
        for file in ('network.xml', 'network.bin'):
            shutil.copy(entries(filled)[0] / file, target)

    monkeypatch.setattr(cache, '_export', copy)
    with cache.converted(DEMO, 'fp32') as made:
        assert made.is_file()
    assert tried == [True, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'memory']
    assert not list(memory.iterdir())


def test_no_room_anywhere_is_refused(tmp_path, monkeypatch):
    """The error names both places and what can be done (no disk is full: the writing is faked)."""

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, '_export', full)
    with pytest.raises(EngineError, match=f'no room .*{tmp_path}.*No space left.*device cpu'):
        infer()


def test_a_bad_checkpoint_is_the_checkpoints_error(tmp_path, monkeypatch):
    """As with torch, though it was found in another process; and nothing is kept."""
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / 'cache'))
    path = tmp_path / 'broken_metric_hypersim.pth'
    path.write_bytes(b'PK\3\4 not a checkpoint')
    with pytest.raises(CheckpointError, match=f'{path} cannot be read as a checkpoint'):
        engine.create(EngineSettings(str(path), device='openvino'))
    assert entries(tmp_path / 'cache') == []


def test_a_checkpoint_replaced_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """Else the new one would run under the old one's name."""
    path = tmp_path / 'a_metric_hypersim.pth'
    path.write_bytes(b'1')

    def replaced(*_):
        path.write_bytes(b'2')

    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / 'cache'))
    monkeypatch.setattr(cache, '_export', replaced)
    with pytest.raises(CheckpointError, match='was replaced while it was read'):
        engine.create(EngineSettings(str(path), device='openvino'))


def test_the_key_covers_all_code_of_the_networks(tmp_path, monkeypatch):
    """Whatever module of theirs changes, below which folder: another key; one missing is told."""
    package = tmp_path / 'depth_pcd_ros'
    shutil.copytree(Path(cache.__file__).parents[1], package)
    monkeypatch.setattr('importlib.resources.files', lambda _: package)
    keys = {cache.key_of(DEMO, 'fp32')}
    modules = [
        *(package / 'networks').rglob('*.py'),
        package / 'engine/export.py',
        package / 'engine/openvino/engine.py',
    ]
    for module in modules:
        module.write_text(f'{module.read_text()}\n')
        keys.add(cache.key_of(DEMO, 'fp32'))
    assert len(keys) == len(modules) + 1
    shutil.rmtree(package / 'networks')
    with pytest.raises(EngineError, match=r'networks is missing: the installation is damaged'):
        cache.key_of(DEMO, 'fp32')


def test_the_entries_used_last_stay(cached, monkeypatch):
    """Of three, the two used last, though another was written later."""
    (entry,) = entries(cached)
    monkeypatch.setattr(cache, 'MAX_ENTRIES', 2)
    young, old = (f'{name}-{20 * "0"}' for name in ('young', 'old'))
    for age, name in enumerate((young, old)):
        (cached / name).mkdir()
        os.utime(cached / name, (0, 1000 - age))
    infer()
    assert [path.name for path in entries(cached)] == sorted([entry.name, young])


CONVERT = """
import sys
from depth_pcd_ros.engine.cache import converted
from depth_pcd_ros.networks.checkpoints import of_settings
from depth_pcd_ros.settings import EngineSettings
with converted(of_settings(EngineSettings('demo')), 'fp32') as path:
    print(path.is_file())
"""


def test_processes_that_start_together_convert_once(tmp_path):
    """The second waits for the first and takes its result."""
    environment = {**os.environ, cache.FOLDER_VARIABLE: str(tmp_path)}
    command = [
        *(sys.executable, '-c'),
        'import logging; logging.basicConfig(level=logging.INFO)\n' + CONVERT,
    ]
    running = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    results = [process.communicate(timeout=100) for process in running]
    assert [out for out, _ in results] == ['True\n'] * 2, results
    assert sum('converting' in told for _, told in results) == 1
    assert len(entries(tmp_path)) == 1


def test_the_conversion_ends_with_the_process_that_wants_it(tmp_path):
    """No orphan goes on computing."""
    environment = {**os.environ, cache.FOLDER_VARIABLE: str(tmp_path)}
    process = subprocess.Popen([sys.executable, '-c', CONVERT], env=environment)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    while not children.read_text():
        assert process.poll() is None
    child = int(children.read_text())
    process.kill()
    process.wait()
    for _ in range(100):
        if not Path(f'/proc/{child}').exists() or ' Z ' in Path(f'/proc/{child}/stat').read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail('the converter is still there')
