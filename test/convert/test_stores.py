# SPDX-License-Identifier: Apache-2.0
"""Photos and results in object stores that answer on this machine: moto's, an emulator of GCS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from depth_pcd_ros.cli import main

from ..support.converting import CAMERA, DEMO, contents, photos, video
from ..support.recordings import cameras, record
from ..support.stores import store

ROOT = Path(__file__).resolve().parents[2]
ALL = 'ply,pcd,depth,npy,npz,las,preview'
PACKAGES = {'s3': ('s3fs', 'moto', 'flask_cors'), 'gs': ('gcsfs', 'gcp_storage_emulator')}


@pytest.fixture(scope='module', params=['s3', 'gs'])
def bucket(request):
    """An address, of which each test uses a folder of its own."""
    pytest.importorskip('torch')
    upath = pytest.importorskip('upath')
    for package in PACKAGES[request.param]:
        pytest.importorskip(package)
    with store(request.param) as kind:
        path = upath.UPath(f'{kind}://bucket')
        if kind == 's3':
            path.mkdir()
        yield path


def put(folder, where):
    """Copy a folder into a store."""
    for name, data in contents(Path(folder)).items():
        (where / name).write_bytes(data)
    return str(where)


def got(where):
    """The files below a place in a store, but for the note of the options."""
    where.fs.invalidate_cache()
    found = {path: where.fs.cat(path) for path in where.fs.find(where.path)}
    return {
        path.removeprefix(f'{where.path}/'): data
        for path, data in found.items()
        if '.depth' not in path.rsplit('/', 1)[1][:6]
    }


def convert(*words):
    """Run the command; return its exit code."""
    return main(['convert', *map(str, words), *CAMERA, *DEMO])


def test_as_on_a_disk(tmp_path, bucket):
    """Every format comes out the same to the byte, from a store, to a store, and both."""
    here = photos(tmp_path / 'in')
    there = put(here, bucket / 'same' / 'in')
    assert convert(here, '-o', tmp_path / 'once', '--write', ALL) == 0
    once = contents(tmp_path / 'once')
    assert convert(there, '-o', tmp_path / 'out', '--write', ALL) == 0
    assert contents(tmp_path / 'out') == once
    assert convert(here, '-o', bucket / 'same' / 'out', '--write', ALL) == 0
    assert got(bucket / 'same' / 'out') == once
    assert convert(there, '-o', f'{there}/clouds', '--write', ALL) == 0
    assert got(bucket / 'same' / 'in' / 'clouds') == once
    assert convert(f'{there}/*.png', '-o', tmp_path / 'glob') == 0
    assert sorted(contents(tmp_path / 'glob')) == ['1.ply', '2.ply']
    (tmp_path / 'list.txt').write_text(f'{there}/2.png\n')
    assert convert(tmp_path / 'list.txt', '-o', tmp_path / 'listed') == 0
    assert sorted(contents(tmp_path / 'listed')) == ['2.ply']


def test_going_on(tmp_path, bucket, capsys):
    """What is there is not overwritten, left out, or made again; other options are refused."""
    here, out = photos(tmp_path / 'in'), bucket / 'on'
    args = [here, '-o', out]
    assert convert(*args) == 0
    first = got(out)
    (out / '1.ply').unlink()
    assert convert(*args) == 2
    assert f'{out}/0.ply' not in (told := capsys.readouterr().err)
    assert 'is there already' in told
    assert convert(*args, '--resume') == 0
    assert capsys.readouterr().err.splitlines()[-1].endswith('1 converted, 2 there already')
    assert got(out) == first
    (out / '2.ply').write_bytes(b'')
    assert convert(*args, '--force') == 0
    assert got(out) == first
    capsys.readouterr()
    for words in (['--resume'], ['--force'], ['--resume', '--force'], ['--shard', '1/2']):
        assert convert(*args, '--stride', '2', *words) == 2
        assert '--stride was 1, is 2' in capsys.readouterr().err
    assert got(out) == first


def test_shards(tmp_path, bucket):
    """Two jobs give what one gives, and a run without shards finds it."""
    here, out = photos(tmp_path / 'in', 6), bucket / 'shards'
    assert convert(here, '-o', tmp_path / 'once') == 0
    for k in (1, 2):
        assert convert(here, '-o', out, '--shard', f'{k}/2') == 0
    assert got(out) == contents(tmp_path / 'once')
    assert convert(here, '-o', out, '--resume') == 0


@pytest.mark.usefixtures('ray')
@pytest.mark.timeout(240)
def test_on_a_cluster(tmp_path, bucket):
    """The workers read from and write to the store."""
    there, out = put(photos(tmp_path / 'in', 20), bucket / 'ray' / 'in'), bucket / 'ray' / 'out'
    assert convert(tmp_path / 'in', '-o', tmp_path / 'once') == 0
    assert convert(there, '-o', out, '--workers', '2', '--ray') == 0
    assert got(out) == contents(tmp_path / 'once')


def test_what_is_no_photo(tmp_path, bucket, capsys):
    """A video from a disk becomes files there; a recording does not, nor is either read there."""
    video(tmp_path / 'clip.avi', 2)
    assert convert(tmp_path / 'clip.avi', '-o', bucket / 'odd' / 'video') == 0
    assert sorted(got(bucket / 'odd' / 'video')) == ['clip/000000.ply', 'clip/000001.ply']
    assert convert(tmp_path / 'clip.avi', '-o', bucket / 'odd' / 'video', '--resume') == 0
    recording = record(tmp_path / 'rec', cameras(2))
    assert convert(recording, '-o', bucket / 'odd' / 'out') == 2
    assert 'is a recording, which is not written to' in capsys.readouterr().err
    put(photos(tmp_path / 'in', 2), bucket / 'odd' / 'in')
    (bucket / 'odd' / 'in' / 'clip.avi').write_bytes(b'x')
    (bucket / 'odd' / 'in' / 'notes.md').write_bytes(b'x')
    assert convert(bucket / 'odd' / 'in', '-o', tmp_path / 'out') == 1
    told = capsys.readouterr().err
    assert 'clip.avi: only photos are read from a store' in told
    assert '1 .md' in told
    assert told.splitlines()[-1].endswith('2 converted, 1 failed')


def test_what_is_not_there(tmp_path, bucket, capsys):
    """A photo, a folder, a bucket."""
    here = photos(tmp_path / 'in', 2)
    kind = bucket.protocol
    assert convert(bucket / 'none.png', '-o', tmp_path / 'out', '--size', '56x42') == 1
    assert 'none.png: no such file' in capsys.readouterr().err
    assert convert(bucket / 'none', '-o', tmp_path / 'out') == 1
    assert 'none: no such file' in capsys.readouterr().err
    assert convert(here, '-o', f'{kind}://nobucket/out') == 2
    assert 'there is no such bucket' in capsys.readouterr().err
    assert convert(here, bucket / 'in', '-o', tmp_path / 'out') == 2
    assert 'convert them one by one' in capsys.readouterr().err


def test_no_credentials(tmp_path):
    """Not known as a photo by its name, so that the store is asked at once."""
    for package in ('upath', 's3fs'):
        pytest.importorskip(package)
    environment = {name: value for name, value in os.environ.items() if 'AWS' not in name}
    environment |= {'HOME': str(tmp_path), 'AWS_EC2_METADATA_DISABLED': 'true'}
    words = ['convert', 's3://bucket', '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    command = [sys.executable, '-m', 'depth_pcd_ros.cli', *words]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    told = ended.stderr.splitlines()
    assert ended.returncode == 2, told
    assert len(told) == 1
    assert told[0].startswith('depth-pcd convert: s3://bucket')
    assert told[0].endswith('cannot be used: Unable to locate credentials')


def test_a_broken_photo(tmp_path, bucket, capsys):
    """It fails, and the others go on; nothing of it is written."""
    put(photos(tmp_path / 'in', 2), bucket / 'broken' / 'in')
    (bucket / 'broken' / 'in' / 'b.png').write_bytes(b'broken')
    assert convert(bucket / 'broken' / 'in', '-o', bucket / 'broken' / 'out') == 1
    assert 'b.png: ' in capsys.readouterr().err
    assert sorted(got(bucket / 'broken' / 'out')) == ['1.ply', 'below/0.ply']


@pytest.mark.parametrize('kind', ['s3', 'gs'])
def test_without_the_extra(tmp_path, capsys, monkeypatch, kind):
    """One clear sentence."""
    monkeypatch.setitem(sys.modules, 'upath', None)
    assert convert(photos(tmp_path / 'in', 1), '-o', f'{kind}://bucket/out') == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert f'pip install "depth_pcd_ros[{kind}]"' in told[0]
    assert convert(f'{kind}://bucket/in', '-o', tmp_path / 'out') == 2
    assert f'pip install "depth_pcd_ros[{kind}]"' in capsys.readouterr().err


def test_other_addresses(tmp_path, capsys):
    """Those that nobody has tried."""
    assert convert('az://container/in', '-o', tmp_path / 'out') == 2
    assert 'az://container/in: expected a path, or s3:// or gs://' in capsys.readouterr().err
