# SPDX-License-Identifier: Apache-2.0
"""Which files are found, and the names of what comes of them."""

import os
import tempfile
from pathlib import Path

import pytest

from depth_pcd_ros.convert.outputs import WRITERS
from depth_pcd_ros.inputs.sources import PHOTOS, InputsError, find


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two folders with a photo of the same name, a recording, and what is no input."""
    for name in ('in/a/p.png', 'in/b/p.png', 'in/b/clip.mp4', 'in/rec/metadata.yaml'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ('in/rec/rec.mcap', 'in/notes.md', 'in/.hidden.png', 'in/p.JPG', 'in/p.png'):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs, out):
    """Kind and name of each input found."""
    return [(source.kind, source.name) for source in find(inputs, out)]


def test_folder(tree):
    """All below it, in order, with the folders in the names; the endings where names clash."""
    assert names(['in'], tree / 'out') == [
        ('photo', 'a/p'),
        ('video', 'b/clip'),
        ('photo', 'b/p'),
        ('photo', 'p.JPG'),
        ('photo', 'p.png'),
        ('recording', 'rec'),
    ]


def test_the_order_is_that_of_the_numbers(tmp_path):
    """Without leading zeros, too, and stamps as decimals: the photos of a folder are a sequence."""
    for folder in ('2', '10'):
        for i in (*range(12), '1.25', '1.5'):
            (tmp_path / 'in' / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / 'in' / folder / f'{i}.png').touch()
    order = ['0', '1', '1.25', '1.5', *map(str, range(2, 12))]
    expected = [('photo', f'{folder}/{i}') for folder in ('2', '10') for i in order]
    assert names([str(tmp_path / 'in')], tmp_path / 'out') == expected
    found = names([str(tmp_path / 'in' / '2' / '*.png')], tmp_path / 'out')
    assert found == [('photo', i) for i in order]


@pytest.mark.parametrize(
    ('name', 'kind'),
    [
        ('DSC0001.HIF', 'photo'),
        ('download.jfif', 'photo'),
        ('stereo.MPO', 'photo'),
        ('00012.MTS', 'video'),
        ('00012.m2ts', 'video'),
        ('VID.3gp', 'video'),
        ('GL010001.LRV', 'video'),
    ],
)
def test_names_that_cameras_give(tree, name, kind):
    """They need not be renamed."""
    (tree / name).touch()
    assert names([name], tree / 'out') == [(kind, name.partition('.')[0])]


def test_what_is_left_out_is_said(tree):
    """Other files of a folder, by their endings; hidden ones are not told."""
    for name in ('in/a/p.gif', 'in/b/q.gif', 'in/Makefile'):
        (tree / name).touch()
    said = []
    assert ('photo', 'a/p') in [source[1:] for source in find(['in'], tree / 'out', said.append)]
    assert said == [
        'left out, because they are no photos, videos or recordings: 2 .gif, 1 .md, 1 Makefile'
    ]


@pytest.mark.parametrize('inputs', [['in/a/p.png', 'in/b/p.png'], ['in/?/p.png']])
def test_names_tell_files_of_one_name_apart(tree, inputs):
    """Files named one by one, or by a glob."""
    assert names(inputs, tree / 'out') == [('photo', 'a/p'), ('photo', 'b/p')]


def test_one_file(tree):
    """Its own name."""
    assert names(['in/a/p.png'], tree / 'out') == [('photo', 'p')]
    assert names(['in/rec'], tree / 'out') == [('recording', 'rec')]


@pytest.fixture
def locked():
    """A folder of an unprivileged user, with a photo and a folder that may not be looked into."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'lost+found').mkdir()
        (Path(folder) / 'p.png').touch()
        for name, mode in (('lost+found', 0o000), ('', 0o755)):
            (Path(folder) / name).chmod(mode)
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)
            (Path(folder) / 'lost+found').chmod(0o755)


