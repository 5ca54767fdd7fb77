# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2 against recorded official outputs (data/golden/README.md), and its loader.

`test_engine.py` compares the smallest size through the engine, from file to metres.
"""

import os
import re
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from depth_pcd_ros.networks.family import CheckpointError, Family
from depth_pcd_ros.networks.modules import depth_anything_v2
from depth_pcd_ros.networks.modules.depth_anything_v2 import DepthAnythingV2
from depth_pcd_ros.networks.modules.dinov2 import ENCODERS
from depth_pcd_ros.networks.preprocess import resize_normalised
from test.support import golden

NAME = 'depth_anything_v2_metric_hypersim_vits.pth'


def built(encoder, max_depth, weights):
    """Make a network around weights, without the time for initial values."""
    with torch.device('meta'):
        network = DepthAnythingV2(ENCODERS[encoder], max_depth)
    network.load_state_dict(weights, assign=True)
    return network.eval()


@pytest.fixture(scope='module')
def weights():
    """Made-up weights of a ViT-S."""
    return golden.weights('dav2_vits', 3)


@pytest.fixture(scope='module')
def network(weights):
    """A ViT-S with these weights."""
    return built('vits', 20.0, weights)


@pytest.fixture
def state():
    """A state dict of a ViT-S that takes a few kilobytes on disk: all its values are one zero."""
    return {key: torch.zeros(()).expand(shape) for key, shape in golden.shapes('dav2_vits').items()}


@pytest.mark.parametrize('encoder', ['vits', 'vitb', 'vitl'])
def test_keys_and_shapes_are_official(encoder):
    """The state dict has the keys and shapes of the official one, no more and no fewer."""
    with torch.device('meta'):
        network = DepthAnythingV2(ENCODERS[encoder], 20.0)
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert found == golden.shapes(f'dav2_{encoder}')


@pytest.mark.parametrize('case', [3, 4])
def test_larger_sizes_give_official_depth(case):
    """ViT-B and ViT-L, which differ from ViT-S in every number of their configuration."""
    recorded = golden.load('more')
    encoder, seed, max_depth, rgb, net_hw, expected = (
        recorded[f'{name}_{case}']
        for name in ('encoder', 'seed', 'max_depth', 'rgb', 'net_hw', 'depth')
    )
    network = built(str(encoder), float(max_depth), golden.weights(f'dav2_{encoder}', int(seed)))
    x = np.empty((3, *net_hw), np.float32)
    resize_normalised(rgb, Family.mean, Family.std, x)
    with torch.inference_mode():
        depth = network(torch.from_numpy(x)[None])
    assert depth.shape == (1, *net_hw)
    depth = F.interpolate(depth[None], rgb.shape[:2], mode='bilinear', align_corners=True)
    np.testing.assert_allclose(depth[0, 0].numpy(), expected, rtol=0, atol=1e-3)


def test_a_batch_is_its_pictures(network):
    """Two pictures at once give what each gives alone."""
    pictures = torch.randn(2, 3, 42, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both = network(pictures)
        alone = torch.cat([network(picture[None]) for picture in pictures])
    assert both.shape == (2, 42, 56)
    torch.testing.assert_close(both, alone, rtol=0, atol=1e-4)


def test_a_size_off_the_patches_is_refused(network):
    """14 does not divide 43."""
    with pytest.raises(ValueError, match='43x56 px, expected multiples of 14'):
        network(torch.zeros(1, 3, 43, 56))


def test_position_embeddings_are_computed_once_per_size_and_not_hoarded(weights):
    """The same tensor comes back; many sizes do not pile up; new weights are not missed."""
    encoder = built('vits', 20.0, weights).pretrained
    first = encoder.positions((18, 24))
    assert encoder.positions((18, 24)) is first
    assert torch.equal(encoder.positions((37, 37)), encoder.pos_embed)
    for rows in range(1, 30):
        assert encoder.positions((rows, 24)).shape == (1, 1 + rows * 24, 384)
    assert encoder.positions((18, 24)) is not first

    before, state = encoder.positions((18, 24)), encoder.state_dict()
    encoder.load_state_dict(state | {'pos_embed': 2 * state['pos_embed']}, assign=True)
    torch.testing.assert_close(encoder.positions((18, 24)), 2 * before)


def test_loads_what_was_saved(tmp_path, weights):
    """Every weight of a .pth, a pre-2020 .pth, a .safetensors and a half-precision file."""
    torch.save(weights, tmp_path / NAME)
    torch.save(weights, tmp_path / f'old_{NAME}', _use_new_zipfile_serialization=False)
    save_file(weights, tmp_path / 'our_metric_vkitti.safetensors')
    torch.save({key: value.half() for key, value in weights.items()}, tmp_path / f'half_{NAME}')
    for path in tmp_path.iterdir():
        network = depth_anything_v2.load(path)
        assert network.max_depth == (80 if 'vkitti' in path.name else 20)
        assert not network.training
        for key, value in network.state_dict().items():
            expected = weights[key].half().float() if 'half' in path.name else weights[key]
            assert torch.equal(value, expected), (path.name, key)
    assert depth_anything_v2.load(tmp_path / NAME, max_depth=7.5).max_depth == 7.5


def test_a_loaded_network_does_not_depend_on_its_file(tmp_path, state):
    """A file that is overwritten or cut short later must not change or crash the network."""
    torch.save(state, tmp_path / NAME)
    network = depth_anything_v2.load(tmp_path / NAME)
    os.truncate(tmp_path / NAME, 0)
    assert all(not value.any() for value in network.state_dict().values())


def refused(path, state, reason):
    """Save a state and check that loading it is refused for the reason, with the file's name."""
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        depth_anything_v2.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (
            {'pretrained.mask_token': None, 'depth_head.projects.0.bias': None},
            r'lacks 2 keys \(pretrained.mask_token, depth_head.projects.0.bias\)',
        ),
        ({'head.a': (1,)}, r'has 1 key \(head.a\) too many'),
        ({f'head.{i}': (1,) for i in range(9)}, r'9 keys \(head.0, head.1, head.2, \.\.\.\)'),
        (
            {'pretrained.norm.bias': (385,)},
            r'other shapes in 1 key \(pretrained.norm.bias \(385,\) instead of \(384,\)\)',
        ),
        ({'pretrained.pos_embed': (1, 1370, 1536)}, 'width of 1536, expected 384'),
        ({'pretrained.pos_embed': ()}, 'width of 0, expected 384'),
        ({'pretrained.pos_embed': (1, 257, 384)}, r'\(1, 257, 384\) instead of \(1, 1370, 384\)'),
        ({'pretrained.pos_embed': None}, 'not a Depth Anything V2 checkpoint: it has 238 keys'),
        (
            {'pretrained.norm.bias': (768,), 'x': (1,), 'pretrained.norm.weight': None},
            'lacks 1 key .*; it has 1 key .* too many; it has other shapes in 1 key',
        ),
    ],
)
def test_other_keys_and_shapes_are_refused(tmp_path, state, changes, reason):
    """Missing, extra, misshapen: named, up to three, and counted."""
    for key, shape in changes.items():
        if shape is None:
            del state[key]
        else:
            state[key] = torch.zeros(()).expand(shape)
    refused(tmp_path / NAME, state, reason)


