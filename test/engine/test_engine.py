# SPDX-License-Identifier: Apache-2.0
"""The engine from an official file to metres, against recorded official outputs."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pcd_ros import engine
from depth_pcd_ros.engine import EngineError
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.networks.depth_anything_v2 import DepthAnythingV2
from depth_pcd_ros.settings import EngineSettings, SettingsError
from test.support import golden
from test.support.fake_engine import all_seen, seen

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Paths of an indoor (seed 0) and of an outdoor checkpoint (seed 5)."""
    folder = tmp_path_factory.mktemp('checkpoints')
    paths = (
        golden.official_file(folder, golden.INDOOR, 0),
        golden.official_file(folder, golden.OUTDOOR, 5),
    )
    yield paths
    for path in paths:  # 100 MB each, which pytest would keep for three runs
        Path(path).unlink()


@pytest.fixture(scope='module')
def small(files):
    """An engine whose pictures are small at the network."""
    return engine.create(EngineSettings(files[0], input_size=56, device='cpu'))


@pytest.mark.parametrize('case', range(3))
def test_indoor_checkpoint_gives_official_depth(files, case):
    """Landscape, portrait and wide pictures, at 252 and 518."""
    recorded = golden.load('vits')
    rgb, expected = recorded[f'rgb_{case}'], recorded[f'depth_{case}']
    input_size = int(recorded[f'input_size_{case}'])
    made = engine.create(EngineSettings(files[0], input_size=input_size, device='cpu'))
    size = made.network.network_size(*rgb.shape[:2])
    assert size == tuple(recorded[f'net_hw_{case}'])
    depth = made.infer(*seen(rgb))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize('case', range(3))
def test_outdoor_checkpoint_gives_official_depth(files, case):
    """Other weights, 80 m, upscaled and downscaled pictures, at 392, 252 and 140."""
    recorded = golden.load('more')
    assert (str(recorded[f'encoder_{case}']), int(recorded[f'seed_{case}'])) == ('vits', 5)
    made = engine.create(
        EngineSettings(files[1], input_size=int(recorded[f'input_size_{case}']), device='cpu')
    )
    depth = made.infer(*seen(recorded[f'rgb_{case}']))
    np.testing.assert_allclose(depth, recorded[f'depth_{case}'], rtol=0, atol=1e-3)


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_half_precision_agrees_on_the_mean(files, precision):
    """Within 1 % of the official depth on average."""
    recorded = golden.load('more')
    made = engine.create(
        EngineSettings(files[1], input_size=140, device='cpu', precision=precision)
    )
    depth, expected = made.infer(*seen(recorded['rgb_2'])), recorded['depth_2']
    assert depth.dtype == np.float32
    assert np.mean(np.abs(depth - expected) / expected) < 0.01


def test_an_engine_tells_what_it_is(files):
    """The attributes that the pipeline and the reports read."""
    made = engine.create(EngineSettings(files[1], device='cpu'))
    assert (made.model, made.device, made.precision) == (files[1], 'cpu', 'fp32')
    assert (made.network.max_depth, made.network.input_size) == (80.0, 518)
    nearer = engine.create(EngineSettings(files[1], max_depth=35.5, device='cpu'))
    assert nearer.network.max_depth == 35.5


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_the_demo_model_is_an_engine_like_any_other(precision):
    """The bundled network by its name, with a size and a range of its own."""
    made = engine.create(EngineSettings('demo', device='cpu', precision=precision))
    assert made.network.input_size % 14 == 0
    depth = made.infer(*seen(RGB))
    assert depth.shape == (30, 40)
    assert depth.dtype == np.float32
    assert (depth > 0).all()
    assert (depth <= made.network.max_depth).all()


def test_any_view_of_a_picture_will_do(small):
    """Padded rows, reversed channels, a rotated or read-only array: as their contiguous copy."""
    padded = np.zeros((30, 50, 3), np.uint8)
    padded[:, :40] = RGB
    for view in (padded[:, :40], RGB[..., ::-1], RGB.transpose(1, 0, 2), RGB[::-2, ::3]):
        np.testing.assert_array_equal(
            small.infer(*seen(view)), small.infer(*seen(view.copy(order='C')))
        )
    frozen = RGB.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(small.infer(*seen(frozen)), small.infer(*seen(RGB)))


def test_depth_belongs_to_the_caller(small):
    """The next picture does not overwrite it, and it may be written to."""
    first = small.infer(*seen(RGB))
    kept = first.copy()
    small.infer(*seen(255 - RGB))
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(small.infer(*seen(RGB)), kept)


@pytest.mark.parametrize('model', ['demo', 'official'])
def test_a_batch_is_as_its_pictures_one_by_one(small, model):
    """Three different pictures, one of them a rotated view, to 1e-4 of the depth."""
    made = small if model == 'official' else engine.create(EngineSettings('demo', device='cpu'))
    pictures = [RGB, 255 - RGB, RGB[::-1, ::-1]]
    together = made.infer_batch(*all_seen(pictures))
    assert len(together) == 3
    for rgb, depth in zip(pictures, together, strict=True):
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, made.infer(*seen(rgb)), rtol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-3  # else any order would pass


def test_no_pictures_no_depth(small):
    """An empty batch is a batch."""
    assert small.infer_batch(*all_seen([])) == []


def test_a_batch_has_one_size(small):
    """Both sizes are named."""
    with pytest.raises(ValueError, match=r'\(30, 40, 3\), \(40, 30, 3\)'):
        small.infer_batch(*all_seen([RGB, RGB.transpose(1, 0, 2)]))


