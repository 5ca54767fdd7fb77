# SPDX-License-Identifier: Apache-2.0
"""Pictures of one size go through the network together, with what they give alone."""

import numpy as np
import pytest
from PIL import Image

from depth_pcd_ros.cli import main
from depth_pcd_ros.engine.torch_engine import TorchEngine
from depth_pcd_ros.errors import DeviceLostError, FrameError

from ..support.converting import CAMERA, DEMO, contents, smooth


@pytest.fixture
def folder(tmp_path):
    """Eight photos, the fourth of another size, the sixth cut off."""
    (tmp_path / 'in').mkdir()
    for i in range(8):
        width, height = (112, 84) if i == 3 else (56, 42)
        Image.fromarray(smooth(i, width, height)).save(tmp_path / 'in' / f'{i}.png')
    cut = tmp_path / 'in' / '5.png'
    cut.write_bytes(cut.read_bytes()[:-20])
    return tmp_path / 'in'


def convert(folder, out, *options):
    """Run the command; return the exit code and the depths by name."""
    args = ['convert', str(folder), '-o', str(out), *CAMERA, '--size', '56x42', *DEMO]
    code = main([*args, '--write', 'npy', *options])
    return code, {name: np.load(out / name) for name in contents(out)}


@pytest.fixture
def sizes(monkeypatch):
    """How many pictures the network got in each run."""
    found = []
    infer_batch = TorchEngine.infer_batch

    def watched(engine, pictures, *others):
        found.append(len(pictures))
        return infer_batch(engine, pictures, *others)

    monkeypatch.setattr(TorchEngine, 'infer_batch', watched)
    return found


def test_same_depth(tmp_path, folder, sizes):
    """Batches of three give what single pictures give, and what fails is told as before."""
    code, alone = convert(folder, tmp_path / 'alone')
    assert code == 1
    assert sizes == [1] * 7  # the default on a CPU
    sizes.clear()
    code, together = convert(folder, tmp_path / 'together', '--batch', '3')
    assert code == 1
    assert sizes == [3, 1, 3]
    assert set(alone) == set(together) == {f'{i}.depth.npy' for i in (0, 1, 2, 3, 4, 6, 7)}
    for name, depth in alone.items():
        np.testing.assert_allclose(together[name], depth, rtol=1e-4, atol=0)


def test_a_picture_that_fails_fails_alone(tmp_path, folder, monkeypatch, capsys):
    """Where the network fails on a batch, its pictures are tried one by one."""
    infer_batch = TorchEngine.infer_batch

    def failing(engine, pictures, *others):
        for rgb in pictures:
            if np.array_equal(rgb, smooth(1)):
                raise FrameError('network_not_finite', 'the network gives NaN')
        return infer_batch(engine, pictures, *others)

    _, expected = convert(folder, tmp_path / 'alone')
    monkeypatch.setattr(TorchEngine, 'infer_batch', failing)
    capsys.readouterr()
    code, found = convert(folder, tmp_path / 'together', '--batch', '4')
    assert code == 1
    assert set(expected) - set(found) == {'1.depth.npy'}
    told = capsys.readouterr().err
    assert told.count('1.png: the network gives NaN') == 1
    assert told.splitlines()[-1] == 'depth-pcd convert: 6 converted, 2 failed'


def test_a_batch_that_does_not_fit(tmp_path, folder, monkeypatch):
    """No room for a batch is no failure: its pictures are small enough."""
    infer_batch = TorchEngine.infer_batch

    def small_device(engine, pictures, *others):
        if len(pictures) > 1:
            raise FrameError('out_of_memory', f'{len(pictures)} images do not fit')
        return infer_batch(engine, pictures, *others)

    (folder / '5.png').unlink()
    code, expected = convert(folder, tmp_path / 'alone')
    assert code == 0
    monkeypatch.setattr(TorchEngine, 'infer_batch', small_device)
    code, found = convert(folder, tmp_path / 'together', '--batch', '4')
    assert code == 0
    assert set(found) == set(expected)


@pytest.mark.parametrize('text', ['-1', 'x', '1000'])
def test_usage(tmp_path, text):
    """What is no number of pictures is refused."""
    with pytest.raises(SystemExit) as info:
        main(['convert', 'x.png', '-o', str(tmp_path), '--batch', text])
    assert info.value.code == 2


def test_a_device_that_is_lost_ends_it(folder, tmp_path, monkeypatch, capsys):
    """Once, instead of once for each picture; what was there before stays (the loss is a fake)."""
    infer, runs = TorchEngine._infer, []

    def lost(self, x):
        runs.append(len(x))
        if len(runs) > 2:
            raise DeviceLostError('cuda:0: CUDA error: an illegal memory access')
        return infer(self, x)

    monkeypatch.setattr(TorchEngine, '_infer', lost)
    code, found = convert(folder, tmp_path / 'out')
    told = capsys.readouterr().err
    assert code == 1
    assert len(runs) == 3
    assert set(found) <= {'0.depth.npy', '1.depth.npy'}
    assert 'convert: cuda:0: CUDA error: an illegal memory access: no picture would do be' in told
    assert '--resume' in told