def test_integers_are_not_weights(tmp_path, state):
    """Right key and shape, but quantised."""
    state['pretrained.norm.bias'] = torch.zeros(384, dtype=torch.int8)
    refused(tmp_path / NAME, state, r'pretrained.norm.bias torch.int8')


OPTIMIZER = {
    'state': {0: {'step': torch.tensor(3.0), 'exp_avg': torch.zeros(4)}},
    'param_groups': [{'lr': 5e-6, 'params': [0]}],
}
BEST = {'d1': torch.tensor(0.9), 'rmse': torch.tensor(0.3)}


@pytest.mark.parametrize(
    'prefix', ['', 'module.', '_orig_mod.', 'module._orig_mod.', '_orig_mod.module.']
)
def test_a_training_checkpoint(tmp_path, state, prefix):
    """The official training script wraps the state dict of a DistributedDataParallel.

    torch.compile adds a prefix of its own.
    """
    trained = {f'{prefix}{key}': value for key, value in state.items()}
    content = {'model': trained, 'optimizer': OPTIMIZER, 'epoch': 3, 'previous_best': BEST}
    torch.save(content, tmp_path / NAME)
    loaded = depth_anything_v2.load(tmp_path / NAME)
    assert loaded.state_dict().keys() == state.keys()


def test_a_training_checkpoint_with_two_models(tmp_path, state):
    """Which of them is wanted is for the user."""
    content = {'model': state, 'ema': state, 'epoch': 3}
    refused(tmp_path / NAME, content, r'3 keys \(model, ema, epoch\).*2 parts \(model, ema\)')
    refused(tmp_path / NAME, {'optimizer': OPTIMIZER, 'epoch': 3}, 'no part with only tensors')
    refused(tmp_path / NAME, {**state, 'epoch': 3}, r'1 key \(epoch\) that are not tensors')


