# SPDX-License-Identifier: Apache-2.0
"""ONNX: the same depth as the official networks, in the engine and from an exported file alone."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from depth_pcd_ros import engine
from depth_pcd_ros.cli import main
from depth_pcd_ros.engine import EngineError, cache
from depth_pcd_ros.engine.base import UnusableDeviceError
from depth_pcd_ros.engine.onnx import runtime
from depth_pcd_ros.errors import DeviceLostError, FrameError
from depth_pcd_ros.settings import EngineSettings
from test.support import golden
from test.support.fake_engine import check_own_output, seen

pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


# Of the golden set: ViT-S indoors, ViT-S outdoors, and the last one is ViT-B.
CASES = [('vits', 0), ('vits', 1), ('vits', 2), ('more', 0), ('more', 1), ('more', 2), ('more', 3)]
FILES = {
    ('vits', 0): golden.INDOOR,
    ('vits', 5): golden.OUTDOOR,
    ('vitb', 2): 'depth_anything_v2_metric_hypersim_vitb.pth',
}


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    """Paths of checkpoints by encoder and seed, written as they are asked for."""
    folder, written = tmp_path_factory.mktemp('checkpoints'), {}

    def of(encoder, seed):
        if (encoder, seed) not in written:
            name = FILES[encoder, seed]
            written[encoder, seed] = golden.official_file(folder, name, seed, f'dav2_{encoder}')
        return written[encoder, seed]

    yield of
    for path in written.values():
        Path(path).unlink()


def case_of(official, name, index):
    """What was recorded, the path of its checkpoint, and its input size."""
    recorded = {'encoder': 'vits', 'seed': 0, **golden.case(name, index)}
    path = official(str(recorded['encoder']), int(recorded['seed']))
    return recorded, path, int(recorded['input_size'])


@pytest.mark.parametrize(('name', 'index'), CASES)
def test_the_engine_gives_official_depth(official, name, index):
    """Within 1e-3 m in fp32, written by another process."""
    recorded, path, side = case_of(official, name, index)
    made = engine.create(EngineSettings(path, input_size=side, device='onnx:cpu'))
    assert (made.device, made.precision) == ('onnx:cpu', 'fp32')
    depth = made.infer(*seen(recorded['rgb']))
    np.testing.assert_allclose(depth, recorded['depth'], rtol=0, atol=1e-3)


@pytest.mark.parametrize(('name', 'index'), CASES)
def test_an_exported_file_stands_alone(official, name, index, tmp_path, capsys):
    """ONNX Runtime reads it without this package; its size is that of the picture asked for."""
    out = tmp_path / 'exported.onnx'
    recorded, path, side = case_of(official, name, index)
    height, width = recorded['rgb'].shape[:2]
    size = tuple(recorded['net_hw'])
    args = ['export', path, '-o', str(out), '--input-size', str(side)]
    assert main([*args, '--image', f'{width}x{height}']) == 0
    assert str(out) in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
    (entering,), (leaving,) = session.get_inputs(), session.get_outputs()
    assert (entering.name, tuple(entering.shape)) == ('picture', (1, 3, *size))
    assert leaving.name == 'maps'
    # what enters is what the command says on stderr, and depth is enlarged as officially
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    resized = cv2.resize(recorded['rgb'] / 255.0, size[::-1], interpolation=cv2.INTER_CUBIC)
    x = ((resized - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    maps = torch.from_numpy(session.run(None, {'picture': x})[0])
    depth = functional.interpolate(maps, (height, width), mode='bilinear', align_corners=True)
    np.testing.assert_allclose(depth[0, 0].numpy(), recorded['depth'], rtol=0, atol=1e-3)
    out.unlink()


def test_depth_anything_3_knows_the_sky_here_too(tmp_path):
    """Two maps, in fp32 and fp16, of a picture of the golden set."""
    path = tmp_path / 'da3.safetensors'
    save_file(golden.weights('da3_vits', int(golden.load('da3_vits')['seed'])), path)
    rgb, camera = seen(golden.case('da3_vits', 0)['rgb'])
    settings = {'model': str(path), 'input_size': 126}
    expected = engine.create(EngineSettings(device='cpu', **settings)).infer(rgb, camera)
    for precision, rtol in (('fp32', 1e-3), ('fp16', 2e-2)):
        made = engine.create(EngineSettings(device='onnx', precision=precision, **settings))
        depth = made.infer(rgb, camera)
        assert np.mean(np.isnan(depth) != np.isnan(expected)) < 5e-3
        both = np.isfinite(depth) & np.isfinite(expected)
        np.testing.assert_allclose(depth[both], expected[both], rtol=rtol)


def test_a_damaged_network_is_refused(tmp_path, monkeypatch):
    """What is written is compared with torch before it is used (here the folding is wrong)."""
    from depth_pcd_ros.engine.onnx import write

    def wrong(network):
        network.head.bias.add_(0.05)

    monkeypatch.setattr(write, 'fold_layer_scale', wrong)
    demo = engine.create(EngineSettings('demo', device='cpu')).network
    with pytest.raises(EngineError, match=r'differs from the network in torch by .*do not use it'):
        write.write(demo, (28, 42), tmp_path / 'demo.onnx', 'fp32')
    assert not (tmp_path / 'demo.onnx').exists()


def test_the_demo_in_onnx(monkeypatch):
    """Sizes are kept apart; none is written twice."""
    made = engine.create(EngineSettings('demo', device='onnx', input_size=28))
    expected = engine.create(EngineSettings('demo', device='cpu', input_size=28))
    for rgb in (RGB, RGB[:20], RGB):
        np.testing.assert_allclose(made.infer(*seen(rgb)), expected.infer(*seen(rgb)), rtol=1e-4)
    monkeypatch.setattr(cache, '_export', None)
    again = engine.create(EngineSettings('demo', device='onnx', input_size=28))
    np.testing.assert_allclose(again.infer(*seen(RGB)), made.infer(*seen(RGB)))


@pytest.mark.parametrize(
    ('told', 'expected'),
    [
        (
            'CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=robot ; '
            'expr=cudaStreamSynchronize(static_cast<cudaStream_t>(stream_)); ',
            DeviceLostError,
        ),
        ('CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=robot', DeviceLostError),
        (
            'bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 8',
            'out_of_memory',
        ),
        (
            'CUDA failure 2: out of memory ; GPU=0 ; hostname=robot ; expr=cudaMalloc',
            'out_of_memory',
        ),
        ('CUDA failure 1: invalid argument ; GPU=1 ; hostname=robot', 'network_failed'),
        ('Non-zero status code returned while running Einsum node', 'network_failed'),
    ],
)
def test_what_the_driver_tells_through_it(monkeypatch, told, expected):
    """Its errors, as users have reported them: does the device work on, and was there room?"""
    made = engine.create(EngineSettings('demo', device='onnx', input_size=28))

    class Broken:
        def get_inputs(self):
            return [SimpleNamespace(name='picture')]

        def run(self, *_):
            raise RuntimeError(f'[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {told}')

    monkeypatch.setattr(made, '_of_size', lambda size: Broken())
    with pytest.raises(DeviceLostError if expected is DeviceLostError else FrameError) as caught:
        made.infer(*seen(RGB))
    assert told in str(caught.value)
    assert getattr(caught.value, 'cause', DeviceLostError) == expected


@pytest.mark.parametrize('device', ['onnx:', 'onnx:tpu', 'onnx:cuda'])
def test_a_provider_that_is_not_there_is_refused(device):
    """The ones that the installed build has are listed."""
    if device == 'onnx:cuda' and 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this build has it')
    with pytest.raises(EngineError, match=f"device is '{device}', but this build .*cpu"):
        engine.create(EngineSettings('demo', device=device))


def test_a_provider_that_cannot_be_loaded_is_not_the_cpu(monkeypatch):
    """ONNX Runtime itself would go on with the CPU; here it has no CUDA, though it is said to."""
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this build has it')
    monkeypatch.setattr('depth_pcd_ros.engine.onnx.engine.provider_of', lambda _: 'cuda')
    told = 'onnx:cuda cannot run the network: ONNX Runtime could not load its CUDAExecution'
    with pytest.raises(UnusableDeviceError, match=told):
        engine.create(EngineSettings('demo', device='onnx:cuda', input_size=28))


def test_onnx_goes_on_to_the_next_provider(monkeypatch, caplog):
    """As of onnxruntime-gpu without a GPU, which lists CUDA all the same; here it is only said."""
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this build has it')
    listed = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: listed)
    made = engine.create(EngineSettings('demo', device='onnx', input_size=28))
    assert (made.device, made.precision) == ('onnx:cpu', 'fp32')
    assert 'could not load its CUDAExecutionProvider' in caplog.text
    assert 'the device onnx:cpu is next, with precision auto' in caplog.text
    with pytest.raises(UnusableDeviceError, match='onnx:cuda cannot run'):
        engine.create(EngineSettings('demo', device='onnx:cuda', input_size=28))
    assert runtime.device_after('onnx:cpu') == ''


def test_tensorrt_is_never_chosen_unasked(monkeypatch):
    """A build that has it and the CPU (here a fake)."""

    class Build:
        @staticmethod
        def get_available_providers():
            return ['TensorrtExecutionProvider', 'CPUExecutionProvider']

    monkeypatch.setattr(runtime, 'onnxruntime', Build)
    assert runtime.provider_of('onnx') == 'cpu'
    assert runtime.provider_of('onnx:tensorrt') == 'tensorrt'


def test_a_provider_that_fails_is_not_replaced():
    """ONNX Runtime would go on with the CPU for good, and print that; the frame fails instead."""
    made = engine.create(EngineSettings('demo', device='onnx:cpu', precision='fp32', input_size=28))
    expected = made.infer(*seen(RGB))
    (session,) = made._made.values()

    class Failing:
        @staticmethod
        def run(*_):
            raise onnxruntime.capi.onnxruntime_pybind11_state.EPFail('TensorRT EP failed')

    inner, session._sess = session._sess, Failing
    with pytest.raises(FrameError, match='onnx:cpu: TensorRT EP failed') as caught:
        made.infer(*seen(RGB))
    assert caught.value.cause == 'network_failed'
    session._sess = inner
    np.testing.assert_array_equal(made.infer(*seen(RGB)), expected)


def test_cuda_computes_in_fp32(monkeypatch, tmp_path):
    """All of it, where ONNX Runtime knows the option, which others refuse (no CUDA runs here)."""
    made = engine.create(EngineSettings('demo', device='onnx:cpu', precision='fp32'))
    made._provider = 'cuda'
    monkeypatch.setattr(onnxruntime, '__version__', '1.17.3')
    assert made._options(tmp_path) == {}
    monkeypatch.setattr(onnxruntime, '__version__', '1.18.0')
    assert made._options(tmp_path) == {'provider_options': [{'use_tf32': '0'}, {}]}


def test_tensorrt_keeps_its_engine_for_its_version(monkeypatch, tmp_path):
    """Beside the network, keyed by TensorRT's version and the driver's (no TensorRT runs here)."""
    from depth_pcd_ros.engine.onnx import engine as onnx_engine

    made = engine.create(EngineSettings('demo', device='onnx:cpu', precision='fp32'))
    assert made._options(tmp_path) == {}
    made._provider = 'tensorrt'
    folders = set()
    for name, value in (('tensorrt_version', '101000'), ('hardware', 'NVIDIA driver 1')) * 2:
        monkeypatch.setattr(onnx_engine, name, lambda value=value: value)
        first, second = made._options(tmp_path)['provider_options']
        assert second == {}
        assert first['trt_fp16_enable'] == 'False'
        assert first['trt_engine_cache_path'] == first['trt_timing_cache_path']
        folders.add(first['trt_engine_cache_path'])
    monkeypatch.setattr(onnx_engine, 'tensorrt_version', lambda: '101600')
    folders.add(made._options(tmp_path)['provider_options'][0]['trt_engine_cache_path'])
    assert len(folders) == 3
    assert all(Path(folder).parent == tmp_path for folder in folders)


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (['--image', '640'], "'640' is no size"),
        (['--precision', 'bf16'], 'invalid choice'),
    ],
)
def test_usage(options, told, tmp_path, capsys):
    """What is wrong is named."""
    with pytest.raises(SystemExit):
        main(['export', 'demo', '-o', str(tmp_path / 'x.onnx'), *options])
    assert told in capsys.readouterr().err
    assert main(['export', 'nothing', '-o', str(tmp_path / 'x.onnx')]) == 1
    assert "unknown model 'nothing'" in capsys.readouterr().err


def test_the_networks_own_output():
    """What is not resized, in memory of its own: enlarged, it is the depth of the picture."""
    check_own_output(engine.create(EngineSettings('demo', device='onnx:cpu')), RGB)
