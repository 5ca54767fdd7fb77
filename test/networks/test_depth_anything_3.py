# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 metric against recorded official outputs (data/golden/README.md), its loader."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks.checkpoints import resolve
from depth_pcd_ros.networks.depth_anything_3 import DepthAnything3
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.networks.modules import depth_anything_3
from depth_pcd_ros.networks.modules.depth_anything_3 import DepthAnything3 as Network
from depth_pcd_ros.networks.modules.dinov2 import ENCODERS
from depth_pcd_ros.option import SettingsError
from test.support import golden

CASES = [('vits', i) for i in range(5)] + [('vitl', i) for i in range(2)]


@pytest.fixture(scope='module')
def networks():
    """The networks of both recordings."""
    made = {}
    for encoder in ('vits', 'vitl'):
        weights = golden.weights(f'da3_{encoder}', int(golden.load(f'da3_{encoder}')['seed']))
        with torch.device('meta'):
            made[encoder] = Network(ENCODERS[encoder])
        bare = {key.removeprefix('model.'): value for key, value in weights.items()}
        made[encoder].load_state_dict(bare, assign=True)
    return made


@pytest.fixture
def state():
    """A state dict of a ViT-S that takes a few kilobytes on disk: all its values are one zero."""
    return {key: torch.zeros(()).expand(shape) for key, shape in golden.shapes('da3_vits').items()}


@pytest.mark.parametrize('encoder', ['vits', 'vitl'])
def test_keys_and_shapes_are_official(networks, encoder):
    """The state dict has the keys and shapes of the official one, no more and no fewer."""
    state = networks[encoder].state_dict()
    found = {f'model.{key}': tuple(value.shape) for key, value in state.items()}
    assert found == golden.shapes(f'da3_{encoder}')