def test_a_list_is_refused(tmp_path):
    """Something that torch reads, but no state dict."""
    refused(tmp_path / NAME, [torch.zeros(1)], 'holds a list')


def test_a_relative_depth_checkpoint_is_refused(tmp_path, state):
    """Same keys, but the name has no metric data set; with max_depth the caller vouches for it."""
    path = tmp_path / 'depth_anything_v2_vits.pth'
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r'depth_anything_v2_vits.pth.*relative-depth'):
        depth_anything_v2.load(path)
    assert depth_anything_v2.load(path, max_depth=20).max_depth == 20


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        """Ask for a call."""
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('new_format', [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, state, new_format):
    """A pickle that calls a function is refused, the function named and not called."""
    path, trace = tmp_path / NAME, tmp_path / 'was_run'
    torch.save(state | {'x': Code(trace)}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r'posix.mkdir, which is code') as caught:
        depth_anything_v2.load(path)
    assert 'weights_only' not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('size', [0, 7, 1000, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, state, suffix, size):
    """Cut anywhere, in either format."""
    path = tmp_path / f'our_metric_hypersim{suffix}'
    if suffix == '.pth':
        torch.save(state, path)
    else:
        save_file({'pretrained.norm.bias': torch.zeros(2000)}, path)
    os.truncate(path, size if isinstance(size, int) else int(size * path.stat().st_size))
    with pytest.raises(CheckpointError, match=re.escape(f'{path} cannot be read')):
        depth_anything_v2.load(path)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize(
    'content', [b'<!DOCTYPE html><html>404</html>', b'version https://git-lfs.github.com/spec/v1\n']
)
def test_something_else_is_refused(tmp_path, suffix, content):
    """What a browser or git leaves where a checkpoint should be."""
    path = tmp_path / f'our_metric_hypersim{suffix}'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f'cannot be read.*{len(content)} bytes'):
        depth_anything_v2.load(path)


def test_damaged_files_raise_nothing_else(tmp_path, state):
    """A few hundred files with random damage: loaded or refused, never another error."""
    rng = np.random.default_rng(0)
    torch.save(state, tmp_path / NAME, _use_new_zipfile_serialization=False)
    content = np.frombuffer((tmp_path / NAME).read_bytes(), np.uint8)
    refusals = 0
    for _ in range(200):
        damaged = content.copy()
        damaged[rng.integers(len(damaged), size=5)] = rng.integers(256, size=5)
        (tmp_path / NAME).write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of pickle protocols
            try:
                depth_anything_v2.load(tmp_path / NAME)
            except CheckpointError:
                refusals += 1
    assert refusals > 100


def test_no_file(tmp_path):
    """Missing, or a directory."""
    with pytest.raises(CheckpointError, match='does not exist'):
        depth_anything_v2.load(tmp_path / NAME)
    with pytest.raises(CheckpointError, match='is a directory'):
        depth_anything_v2.load(tmp_path)
