# SPDX-License-Identifier: Apache-2.0
"""Engines prove themselves: compared with fp32 before they are used, and refused with figures."""

import functools
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from depth_pcd_ros import engine
from depth_pcd_ros.cli import main
from depth_pcd_ros.engine import base, cache, hardware, proof
from depth_pcd_ros.engine.export import reference_name
from depth_pcd_ros.engine.host import HostEngine
from depth_pcd_ros.engine.proof import Verdict, compare, pictures
from depth_pcd_ros.engine.torch_engine import TorchEngine
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks.checkpoints import of_settings
from depth_pcd_ros.settings import EngineSettings
from test.support import golden
from test.support.fake_engine import FakeFamily, SkyFamily, seen

REFERENCE = cache.reference  # that of any network
RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
BF16 = EngineSettings('demo', device='cpu', precision='bf16')


@functools.cache
def reference(size, make=cache.reference):
    """What the demo network gives in another process, once for all tests here."""
    return make(of_settings(EngineSettings('demo')), size)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """Start without a verdict."""
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, 'reference', lambda _, size: reference(size))
    return tmp_path


def damaged(monkeypatch, by=1.1, kind=TorchEngine, precisions=('fp16', 'bf16')):
    """Have engines give depth off by a factor, in some precisions; count their runs."""
    run, runs = kind._infer, []

    def infer(self, x):
        runs.append(self.precision)
        return run(self, x) * np.float32(by if self.precision in precisions else 1.0)

    monkeypatch.setattr(kind, '_infer', infer)
    return runs


def test_the_figures_by_hand():
    """Mean of the absolute difference, the common scale of the worst picture, and the sky."""
    truth = np.full((2, 1, 2, 2), 2.0, np.float32)
    found = truth.copy()
    found[0] *= [[[1.01, 1.01], [1.01, 0.99]]]
    verdict = compare(FakeFamily('x', 20.0), found, truth)
    assert verdict.mean == pytest.approx(0.005)
    assert verdict.scale == pytest.approx(0.01, rel=1e-4)
    assert verdict.sky == 0
    sky = np.zeros((1, 2, 2, 2), np.float32)
    sky[:, 0], sky[:, 1, 0] = 2.0, 1.0
    other = sky.copy()
    other[0, 1, 1, 1] = 1.0
    assert compare(SkyFamily('x'), other, sky) == Verdict(0.0, 0.0, 0.25)
    found[1, 0, 0, 0] = np.nan
    assert compare(FakeFamily('x', 20.0), found, truth) == Verdict(np.inf, np.inf, np.inf)


def test_the_pictures_are_there():
    """Three, and no two alike."""
    assert [(rgb.shape, rgb.dtype.name) for rgb in pictures()] == [((240, 320, 3), 'uint8')] * 3
    assert len({rgb.tobytes() for rgb in pictures()}) == 3


def test_a_good_engine_is_used_and_its_verdict_kept(empty_cache, monkeypatch, caplog):
    """The second start compares nothing: no other process, and no run of the network."""
    runs = damaged(monkeypatch, by=1.0)
    first = engine.create(BF16)
    assert (first.device, first.precision) == ('cpu', 'bf16')
    assert re.fullmatch(r'mean 0\.\d\d%, scale 0\.\d\d%', first.proof), first.proof
    (kept,) = empty_cache.glob('*/proof-cpu-bf16-168x224-*.json')
    assert json.loads(kept.read_text())['mean'] < proof.LIMITS['bf16'].mean
    assert runs == ['bf16'] * 3
    monkeypatch.setattr(cache, 'reference', None)
    second = engine.create(BF16)
    assert (second.proof, len(runs)) == (first.proof, 3)
    monkeypatch.setattr('depth_pcd_ros.engine.torch_engine.hardware', lambda: 'another GPU')
    engine.create(BF16)
    assert len(runs) == 6  # other hardware, same reference
    kept.write_text('{')
    assert engine.create(BF16).proof == first.proof