@pytest.mark.parametrize(('encoder', 'case'), CASES)
def test_official_depth_sky_and_metres(networks, encoder, case):
    """From the picture to metres at the network's size, within 1e-3 of the official figures."""
    recorded = golden.case('da3_' + encoder, case)
    rgb, k = recorded['rgb'], recorded['k']
    network = DepthAnything3(Path(), input_size=golden.long_side(recorded))
    size = network.network_size(*rgb.shape[:2])
    assert size == tuple(recorded['net_hw'])
    x = np.empty((3, *size), np.float32)
    network.enter(rgb, x)
    with torch.inference_mode():
        depth, sky = networks[encoder](torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(depth, recorded['raw'], rtol=1e-3)
    np.testing.assert_allclose(sky, recorded['sky'], rtol=1e-3, atol=1e-4)
    camera = Camera(rgb.shape[1], rgb.shape[0], k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    assert network.factor(camera) * 300 == pytest.approx(float(recorded['focal_net']), rel=1e-6)
    metres = network.metres(np.stack([depth, sky]), camera)
    is_sky = recorded['sky'] >= 0.3
    near = np.abs(recorded['sky'] - 0.3) < 1e-3  # may fall on either side
    np.testing.assert_array_equal(np.isnan(metres)[~near], is_sky[~near])
    kept = ~is_sky & ~near
    np.testing.assert_allclose(metres[kept], recorded['metres'][kept], rtol=1e-3)


@pytest.mark.parametrize(
    ('height', 'width', 'input_size', 'expected'),
    [
        # the long side; the other rounded to pixels, then to the nearest multiple of 14
        (480, 640, 504, (378, 504)),
        (1080, 1920, 504, (280, 504)),  # 283.5 -> 284 (half to even) -> 280
        (2160, 3840, 252, (140, 252)),  # 141.75 -> 142 -> 140
        (640, 480, 504, (504, 378)),
        (497, 504, 504, (504, 504)),  # 497 is as far from 490 as from 504: up
        (100, 1000, 504, (56, 504)),  # 50.4 -> 50 -> 56
        (4000, 201, 504, (504, 28)),
        (20, 400, 14, (14, 14)),  # never less than a patch
        (480, 640, 500, (378, 504)),
    ],
)
def test_network_size_by_hand(height, width, input_size, expected):
    """Wide, tall, 4K, and sizes that are no multiple of 14."""
    network = DepthAnything3(Path(), input_size=input_size)
    assert network.network_size(height, width) == expected
    rgb = np.zeros((height, width, 3), np.uint8)
    assert network.reduced(rgb, expected).shape == (*expected, 3)


def test_reduced_by_hand():
    """2 x 2 pixels become their mean; one step where the first already gives multiples of 14."""
    rgb = np.random.default_rng(0).integers(0, 256, (28, 56, 3), np.uint8)
    network = DepthAnything3(Path(), input_size=28)
    means = rgb.reshape(14, 2, 28, 2, 3).astype(float).mean(axis=(1, 3))
    small = network.reduced(rgb, network.network_size(28, 56))
    assert np.abs(small - means).max() <= 0.5
    enlarged = DepthAnything3(Path(), input_size=112).reduced(rgb, (56, 112))
    np.testing.assert_array_equal(enlarged, cv2.resize(rgb, (112, 56), None, 0, 0, cv2.INTER_CUBIC))
    same = DepthAnything3(Path(), input_size=56).reduced(rgb, (28, 56))
    np.testing.assert_array_equal(same, rgb)


def test_metres_follow_the_focal_length_at_the_network():
    """Binning changes nothing there; a region of half the size doubles it; so does the lens."""
    network = DepthAnything3(Path())
    full = Camera(640, 480, 525.0, 535.0, 319.5, 239.5)
    factor = network.factor(full)
    assert factor == pytest.approx((525 + 535) / 2 * 504 / 640 / 300)
    binned = Camera(320, 240, 262.5, 267.5, 159.5, 119.5)
    assert network.factor(binned) == pytest.approx(factor, rel=5e-3)
    region = Camera(320, 240, 525.0, 535.0, 159.5, 119.5)
    assert network.factor(region) == pytest.approx(2 * factor, rel=5e-3)
    longer = Camera(640, 480, 1050.0, 1070.0, 319.5, 239.5)
    assert network.factor(longer) == pytest.approx(2 * factor)
    lens = ('equidistant', (0.1, 0.0, 0.0, 0.0))
    fisheye = Camera(640, 480, 525.0, 535.0, 319.5, 239.5, *lens)
    assert network.factor(fisheye) == factor


def test_depth_has_no_end_unless_one_is_asked_for():
    """max_depth does not grow with the focal length: it is in metres of the scene."""
    camera = Camera(640, 480, 3000.0, 3000.0, 319.5, 239.5)
    assert DepthAnything3(Path()).farthest(camera) == math.inf
    assert DepthAnything3(Path(), 30.0).farthest(camera) == 30.0
    with pytest.raises(CheckpointError, match='max_depth is -1'):
        DepthAnything3(Path(), -1.0)


def test_focal_correction_is_refused():
    """It would count the focal length twice."""
    with pytest.raises(SettingsError, match='focal_correction is true, expected false'):
        DepthAnything3(Path(), focal_correction=True)


@pytest.mark.parametrize('prefix', ['model.', ''])
@pytest.mark.parametrize('suffix', ['safetensors', 'pth'])
def test_loads_what_was_saved(tmp_path, prefix, suffix):
    """With and without the hub's prefix, in either format; told by its keys; half becomes float."""
    weights = golden.weights('da3_vits', 3)
    weights = {key.replace('model.', prefix, 1): value.half() for key, value in weights.items()}
    path = tmp_path / f'any.{suffix}'
    (save_file if suffix == 'safetensors' else torch.save)(weights, path)
    found = resolve(str(path))
    assert (found.family, found.licence) == ('depth_anything_3', '')
    network = depth_anything_3.load(path)
    assert not network.training
    os.truncate(path, 0)  # the network does not depend on it
    for key, value in network.state_dict().items():
        assert torch.equal(value, weights[prefix + key].float())


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'model.cam_enc.x': (1,)}, 'but an any-view one, whose depth is relative'),
        ({'model.backbone.pretrained.camera_token': (1, 2, 384)}, 'but an any-view one'),
        ({'model.head.scratch.output_conv2_aux.0.0.weight': (1,)}, 'but an any-view one'),
        ({'model.da3_metric.backbone.pretrained.pos_embed': (1,)}, 'but the nested one'),
        (
            {f'model.head.scratch.sky_output_conv2.{i}': None for i in ('0.weight', '0.bias')},
            'but one without sky, whose depth is relative',
        ),
        ({'model.head.projects.0.bias': None}, r'lacks 1 key \(head.projects.0.bias\)'),
        ({'model.head.more': (1,)}, r'has 1 key \(head.more\) too many'),
        ({'model.head.projects.0.bias': (47,)}, r'\(47,\) instead of \(48,\)'),
        ({'model.backbone.pretrained.pos_embed': (1, 1370, 768)}, 'lacks|other shapes'),
        ({'model.backbone.pretrained.pos_embed': (1, 1370, 1536)}, 'width of 1536, expected 384'),
    ],
)
@pytest.mark.parametrize('suffix', ['safetensors', 'pth'])
def test_others_are_refused_by_what_they_are(tmp_path, state, changes, reason, suffix):
    """The other networks of Depth Anything 3, and those that lack something."""
    for key, shape in changes.items():
        if shape is None:
            del state[key]
        else:
            state[key] = torch.zeros(()).expand(shape)
    path = tmp_path / f'model.{suffix}'
    if suffix == 'safetensors':
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    assert resolve(str(path)).family == 'depth_anything_3'
    with pytest.raises(CheckpointError, match=reason) as caught:
        depth_anything_3.load(path)
    assert str(path) in str(caught.value)


