# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the same depth as the official network and torch, and what is its own."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_pcd_ros import engine
from depth_pcd_ros.engine import EngineError
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.settings import EngineSettings
from test.support import golden
from test.support.fake_engine import all_seen, check_own_output, seen

pytest.importorskip('openvino', reason='OpenVINO is not installed')

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def can(precision):
    """Whether this processor has it."""
    try:
        engine.create(EngineSettings('demo', device='openvino', precision=precision)).close()
    except EngineError:
        return False
    return True


@pytest.fixture(scope='module')
def outdoor(tmp_path_factory):
    """Path of an outdoor checkpoint (seed 5)."""
    path = golden.official_file(tmp_path_factory.mktemp('checkpoints'), golden.OUTDOOR, 5)
    yield path
    Path(path).unlink()


@pytest.mark.parametrize('case', range(3))
def test_fp32_gives_official_depth(outdoor, case):
    """One conversion for every size: 392, 252 and 140, up- and downscaled pictures."""
    recorded = golden.load('more')
    made = engine.create(
        EngineSettings(
            outdoor,
            input_size=int(recorded[f'input_size_{case}']),
            device='openvino:CPU',
            precision='fp32',
        )
    )
    depth = made.infer(*seen(recorded[f'rgb_{case}']))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, recorded[f'depth_{case}'], rtol=0, atol=1e-3)


def test_the_learned_grid_itself_is_not_interpolated(outdoor):
    """518x518, where the official network takes the position embedding as it is: as in torch."""
    rgb = RGB[:30, :30]
    depth, expected = (
        engine.create(EngineSettings(outdoor, device=device, precision='fp32')).infer(*seen(rgb))
        for device in ('openvino', 'cpu')
    )
    np.testing.assert_allclose(depth, expected, rtol=0, atol=1e-3)