def test_a_damaged_engine_is_refused_and_fp32_runs(empty_cache, monkeypatch, caplog):
    """With the figures; also at the next start, without another comparison."""
    runs = damaged(monkeypatch)
    made = engine.create(BF16)
    assert (made.precision, made.proof) == ('fp32', '')
    assert re.search(
        r'cpu in bf16 is not used: for pictures of 224x168 at the network its depth is off that in '
        r'fp32 by mean (9|10)\.\d+%, scale (9|10)\.\d+%; expected at most mean 2.00%, scale 0.50%',
        caplog.text,
    )
    assert 'fp32 is next' in caplog.text
    assert engine.create(BF16).precision == 'fp32'
    assert runs == ['bf16'] * 3


@pytest.fixture
def fragile(tmp_path, monkeypatch):
    """A transformer whose values overflow in fp16 inside attention, and nowhere else; its path."""
    weights = golden.weights('dav2_vits', 0)
    for key in weights:
        if '.attn.qkv.' in key:
            weights[key][2 * len(weights[key]) // 3 :] *= 1e6
        elif key.endswith('.attn.proj.weight'):
            weights[key] *= 1e-6
    monkeypatch.setattr(cache, 'reference', REFERENCE)
    path = tmp_path / golden.INDOOR
    torch.save(weights, path)
    return str(path)


def test_one_start_of_torch_converts_and_tells_what_is_right(monkeypatch):
    """OpenVINO's first start asks no second process for the depth in fp32."""
    pytest.importorskip('openvino', reason='OpenVINO is not installed')
    monkeypatch.setattr(cache, 'reference', None)
    made = engine.create(EngineSettings('demo', device='openvino', input_size=28))
    made.close()
    if made.precision == 'fp32':
        pytest.skip('this processor has no bf16')
    assert made.proof.startswith('mean ')


def test_openvino_goes_on_to_fp32(fragile, monkeypatch, caplog):
    """It cannot have attention alone in that."""
    pytest.importorskip('openvino', reason='OpenVINO is not installed')
    from depth_pcd_ros.engine.openvino.engine import OpenVinoEngine

    runs = damaged(monkeypatch, kind=OpenVinoEngine)
    settings = EngineSettings(fragile, device='openvino', precision='bf16', input_size=28)
    try:
        made = engine.create(settings)
    except engine.EngineError:
        pytest.skip('this processor has no bf16')
    assert (made.device, made.precision, made.fp32_attention) == ('openvino:CPU', 'fp32', False)
    assert runs == ['bf16'] * 3
    assert 'attention' not in caplog.text


@pytest.mark.parametrize('device', ['cpu', 'onnx:cpu'])
def test_attention_in_fp32_may_be_all_that_is_needed(device, fragile, caplog):
    """A network that reduced precision spoils there is built again, and proves itself."""
    if device == 'onnx:cpu':
        pytest.importorskip('onnx', reason='onnx is not installed')
        pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
    made = engine.create(EngineSettings(fragile, device=device, precision='fp16', input_size=28))
    assert (made.device, made.precision, made.fp32_attention) == (device, 'fp16', True)
    assert re.fullmatch(r'mean 0.\d\d%, scale 0.\d\d%, attention in fp32', made.proof)
    assert 'with attention in fp32 is next' in caplog.text
    depth = made.infer(*seen(RGB))
    expected = engine.create(EngineSettings(fragile, device='cpu', input_size=28)).infer(*seen(RGB))
    assert np.mean(np.abs(depth - expected) / expected) < 5e-3


def test_attention_in_fp32_that_does_not_help_is_refused_too(fragile, monkeypatch, caplog):
    """With its own figures; then all of it runs in fp32, at the next start at once."""
    runs = damaged(monkeypatch)
    settings = EngineSettings(fragile, device='cpu', precision='fp16', input_size=28)
    for _ in range(2):
        made = engine.create(settings)
        assert (made.precision, made.fp32_attention) == ('fp32', False)
    assert runs == ['fp16'] * 6
    assert re.search(r'cpu in fp16 is not used: .* off that in fp32 by mean inf%', caplog.text)
    told = (
        r'cpu in fp16 with attention in fp32 is not used: .* by mean (9|10)\.\d+%, .*fp32 is next'
    )
    assert re.search(told, caplog.text)


def test_one_that_is_wrong_in_fp32_too_gives_way_to_another_device(monkeypatch, caplog):
    """Here ONNX Runtime's, as if it were a compiler's."""
    pytest.importorskip('onnx', reason='onnx is not installed')
    pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
    from depth_pcd_ros.engine.onnx.engine import OnnxEngine

    monkeypatch.setattr(base, 'ON_THE_CPU', ('cpu', 'openvino:CPU'))
    monkeypatch.setattr('depth_pcd_ros.engine.devices.default_device', lambda tried=(): 'cpu')
    damaged(monkeypatch, 1.002, OnnxEngine, ('fp32',))
    settings = EngineSettings('demo', device='onnx:cpu', precision='fp32', input_size=28)
    made = engine.create(settings)
    assert (made.device, made.precision) == ('cpu', 'fp32')
    assert 'off that in fp32 by mean 0.20%, scale 0.20%' in caplog.text
    assert 'the device cpu is next' in caplog.text


def test_openvino_in_bf16_proves_itself(monkeypatch, empty_cache, caplog):
    """In the folder of its converted network; damaged, it gives way to fp32."""
    pytest.importorskip('openvino', reason='OpenVINO is not installed')
    from depth_pcd_ros.engine.openvino.engine import OpenVinoEngine

    settings = EngineSettings('demo', device='openvino', precision='bf16', input_size=28)
    try:
        OpenVinoEngine(settings).close()
    except engine.EngineError:
        pytest.skip('this processor has no bf16')
    made = engine.create(settings)
    assert (made.precision, made.proof[:5]) == ('bf16', 'mean ')
    (verdict,) = empty_cache.glob('*/proof-*.json')
    assert (verdict.parent / 'network.xml').exists()
    verdict.unlink()
    damaged(monkeypatch, kind=OpenVinoEngine)
    assert engine.create(settings).precision == 'fp32'
    assert 'openvino:CPU in bf16 is not used' in caplog.text


def test_onnx_proves_each_size(monkeypatch, empty_cache, caplog):
    """For each is built by itself; where one of them is wrong, the next best engine runs."""
    pytest.importorskip('onnx', reason='onnx is not installed')
    pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
    settings = EngineSettings('demo', device='onnx:cpu', precision='fp16', input_size=28)
    made = engine.create(settings)
    first = made.infer(*seen(RGB))
    infer = HostEngine._run

    def wrong(self, pictures, size, result):
        off = self.precision == 'fp16' and size != (28, 42)
        return infer(self, pictures, size, result) * np.float32(1.1 if off else 1.0)

    names = sorted(path.name for path in empty_cache.glob('*/proof-*.json'))
    assert [name[:24] for name in names] == ['proof-onnx-cpu-fp16-28x4']  # both are 4:3
    monkeypatch.setattr(HostEngine, '_run', wrong)
    expected = engine.create(EngineSettings('demo', device='cpu', input_size=28))
    for rgb in (RGB[:20], RGB[:16], RGB[:20]):
        np.testing.assert_allclose(made.infer(*seen(rgb)), expected.infer(*seen(rgb)), rtol=1e-3)
    told = [m for m in caplog.messages if 'the next best one is made' in m]
    assert len(told) == 2
    assert 'onnx:cpu in fp16 is not used: for pictures of 56x28 at the network' in told[0]
    assert made.proof == 'refused for 70x28 at the network, where onnx:cpu runs in fp32'
    np.testing.assert_array_equal(made.infer(*seen(RGB)), first)


def test_where_no_engine_is_right_each_frame_says_so(monkeypatch):
    """And no depth comes out."""
    pytest.importorskip('onnx', reason='onnx is not installed')
    pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
    made = engine.create(EngineSettings('demo', 0.0, 28, 'onnx:cpu', 'fp16'))

    def none(*_):
        raise engine.EngineError('nothing is left')

    damaged(monkeypatch, kind=type(made))
    monkeypatch.setattr('depth_pcd_ros.engine.onnx.engine.create', none)
    for _ in range(2):
        with pytest.raises(FrameError, match='nothing is left') as err:
            made.infer(*seen(RGB[:20]))
        assert err.value.cause == 'network_failed'


def test_without_torch_it_is_told_that_nothing_was_compared(monkeypatch, caplog):
    """And nothing is kept, so that a later start compares."""

    def none(*_):
        raise cache.NoTorchError('no torch')

    monkeypatch.setattr(cache, 'reference', none)
    assert engine.create(BF16).proof == 'not compared: there is no torch'
    assert 'no torch to compare the engine with' in caplog.text
    monkeypatch.undo()


def test_a_folder_that_cannot_be_written_to_costs_a_comparison(empty_cache, monkeypatch, caplog):
    """Each time; it is told, and the engine runs."""
    (empty_cache / 'file').touch()
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(empty_cache / 'file' / 'cache'))
    assert engine.create(BF16).precision == 'bf16'
    assert 'each start compares the engine again' in caplog.text


