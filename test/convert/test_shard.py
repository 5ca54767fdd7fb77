# SPDX-License-Identifier: Apache-2.0
"""Several jobs that convert a share of the inputs each, into one folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert.cluster import _parts
from depth_pcd_ros.inputs.sources import Source, share

from ..support.converting import CAMERA, DEMO, contents, listed, photos, video
from ..support.recordings import cameras, record

ROOT = Path(__file__).resolve().parents[2]


def everything(folder):
    """Photos, a video and a recording."""
    photos(folder, 12)
    video(folder / 'clip.avi', 3)
    record(folder / 'rec', cameras(3))
    return str(folder)


def without_manifests(folder):
    """The files that are no job's own."""
    return {name: data for name, data in contents(folder).items() if not name.startswith('.depth')}


def test_shares():
    """Each input is in one share, whatever the others are; the shares are about as large."""
    sources = [Source(Path(f'/in/{i}.png'), 'photo', str(i)) for i in range(1000)]
    shares = [share(sources, k, 4) for k in (1, 2, 3, 4)]
    assert sorted(source.name for one in shares for source in one) == sorted(map(str, range(1000)))
    assert all(200 < len(one) < 300 for one in shares)
    assert share(sources[500:], 2, 4) == [source for source in shares[1] if source in sources[500:]]
    assert share(sources, 1, 1) == sources


def test_jobs_at_the_same_time(tmp_path, capsys):
    """Three at once give what one gives; a later run finds everything done."""
    args = ['convert', everything(tmp_path / 'in'), *CAMERA, *DEMO, '--write', 'ply']
    assert main([*args, '-o', str(tmp_path / 'once')]) == 0
    words = [sys.executable, '-m', 'depth_pcd_ros.cli', *args, '-o', str(tmp_path / 'out')]
    jobs = [
        subprocess.Popen([*words, '--shard', f'{k}/3'], cwd=ROOT, stderr=subprocess.DEVNULL)
        for k in (1, 2, 3)
    ]
    assert [job.wait(100) for job in jobs] == [0, 0, 0]
    assert without_manifests(tmp_path / 'out') == without_manifests(tmp_path / 'once')
    capsys.readouterr()
    args += ['-o', str(tmp_path / 'out')]
    assert main([*args, '--resume']) == 0
    told = capsys.readouterr().err
    assert told.splitlines()[-1] == 'depth-pcd convert: 0 converted, 14 there already'
    assert main([*args, '--resume', '--shard', '2/3']) == 0
    assert main([*args, '--resume', '--shard', '1/5']) == 0


def test_other_options(tmp_path, capsys):
    """A job notices what another one, or a run without shares, has made with others."""
    args = ['convert', photos(tmp_path / 'in', 4), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    for k in (1, 2):
        assert main([*args, '--shard', f'{k}/2']) == 0
    assert main([*args, '--resume', '--stride', '2']) == 2
    assert '--stride was 1, is 2' in capsys.readouterr().err
    assert main([*args, '--resume', '--stride', '2', '--force']) == 0
    assert main([*args, '--resume', '--stride', '2']) == 0  # the last one counts
    assert main([*args, '--resume', '--shard', '1/2']) == 2


def test_a_share_of_nothing(tmp_path, capsys):
    """More jobs than inputs: those without one end at once, and well."""
    args = ['convert', photos(tmp_path / 'in', 1), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    told = []
    for k in range(1, 6):
        assert main([*args, '--shard', f'{k}/5']) == 0
        told.append(capsys.readouterr().err)
    assert sum('/5 has 0 of the inputs' in err for err in told) == 4
    assert 'below' in listed(tmp_path / 'out')


@pytest.mark.parametrize('text', ['0/3', '4/3', '1', '1/0', 'a/b', '1/2/3'])
def test_no_shares(tmp_path, text):
    """Argparse refuses them."""
    with pytest.raises(SystemExit) as error:
        main(['convert', 'x.png', '-o', str(tmp_path), '--shard', text])
    assert error.value.code == 2


def test_photos_that_are_a_sequence(tmp_path):
    """With the temporal filter those of a folder stay together, and come out as in one run."""
    sources = [
        Source(Path(f'/in/{f}/{i}.png'), 'photo', f'{f}/{i}') for f in 'abcd' for i in (1, 2)
    ]
    shares = [share(sources, k, 3, by_folder=True) for k in (1, 2, 3)]
    assert sorted(source for one in shares for source in one) == sorted(sources)
    folders = [{source.path.parent for source in one} for one in shares]
    assert sum(map(len, folders)) == 4
    assert [len(part.sources) for part in _parts(sources, by_folder=True)] == [2, 2, 2, 2]
    assert [len(part.sources) for part in _parts(sources, by_folder=False)] == [8]

    args = ['convert', photos(tmp_path / 'in', 6), *CAMERA, *DEMO, '--temporal-filter', '0.8']
    assert main([*args, '-o', str(tmp_path / 'once')]) == 0
    for k in (1, 2):
        assert main([*args, '-o', str(tmp_path / 'out'), '--shard', f'{k}/2']) == 0
    assert without_manifests(tmp_path / 'out') == without_manifests(tmp_path / 'once')