def test_another_thread_may_infer(small):
    """The node infers in a worker thread: no gradients there either."""
    results = []
    worker = threading.Thread(target=lambda: results.append(small.infer(*seen(RGB))))
    worker.start()
    worker.join()
    np.testing.assert_array_equal(results[0], small.infer(*seen(RGB)))


@pytest.mark.parametrize(
    'rgb',
    [
        RGB[..., 0],
        RGB[..., :2],
        RGB[None],
        RGB.astype(np.float32),
        RGB.astype(np.int8),
        RGB[:0],
        RGB[:, :0],
    ],
)
def test_what_is_not_a_picture_is_refused(small, rgb):
    """Shape and type are named."""
    with pytest.raises(ValueError, match=r'expected \(H, W, 3\) uint8') as caught:
        small.infer(*seen(rgb))
    assert str(rgb.shape) in str(caught.value)
    assert str(rgb.dtype) in str(caught.value)


def test_a_sliver_is_refused_before_it_stalls_the_node(small):
    """20:1 is the limit."""
    with pytest.raises(FrameError, match='41x2 px') as caught:
        small.infer(*seen(np.zeros((2, 41, 3), np.uint8)))
    assert caught.value.cause == 'aspect_ratio'
    assert small.infer(*seen(np.zeros((40, 2, 3), np.uint8))).shape == (40, 2)


def test_depth_that_is_not_finite_is_refused(tmp_path, files):
    """A NaN in the weights reaches the depth."""
    state = torch.load(files[0], weights_only=True)
    state['depth_head.scratch.output_conv1.bias'][3] = torch.nan
    path = tmp_path / 'nan_metric_hypersim.pth'
    torch.save(state, path)
    made = engine.create(EngineSettings(str(path), input_size=56, device='cpu'))
    path.unlink()
    with pytest.raises(FrameError, match='NaN at fp32') as caught:
        made.infer(*seen(RGB))
    assert caught.value.cause == 'network_not_finite'


def test_only_a_gpu_has_memory_of_its_own(small):
    """On a CPU there is nothing to report."""
    assert small.device_memory() is None


def test_a_closed_engine_says_so(files):
    """Closing twice is fine, inferring is not."""
    made = engine.create(EngineSettings(files[0], device='cpu'))
    made.close()
    made.close()
    with pytest.raises(RuntimeError, match='closed'):
        made.infer(*seen(RGB))


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'device': 'gpu'}, "device is 'gpu', expected auto, cpu, cuda, cuda:N, openvino or"),
        ({'device': 'cpu:0'}, "device is 'cpu:0', expected"),
        ({'device': 'cuda:'}, "device is 'cuda:', expected"),
        ({'device': 'cuda:99'}, r"device is 'cuda:99', but torch .* sees \d+ of CUDA"),
    ],
)
def test_an_impossible_engine_is_refused(arguments, reason):
    """What was asked for and what there is, before any checkpoint is looked for."""
    with pytest.raises(EngineError, match=reason):
        engine.create(EngineSettings('no such model', **arguments))


def test_no_checkpoint_no_engine():
    """The reason is the checkpoint's own."""
    with pytest.raises(checkpoints.CheckpointError, match='unknown model'):
        engine.create(EngineSettings('no such model', device='cpu'))


@pytest.mark.parametrize(
    ('height', 'width', 'input_size', 'expected'),
    [
        # recorded from the official Resize, with its lower bound and a multiple of 14
        (480, 640, 518, (518, 686)),
        (640, 480, 518, (686, 518)),
        (720, 1280, 518, (518, 924)),
        (1080, 1920, 378, (378, 672)),
        (480, 848, 518, (518, 910)),
        (376, 672, 252, (252, 448)),
        (1944, 2592, 700, (700, 938)),
        (51, 999, 518, (518, 10150)),
        (333, 517, 406, (406, 630)),
        (1, 1, 14, (14, 14)),
        # 22.5 and 31.5 patches: halves go to the even number
        (4, 5, 252, (252, 308)),
        (4, 7, 252, (252, 448)),
        (7, 4, 252, (448, 252)),
    ],
)
def test_network_size_is_the_official_one(height, width, input_size, expected):
    """The sizes of cameras, and those that fall between two."""
    network = DepthAnythingV2(Path(golden.INDOOR), input_size=input_size)
    assert network.network_size(height, width) == expected


@pytest.mark.parametrize('input_size', [-14, 519])
def test_network_size_needs_whole_patches(input_size):
    """The official rule has no meaning for others here."""
    with pytest.raises(SettingsError, match=f'input_size is {input_size} px'):
        DepthAnythingV2(Path(golden.INDOOR), input_size=input_size)


def test_the_networks_own_output(small):
    """What is not resized, in memory of its own: enlarged, it is the depth of the picture."""
    size = small.network.network_size(30, 40)
    depth = small.infer(*seen(RGB), size)
    assert (depth.shape, depth.dtype, depth.flags.c_contiguous) == (size, np.float32, True)
    np.testing.assert_array_equal(upsample(depth, (30, 40)), small.infer(*seen(RGB)))
    kept = depth.copy()
    batch = small.infer_batch(*all_seen([RGB, RGB[::-1]]), size)
    np.testing.assert_allclose(batch[0], depth, rtol=1e-4)
    assert batch[1].shape == size
    np.testing.assert_array_equal(depth, kept)  # its own memory