def test_the_reference_is_the_network_in_fp32():
    """In another process, and the same as in this one."""
    made = TorchEngine(EngineSettings('demo', device='cpu', precision='fp32'))
    expected = np.concatenate([made._run([rgb], (28, 42), (240, 320)) for rgb in pictures()])
    assert torch.is_inference_mode_enabled() is False
    np.testing.assert_allclose(reference((28, 42)), expected, rtol=1e-4)


def test_the_reference_has_the_engines_input_size(tmp_path):
    """Depth Anything 3 reduces a picture to it before it enters: at one size, two pictures."""
    path = tmp_path / 'da3.safetensors'
    save_file(golden.weights('da3_vits', int(golden.load('da3_vits')['seed'])), path)
    made = TorchEngine(EngineSettings(str(path), 0.0, 40, 'cpu', 'fp32'))
    size = made.network.network_size(240, 320)
    expected = np.concatenate([made._run([rgb], size, (240, 320)) for rgb in pictures()])
    np.testing.assert_allclose(REFERENCE(made.network, size), expected, rtol=1e-4, atol=1e-4)
    assert reference_name(size, 40) != reference_name(size, 504)


def test_hardware_is_named(tmp_path, monkeypatch):
    """The processor; a GPU with its driver, in the words of NVIDIA's files."""
    (tmp_path / 'cpuinfo').write_text('processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n')
    (tmp_path / 'version').write_text(
        'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\n'
    )
    (tmp_path / 'gpus' / '0000:01').mkdir(parents=True)
    (tmp_path / 'gpus' / '0000:01' / 'information').write_text('Model: \t\t NVIDIA L4\nIRQ: 1\n')
    monkeypatch.setattr(hardware, 'CPU_INFO', tmp_path / 'cpuinfo')
    monkeypatch.setattr(hardware, 'NVIDIA_DRIVER', tmp_path / 'version')
    monkeypatch.setattr(hardware, 'NVIDIA_GPUS', tmp_path / 'gpus')
    named = hardware.hardware.__wrapped__()
    assert named == 'Some CPU @ 2 GHz, NVIDIA driver 550.54.15, NVIDIA L4'


def test_build_makes_all_that_a_start_needs(capsys, monkeypatch):
    """Beforehand: the start after it compares nothing; what is wrong is told."""
    options = ['--device', 'cpu', '--precision', 'bf16', '--image', '64x48']
    assert main(['build', 'demo', *options]) == 0
    assert re.fullmatch(
        r'demo for 64x48 on cpu in bf16, difference from fp32: mean 0\.\d\d%, scale 0\.\d\d%\n',
        capsys.readouterr().out,
    )
    monkeypatch.setattr(cache, 'reference', None)
    assert engine.create(BF16).precision == 'bf16'
    assert main(['build', 'nothing']) == 1
    assert "depth-pcd build: unknown model 'nothing'" in capsys.readouterr().err