def test_it_has_as_many_threads_as_others_are_told(monkeypatch):
    """By OMP_NUM_THREADS, which Ray sets for its workers."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    made = engine.create(EngineSettings('demo', device='openvino:CPU'))
    compiled = made._of_size(made.network.depth_size(30, 40)).get_compiled_model()
    assert compiled.get_property('INFERENCE_NUM_THREADS') == 1


def test_auto_precision_agrees_on_the_mean(outdoor):
    """Within 1 % of the official depth on average; bf16 where the processor has it."""
    recorded = golden.load('more')
    made = engine.create(EngineSettings(outdoor, input_size=140, device='openvino'))
    assert made.precision == ('bf16' if can('bf16') else 'fp32')
    depth, expected = made.infer(*seen(recorded['rgb_2'])), recorded['depth_2']
    assert np.mean(np.abs(depth - expected) / expected) < 0.01


def test_the_demo_model_runs_in_openvino():
    """As in torch, for two sizes, one after the other and again."""
    made = engine.create(EngineSettings('demo', device='openvino', precision='fp32'))
    expected = engine.create(EngineSettings('demo', device='cpu'))
    assert (made.model, made.device, made.precision) == ('demo', 'openvino:CPU', 'fp32')
    assert (made.network.max_depth, made.network.input_size) == (12.0, 168)
    for rgb in (RGB, RGB[:20], RGB):
        np.testing.assert_allclose(made.infer(*seen(rgb)), expected.infer(*seen(rgb)), atol=1e-4)


def test_a_batch_is_as_its_pictures_one_by_one():
    """Three pictures at once, each with memory of its own."""
    made = engine.create(EngineSettings('demo', device='openvino'))
    pictures = [RGB, 255 - RGB, RGB[::-1, ::-1]]
    together = made.infer_batch(*all_seen(pictures))
    for rgb, depth in zip(pictures, together, strict=True):
        np.testing.assert_allclose(depth, made.infer(*seen(rgb)), rtol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_compiled_sizes_are_bounded_and_told(caplog):
    """Each new size is logged; the size used longest ago goes."""
    caplog.set_level(logging.INFO)
    settings = EngineSettings('demo', device='openvino', input_size=28, precision='fp32')
    made = engine.create(settings)
    for width in (40, 60, 80, 40, 100, 40, 60):
        made.infer(*seen(np.zeros((40, width, 3), np.uint8)))
    sizes = [m.split(' on ')[0] for m in caplog.messages if 'compiled the network' in m]
    told = 'compiled the network for pictures of '
    assert sizes == [f'{told}{size}' for size in ('28x28', '42x28', '56x28', '70x28', '42x28')]


@pytest.mark.parametrize(
    ('device', 'told'),
    [
        (
            'openvino:TPU',
            "device is 'openvino:TPU', but OpenVINO sees CPU.*: expected openvino:CPU",
        ),
        ('openvino:', "device is 'openvino:', but OpenVINO sees CPU"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, told):
    """The ones that are there are listed."""
    with pytest.raises(EngineError, match=told):
        engine.create(EngineSettings('demo', device=device))


def test_a_precision_that_the_processor_has_not_is_refused():
    """What it has is listed."""
    lacking = [precision for precision in ('fp16', 'bf16') if not can(precision)]
    if not lacking:
        pytest.skip('this processor has all of them')
    with pytest.raises(EngineError, match=f"precision is '{lacking[0]}', but .* has fp32"):
        engine.create(EngineSettings('demo', device='openvino', precision=lacking[0]))


def test_a_failing_frame_is_the_frames_error(monkeypatch):
    """What OpenVINO raises (here by a fake request) is told in one line."""
    made = engine.create(EngineSettings('demo', device='openvino'))

    class Broken:
        def infer(self, *_, **__):
            raise RuntimeError(
                'Exception from src/x.cpp:77:\nCheck failed:\n\nthe device is gone\n'
            )

    monkeypatch.setattr(made, '_of_size', lambda _: Broken())
    with pytest.raises(FrameError, match='openvino:CPU: Check failed: the device is gone') as err:
        made.infer(*seen(RGB))
    assert err.value.cause == 'network_failed'


def test_a_closed_engine_says_so():
    """Closing twice is fine, inferring is not."""
    made = engine.create(EngineSettings('demo', device='openvino'))
    made.close()
    made.close()
    with pytest.raises(RuntimeError, match='closed'):
        made.infer(*seen(RGB))


START = """
import sys
import numpy as np
from depth_pcd_ros import engine
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.settings import EngineSettings
made = engine.create(EngineSettings('demo', device=sys.argv[1]))
made.infer(np.zeros((30, 40, 3), np.uint8), Camera(40, 30, 50, 50, 20, 15))
loaded = {name for name, module in sys.modules.items() if module is not None}
print(made.device, sorted({'torch', 'openvino_telemetry'} & loaded))
"""


def start(device='openvino', **environment):
    """Run a process that makes an engine and infers once."""
    return subprocess.run(
        [sys.executable, '-c', START, device],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_torch_and_telemetry_stay_out_of_the_process(tmp_path):
    """Neither on the first start, which converts in another process, nor on the second."""
    for _ in range(2):
        run = start(DEPTH_PCD_ROS_CACHE=str(tmp_path))
        assert run.stdout == 'openvino:CPU []\n', run.stderr


def test_auto_is_openvino_without_a_gpu():
    """In a process of its own, which sees no GPU."""
    run = start('auto', CUDA_VISIBLE_DEVICES='')
    assert run.stdout == 'openvino:CPU []\n', run.stderr


def test_auto_is_torch_without_openvino(monkeypatch):
    """And it is said that OpenVINO would be faster."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name == 'torch' or None)
    assert engine.create(EngineSettings('demo', device='auto')).device == 'cpu'
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(EngineError, match='needs the Python package openvino'):
        engine.create(EngineSettings('demo', device='openvino'))


def test_the_networks_own_output():
    """What is not resized, in memory of its own: enlarged, it is the depth of the picture."""
    check_own_output(
        engine.create(EngineSettings('demo', device='openvino:CPU', precision='fp32')), RGB
    )
