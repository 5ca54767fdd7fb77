# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 through every engine that can run here, from its file to metres of a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from depth_pcd_ros import engine
from depth_pcd_ros.engine import EngineError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.settings import EngineSettings, SettingsError
from test.support import golden

CASES = range(5)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Path of a ViT-S file of the golden recipe."""
    path = tmp_path_factory.mktemp('checkpoints') / 'da3.safetensors'
    save_file(golden.weights('da3_vits', int(golden.load('da3_vits')['seed'])), path)
    yield str(path)
    path.unlink()


def camera_of(recorded):
    """The camera of a recorded picture."""
    k, (height, width) = recorded['k'], recorded['rgb'].shape[:2]
    return Camera(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])


def official(recorded):
    """The recorded depth in metres and the recorded sky, resized to the picture by torch."""
    metres = recorded['raw'] * recorded['focal_net'] / 300
    maps = torch.from_numpy(np.stack([metres, recorded['sky']]))[None]
    size = recorded['rgb'].shape[:2]
    return F.interpolate(maps, size, mode='bilinear', align_corners=True)[0].numpy()


def infer(model, recorded, device, precision='fp32'):
    """What an engine gives for a recorded picture."""
    settings = EngineSettings(
        model, input_size=golden.long_side(recorded), device=device, precision=precision
    )
    made = engine.create(settings)
    assert (made.network.max_depth, made.network.knows_sky) == (np.inf, True)
    depth = made.infer(recorded['rgb'], camera_of(recorded))
    made.close()
    return depth


def assert_official(depth, recorded, rtol):
    """Depth where there is no sky, NaN where there is."""
    expected, sky = official(recorded)
    clear = np.abs(sky - 0.3) > 0.01  # may fall on either side
    np.testing.assert_array_equal(np.isnan(depth)[clear], (sky >= 0.3)[clear])
    kept = clear & (sky < 0.3)
    assert kept.any()
    np.testing.assert_allclose(depth[kept], expected[kept], rtol=rtol)


@pytest.mark.parametrize('case', CASES)
def test_torch_gives_official_metres(model, case):
    """Within 1e-3, for pictures of every kind."""
    recorded = golden.case('da3_vits', case)
    assert_official(infer(model, recorded, 'cpu'), recorded, 1e-3)


@pytest.mark.parametrize('case', CASES)
def test_openvino_gives_official_metres(model, case):
    """Within 2e-3 in fp32: one conversion for every size."""
    pytest.importorskip('openvino', reason='OpenVINO is not installed')
    recorded = golden.case('da3_vits', case)
    assert_official(infer(model, recorded, 'openvino'), recorded, 2e-3)


@pytest.mark.parametrize('case', CASES)
def test_the_device_path_gives_official_metres(model, case, monkeypatch):
    """The same two steps of resizing before a GPU as before a CPU (here its graph is a fake)."""
    from depth_pcd_ros.engine import cuda_engine

    from .test_cuda_engine import EagerGraph, NoCapturing

    monkeypatch.setattr(cuda_engine, 'Graph', EagerGraph)
    monkeypatch.setattr(cuda_engine, 'Capturing', NoCapturing)
    monkeypatch.setattr(cuda_engine, '_checked', lambda _: 'cpu')
    recorded = golden.case('da3_vits', case)
    assert_official(infer(model, recorded, 'cuda'), recorded, 1e-3)


@pytest.mark.parametrize('device', ['cpu', 'openvino'])
def test_bf16_agrees_on_the_mean(model, device):
    """Within 2 % of the official depth on average; the sky in all but a few pixels."""
    recorded = golden.case('da3_vits', 3)
    try:
        depth = infer(model, recorded, device, 'bf16')
    except EngineError as err:
        pytest.skip(str(err))
    expected, sky = official(recorded)
    assert np.mean(np.isnan(depth) != (sky >= 0.3)) < 0.02
    both = ~np.isnan(depth) & (sky < 0.3)
    assert np.mean(np.abs(depth - expected)[both] / expected[both]) < 0.02


def test_the_same_scene_binned_or_cropped(model):
    """Where the pictures at the network are the same, so are the metres; a region's are its own."""
    recorded = golden.case('da3_vits', 4)
    rgb = recorded['rgb']
    made = engine.create(EngineSettings(model, input_size=126, device='cpu'))
    camera = camera_of(recorded)
    doubled = np.ascontiguousarray(rgb.repeat(2, 0).repeat(2, 1))
    larger = Camera(
        320, 240, 2 * camera.fx, 2 * camera.fy, 2 * camera.cx + 0.5, 2 * camera.cy + 0.5
    )
    depth, binned = made.infer(doubled, larger)[::2, ::2], made.infer(rgb, camera)
    both = np.isfinite(depth) & np.isfinite(binned)
    ratio = np.median(binned[both] / depth[both])
    assert ratio == pytest.approx(1.0, abs=5e-3)


def test_a_focal_correction_is_refused(model):
    """Before anything is loaded."""
    with pytest.raises(SettingsError, match='focal_correction is true, expected false'):
        engine.create(EngineSettings(model, device='cpu', focal_correction=True))


def test_a_bad_file_is_the_checkpoints_error(tmp_path):
    """By OpenVINO too, whose conversion is in another process."""
    path = tmp_path / 'da3mono.safetensors'
    shapes = golden.shapes('da3_vits')
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
    for device in ('cpu', 'openvino'):
        with pytest.raises(CheckpointError, match='relative one for single pictures'):
            engine.create(EngineSettings(str(path), device=device))
    Path(path).unlink()