def test_folder_that_may_not_be_read(locked):
    """It is an input that fails, and so is a file in it; the others are found."""
    found = names([str(locked)], locked / 'out')
    assert found == [('unknown', 'lost+found'), ('photo', 'p')]
    assert names([str(locked / 'lost+found' / 'q.png')], locked / 'out') == [('unknown', 'q')]


def test_tilde(tree, monkeypatch):
    """~ is the home folder, also in a glob; a name may begin with it all the same."""
    (tree / '~copy.png').touch()
    monkeypatch.setenv('HOME', str(tree / 'in'))
    assert names(['~copy.png'], tree / 'out') == [('photo', '~copy')]
    assert names(['~/a/*.png'], tree / 'out') == [('photo', 'p')]


def test_each_once(tree):
    """A file that is named twice is one input."""
    assert names(['in/a/p.png', 'in/b/../a', str(tree / 'in/a')], tree / 'out') == [('photo', 'p')]


def test_list(tree):
    """A .txt file has a path a line, from its own folder."""
    (tree / 'in/all.txt').write_text('a/p.png\n\n  b/clip.mp4\n')
    assert names(['in/all.txt'], tree / 'out') == [('photo', 'a/p'), ('video', 'b/clip')]


def test_recursive_glob(tree):
    """Two stars go through all folders."""
    assert names(['in/**/*.mp4'], tree / 'out') == [('video', 'clip')]


def test_results_are_no_inputs(tree):
    """An output folder within the input folder is left out; the input folder itself is refused."""
    (tree / 'in/out').mkdir()
    (tree / 'in/out/p.preview.png').touch()
    assert ('photo', 'out/p.preview') not in names(['in'], tree / 'in/out')
    with pytest.raises(InputsError, match='read and written'):
        find(['in'], tree / 'in')


def test_results_of_another_run_are_no_inputs(tree):
    """Wherever they are in a folder; one that is asked for by its name is taken."""
    endings = [one.ending for one in WRITERS.values() if one.ending.endswith(PHOTOS)]
    assert len(endings) == 2
    for ending in endings:
        (tree / f'in/a/q{ending}').touch()
    said = []
    found = [source.name for source in find(['in'], tree / 'out', said.append)]
    assert 'a/p' in found
    assert not [name for name in found if name.startswith('a/q')]
    assert '1 .depth.png' in said[0]
    assert '1 .preview.png' in said[0]
    assert names(['in/a/q.depth.png'], tree / 'out') == [('photo', 'q.depth')]


def test_video_beside_a_folder_of_its_name(tree):
    """They must not write into one folder."""
    (tree / 'in/b/clip').mkdir()
    (tree / 'in/b/clip/000000.png').touch()
    assert names(['in/b'], tree / 'out')[:2] == [('photo', 'clip/000000'), ('video', 'clip.mp4')]


def test_what_is_not_there_is_kept_to_be_reported(tree):
    """A missing file and a glob without a match are inputs that will fail."""
    found = names(['nothing.png', 'in/*.bmp', 'in/a/p.png'], tree / 'out')
    assert [kind for kind, _ in found] == ['unknown', 'unknown', 'photo']


def test_links(tree):
    """A link to a file is one; to a folder it is left out; one that leads nowhere will fail."""
    (tree / 'in/circle').symlink_to('.')
    (tree / 'in/here.png').symlink_to('p.png')
    (tree / 'in/nowhere.png').symlink_to('gone.png')
    (tree / 'in/itself.png').symlink_to('itself.png')
    found = names(['in'], tree / 'out')
    assert ('photo', 'here') in found
    assert [name for kind, name in found if kind == 'unknown'] == ['itself', 'nowhere']
    assert not [name for _, name in found if name.startswith('circle')]


def test_nothing_found(tree):
    """A folder without any input."""
    (tree / 'empty').mkdir()
    with pytest.raises(InputsError, match='no photo, video or recording in empty'):
        find(['empty'], tree / 'out')