def test_a_nested_file_is_refused(tmp_path):
    """As the hub has it: two networks below `model.`, none of them where the metric one has it."""
    path = tmp_path / 'model.safetensors'
    names = ('da3.backbone.pretrained.pos_embed', 'da3_metric.head.projects.0.bias')
    save_file({f'model.{name}': torch.zeros(1) for name in names}, path)
    assert resolve(str(path)).family == 'depth_anything_3'
    with pytest.raises(CheckpointError, match='but the nested one'):
        depth_anything_3.load(path)


def test_the_relative_one_has_the_same_keys_and_is_told_by_what_is_beside_it(tmp_path, state):
    """Its config.json, its folder, or its own name."""
    folder = tmp_path / 'DA3MONO-LARGE'
    folder.mkdir()
    torch.save(state, tmp_path / 'model.pth')
    torch.save(state, tmp_path / 'da3mono.pth')
    torch.save(state, folder / 'model.pth')
    depth_anything_3.load(tmp_path / 'model.pth')
    for path in (tmp_path / 'da3mono.pth', folder / 'model.pth'):
        with pytest.raises(CheckpointError, match='relative one for single pictures'):
            depth_anything_3.load(path)
    config = tmp_path / 'config.json'
    for text in ('{"model_name": "da3metric-large"}', '[]', '{', '{"model_name": null}'):
        config.write_text(text)
        depth_anything_3.load(tmp_path / 'model.pth')
    config.write_text(json.dumps({'model_name': 'da3mono-large'}))
    with pytest.raises(CheckpointError, match='relative one for single pictures'):
        depth_anything_3.load(tmp_path / 'model.pth')


def test_code_in_a_checkpoint_is_not_run(tmp_path, state):
    """Neither while its family is looked for nor while it is loaded."""

    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'was_run'),)

    path = tmp_path / 'da3.pth'
    torch.save(state | {'x': Code()}, path)
    assert resolve(str(path)).family == 'depth_anything_3'
    with pytest.raises(CheckpointError, match=r'posix.mkdir, which is code'):
        depth_anything_3.load(path)
    assert not (tmp_path / 'was_run').exists()


@pytest.mark.parametrize('size', [0, 7, 1000, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, size):
    """Cut anywhere, with its keys still there or not."""
    path = tmp_path / 'da3.safetensors'
    save_file({'model.backbone.pretrained.pos_embed': torch.zeros(2000)}, path)
    os.truncate(path, size if isinstance(size, int) else int(size * path.stat().st_size))
    with pytest.raises(CheckpointError, match=re.escape(f'{path} cannot be read')):
        depth_anything_3.load(path)


LOAD = """
import re, sys, threading, time
from depth_pcd_ros.networks.modules import depth_anything_3

def resident():
    return int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024

def watch():
    global peak
    while not done:
        peak = max(peak, resident())
        time.sleep(0.001)

before = peak = resident()
done = False
watcher = threading.Thread(target=watch)
watcher.start()
network = depth_anything_3.load(sys.argv[1])
done = True
watcher.join()
print(peak - before)
"""


def test_memory_while_it_loads(tmp_path):
    """At most twice the file, what is mapped of it counted, in a process of its own."""
    path = tmp_path / 'da3.safetensors'
    save_file(golden.weights('da3_vits', 3), path)
    run = subprocess.run(
        [sys.executable, '-c', LOAD, path], capture_output=True, text=True, check=True, timeout=100
    )
    assert int(run.stdout) < 2 * path.stat().st_size
