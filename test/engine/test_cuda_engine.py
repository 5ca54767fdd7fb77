# SPDX-License-Identifier: Apache-2.0
"""The way of a picture through a GPU: what of it is plain torch, on the CPU; the rest on a GPU."""

import logging
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from depth_pcd_ros import engine
from depth_pcd_ros.cloud.unproject import pack_points
from depth_pcd_ros.engine import EngineError, cache, cuda_engine, devices
from depth_pcd_ros.engine.base import UnusableDeviceError
from depth_pcd_ros.engine.cuda_engine import CudaEngine
from depth_pcd_ros.engine.device_path import DevicePath
from depth_pcd_ros.errors import DeviceLostError, FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.pipeline import Pipeline, estimate_batch
from depth_pcd_ros.settings import EngineSettings, Settings
from test.support import golden
from test.support.cameras import calibration_of
from test.support.fake_engine import FakeFamily, all_seen, check_own_output, seen

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (30, 40, 3), np.uint8)
LASTING_ERROR = CudaEngine._lasting_error
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')


@pytest.fixture(scope='module')
def indoor(tmp_path_factory):
    """Path of an indoor checkpoint (seed 0)."""
    path = tmp_path_factory.mktemp('checkpoints') / golden.INDOOR
    golden.official_file(path.parent, path.name, 0)
    yield str(path)
    path.unlink()


class EagerGraph:
    """Stands for a recorded run, which needs CUDA: the same path, run anew each time."""

    full = False  # whether the device is
    tried: ClassVar[list[tuple[int, ...]]] = []  # shapes, in their order
    made: ClassVar[list['EagerGraph']] = []

    def __init__(self, path, shape, size, result, _capturing):
        EagerGraph.tried.append(shape)
        if EagerGraph.full:
            try:
                raise torch.OutOfMemoryError('Tried to allocate 2.00 GiB')
            finally:
                raise RuntimeError('the capture has failed')
        self.path, self.shape, self.size, self.result = path, shape, size, result
        self.was_reset = False
        self.maps = None
        EagerGraph.made.append(self)

    def __call__(self, pictures):
        """(N, C, H, W) of pictures of the shape."""
        taps = self.path.taps(self.shape[1:3], self.size)
        maps = self.path(torch.from_numpy(np.stack(pictures)), taps, self.result)
        self.maps = maps if self.maps is None else self.maps.copy_(maps)  # always the same memory
        return self.maps

    def reset(self):
        """As asked for."""
        self.was_reset = True


class NoCapturing:
    """Stands for the stream and the memory that recorded runs share; counts the pools."""

    def __init__(self, _device):
        self.pools = 0

    def renew(self):
        """One more."""
        self.pools += 1


@pytest.fixture
def eager(monkeypatch):
    """Make CUDA engines that run on the CPU."""
    monkeypatch.setattr(cuda_engine, 'Graph', EagerGraph)
    monkeypatch.setattr(EagerGraph, 'made', [])
    monkeypatch.setattr(EagerGraph, 'tried', [])
    monkeypatch.setattr(cuda_engine, 'Capturing', NoCapturing)
    monkeypatch.setattr(cuda_engine, '_checked', lambda _: 'cpu')
    monkeypatch.setattr(CudaEngine, '_lasting_error', lambda _: '')
    monkeypatch.setattr(CudaEngine, '_origin', lambda self, _: (cache.place(self.network), 'eager'))

    def make(model='demo', input_size=0, precision='fp32'):
        return engine.create(
            EngineSettings(model, input_size=input_size, device='cuda', precision=precision)
        )

    return make


@pytest.mark.parametrize('case', range(2))
def test_the_device_path_gives_official_depth(indoor, eager, case):
    """The whole of it in fp32, on recorded pictures at 252."""
    recorded = golden.load('vits')
    side = int(recorded[f'input_size_{case}'])
    made = eager(indoor, side)
    for _ in range(2):  # as it is, and recorded
        depth = made.infer(*seen(recorded[f'rgb_{case}']))
        np.testing.assert_allclose(depth, recorded[f'depth_{case}'], rtol=0, atol=1e-3)


@pytest.mark.parametrize('shape', [(480, 640), (1080, 1920), (640, 480), (97, 61)])
def test_the_device_resizes_as_the_cpu_does(shape):
    """What enters the network, for enlarged and reduced pictures."""
    entered = []

    class Recorder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            entered.append(x)
            return x[:, 0]

    rgb = RNG.integers(0, 256, (*shape, 3), np.uint8)
    family = FakeFamily(Path(), 20.0, 252)
    size = family.network_size(*shape)
    with torch.inference_mode():
        path = DevicePath(family, Recorder())
        depth = path(torch.from_numpy(rgb)[None], path.taps(shape, size), shape)
    assert depth.shape == (1, 1, *shape)
    expected = np.empty((3, *size), np.float32)
    family.enter(rgb, expected)
    np.testing.assert_allclose(entered[0][0].numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('precision', ['fp16', 'bf16'])
def test_half_precision_agrees_on_the_mean(eager, precision):
    """Within 1 % of fp32."""
    expected = eager().infer(*seen(RGB))
    depth = eager(precision=precision).infer(*seen(RGB))
    assert depth.dtype == np.float32
    assert np.mean(np.abs(depth - expected) / expected) < 0.01


def test_a_batch_is_as_its_pictures_one_by_one(eager):
    """Three pictures at once, one of them a rotated view."""
    made = eager()
    pictures = [RGB, 255 - RGB, RGB[::-1, ::-1]]
    for rgb, depth in zip(pictures, made.infer_batch(*all_seen(pictures)), strict=True):
        np.testing.assert_allclose(depth, made.infer(*seen(rgb)), rtol=1e-4)


def test_depth_stays_on_the_device_and_belongs_to_the_caller(eager):
    """Of a batch, as it is and recorded; it is that of `infer_batch`, also after the next run."""
    made = eager()
    pictures = all_seen([RGB, 255 - RGB])
    expected = made.infer_batch(*pictures)
    for _ in range(2):
        found = made.estimate(*pictures)
        made.estimate(*all_seen([RGB[::-1], RGB]))
        for one, depth in zip(expected, found, strict=True):
            np.testing.assert_array_equal(depth.numpy(), one)
    (small,) = made.estimate(*all_seen([RGB]), made.network.network_size(*RGB.shape[:2]))
    assert small.numpy().shape == made.network.network_size(*RGB.shape[:2])
    made._lane.full = True
    np.testing.assert_array_equal(made.estimate(*pictures), expected)
    made._lane.full = False
    made.close()
    with pytest.raises(RuntimeError, match='closed'):
        made.estimate(*pictures)


def test_a_size_is_recorded_when_it_comes_again(eager, caplog):
    """Not the one that the engine is tried with, nor those that come once, as of photos."""
    caplog.set_level(logging.INFO)
    made = eager(input_size=28)
    made.infer(*seen(np.zeros((480, 640, 3), np.uint8)))
    for width in (40, 50, 60, 40, 70, 40):
        made.infer(*seen(np.zeros((30, width, 3), np.uint8)))
    assert [graph.shape[2] for graph in EagerGraph.made] == [40]
    assert [m for m in caplog.messages if 'captured' in m] == [
        m for m in caplog.messages if 'captured the network for pictures of 40x30 on cpu' in m
    ]
    made.close()


def test_graphs_are_bounded_and_go_together(eager):
    """One more than may be: all are freed, and their memory is begun anew; so when it closes."""
    made = eager(input_size=28)
    for width in range(40, 40 + 14 * CudaEngine.sizes, 14):
        made.infer_batch(*all_seen([np.zeros((30, width, 3), np.uint8)]))
        made.infer_batch(*all_seen([np.zeros((30, width, 3), np.uint8)]))
    assert len(EagerGraph.made) == CudaEngine.sizes
    assert not any(graph.was_reset for graph in EagerGraph.made)
    for _ in range(2):
        made.infer(*seen(np.zeros((60, 30, 3), np.uint8)))
    assert [graph.was_reset for graph in EagerGraph.made] == [True] * CudaEngine.sizes + [False]
    assert made._capturing.pools == 2
    made.close()
    assert all(graph.was_reset for graph in EagerGraph.made)
    with pytest.raises(RuntimeError, match='closed'):
        made.infer(*seen(RGB))


def test_what_a_graph_reads_is_kept(eager):
    """A recorded run must have a hold on the constants of its size, which the network lets go."""
    made = eager()
    for _ in range(2):
        made.infer(*seen(RGB))
    (graph,) = EagerGraph.made
    assert [tuple(constant.shape) for constant in graph.path.network.constants()] == [
        (1, 2, 168, 224)
    ]


def test_without_memory_the_frame_is_dropped_and_the_next_one_tried(eager, monkeypatch):
    """A full GPU (here a fake) costs one frame; what the other sizes held is given back."""
    made = eager(input_size=28)
    made.infer(*seen(RGB[:20]))
    for _ in range(2):
        expected = made.infer(*seen(RGB))
    (other,) = EagerGraph.made
    monkeypatch.setattr(EagerGraph, 'full', True)
    with monkeypatch.context() as patch:
        patch.setattr(CudaEngine, '_run_once', no_room)
        with pytest.raises(FrameError, match=r'1 images of 40x20: Tried to allocate 2') as caught:
            made.infer(*seen(RGB[:20]))
    assert caught.value.cause == 'out_of_memory'
    assert other.was_reset
    monkeypatch.setattr(EagerGraph, 'full', False)
    np.testing.assert_array_equal(made.infer(*seen(RGB)), expected)


def no_room(*_):
    """As a full device says it."""
    raise torch.OutOfMemoryError('Tried to allocate 2.00 GiB')


def test_what_cannot_be_recorded_runs_as_it_is(eager, monkeypatch, caplog):
    """No frame is lost; the other graphs go, whose workspace the failed one has taken along."""
    made = eager(input_size=28)
    expected = made.infer(*seen(RGB[:20]))
    for _ in range(2):
        made.infer(*seen(RGB))
    (other,) = EagerGraph.made
    pools = made._capturing.pools
    monkeypatch.setattr(EagerGraph, 'full', True)
    for _ in range(4):
        np.testing.assert_array_equal(made.infer(*seen(RGB[:20])), expected)
    assert [shape[1] for shape in EagerGraph.tried] == [30, 20]  # not again and again
    assert other.was_reset
    assert (
        'the network cannot be captured for pictures of 40x20 on cpu, and runs slower: '
        'Tried to allocate 2.00 GiB'
    ) in caplog.text
    monkeypatch.setattr(EagerGraph, 'full', False)
    for _ in range(2):
        made.infer(*seen(RGB))
    assert made._capturing.pools == pools + 1  # none begins where a failed one has ended
    assert len(made._graphs) == 1


def test_a_device_lost_while_recording_is_lost(eager, monkeypatch):
    """It is not a matter of this size."""
    made = eager(input_size=28)
    made.infer(*seen(RGB))
    monkeypatch.setattr(EagerGraph, 'full', True)
    monkeypatch.setattr(CudaEngine, '_lasting_error', lambda _: 'CUDA error: illegal')
    with pytest.raises(DeviceLostError, match='cpu: CUDA error: illegal'):
        made.infer(*seen(RGB))


def test_only_one_engine_records_at_a_time(eager, monkeypatch):
    """Two in one process, a thread each: torch cannot do it, nor free memory meanwhile."""
    *made, other = [eager(input_size=28) for _ in range(3)]
    for one in made:
        one.infer(*seen(RGB))
    inside, most = [], []
    make, empty = EagerGraph.__init__, torch.cuda.empty_cache

    def slow(self, *args):
        inside.append(self)
        most.append(len(inside))
        time.sleep(0.05)
        make(self, *args)
        inside.remove(self)

    def watched():
        most.append(len(inside) + 1)
        empty()

    monkeypatch.setattr(EagerGraph, '__init__', slow)
    monkeypatch.setattr(torch.cuda, 'empty_cache', watched)
    threads = [threading.Thread(target=one.infer, args=seen(RGB)) for one in made]
    threads += [threading.Thread(target=other.close)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most.count(1) == len(most) == 3


def test_pictures_that_come_once_cost_no_trials(eager, monkeypatch):
    """No search for the fastest kernels; all of fp32."""
    made = eager(input_size=28)
    flags = []
    forward = made._path.forward

    def watched(*args):
        cudnn = torch.backends.cudnn
        flags.append((cudnn.benchmark, cudnn.allow_tf32))
        return forward(*args)

    monkeypatch.setattr(made._path, 'forward', watched)
    made.infer(*seen(RGB))
    assert flags == [(False, False)]


def test_the_proof_leaves_nothing_behind(eager):
    """Its pictures have a size that no camera need have."""
    made = eager(input_size=28, precision='fp16')
    assert made.proof
    assert [graph.was_reset for graph in EagerGraph.made] == [True]
    assert not made._graphs
    made.infer(*seen(np.zeros((240, 320, 3), np.uint8)))
    assert len(EagerGraph.made) == 1


def small(monkeypatch, room):
    """Make the device (here a fake) have room for so many pictures at once; note what is tried."""
    run, tried = CudaEngine._run_reduced, []

    def limited(self, reduced, size, result):
        tried.append(len(reduced))
        if len(reduced) > room:
            raise torch.OutOfMemoryError('Tried to allocate 2.00 GiB')
        return run(self, reduced, size, result)

    monkeypatch.setattr(CudaEngine, '_run_reduced', limited)
    return tried


def test_a_batch_without_room_is_halved_once(eager, monkeypatch, caplog):
    """And the next one is not tried as a whole again."""
    made = eager(input_size=28)
    pictures = [RGB, 255 - RGB, RGB[::-1], RGB[:, ::-1], RGB]
    expected = [made.infer(*seen(rgb)) for rgb in pictures]
    tried = small(monkeypatch, 2)
    for _ in range(2):
        found = made.infer_batch(*all_seen(pictures))
        for one, depth in zip(expected, found, strict=True):
            np.testing.assert_allclose(depth, one, rtol=1e-4)
    assert tried == [5, 2, 2, 1, 2, 2, 1]
    assert 'from now on at most 2 at once' in caplog.text
    tried = small(monkeypatch, 0)
    with pytest.raises(FrameError, match='1 images of 40x30'):
        made.infer_batch(*all_seen(pictures))


@pytest.mark.parametrize(
    'said', ['CUDA error: no kernel image is available for execution', 'CUDA error: out of memory']
)
def test_a_device_that_cannot_run_it_is_told(eager, monkeypatch, said):
    """Asked for by name, it is refused; auto goes on to the CPU and says so."""

    def failing(*_):
        raise RuntimeError(said)

    monkeypatch.setattr(CudaEngine, '_run_once', failing)
    with pytest.raises(UnusableDeviceError, match=f'cpu cannot run the network: .*{said}'):
        eager()
    monkeypatch.setattr(
        devices, 'default_device', lambda tried=(): 'cpu' if 'cuda' in tried else 'cuda'
    )
    made = engine.create(EngineSettings('demo'))
    assert type(made).__name__ == 'TorchEngine'


@pytest.mark.parametrize(('asked', 'then'), [('fp32', 'fp32'), ('fp16', 'auto')])
def test_auto_falls_back_and_says_so(eager, monkeypatch, caplog, asked, then):
    """To OpenVINO, where it is installed; fp32 that was asked for stays."""
    pytest.importorskip('openvino', reason='OpenVINO is not installed')
    monkeypatch.setattr(devices, '_has_gpu', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    small(monkeypatch, 0)
    made = engine.create(EngineSettings('demo', precision=asked))
    assert made.device == 'openvino:CPU'
    assert made.precision == 'fp32' or then == 'auto'
    told = f'Tried to allocate 2.00 GiB; the device openvino is next, with precision {then}'
    assert told in caplog.text


def test_an_error_that_stays_is_not_the_frames(eager, monkeypatch):
    """What the device says to everything from then on (here a fake) is the process's end."""
    made = eager()

    def gone(*_):
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    monkeypatch.setattr(CudaEngine, '_run_once', gone)
    monkeypatch.setattr(CudaEngine, '_lasting_error', lambda _: 'CUDA error: illegal')
    with pytest.raises(DeviceLostError, match='cpu: CUDA error: illegal'):
        made.infer(*seen(RGB))
    made.close()


@pytest.mark.parametrize(
    'said',
    [
        'CUDA error: out of memory',
        'HIP error: out of memory',
        'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
        'CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`',
        'cuDNN error: CUDNN_STATUS_ALLOC_FAILED',
        'cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED',
        'GET was unable to find an engine to execute this computation',
    ],
)
def test_a_full_device_says_so_in_several_ways(eager, monkeypatch, said):
    """The driver's and cuBLAS's words are a matter of the frame, too."""
    made = eager(input_size=28)

    def full(*_):
        raise RuntimeError(said)

    monkeypatch.setattr(CudaEngine, '_run_once', full)
    with pytest.raises(FrameError, match='1 images of 40x30') as caught:
        made.infer(*seen(RGB))
    assert caught.value.cause == 'out_of_memory'
    assert not made._graphs


def test_a_device_that_is_lost_may_speak_of_memory(eager, monkeypatch):
    """What everything ends with goes before; what a full device says is not that."""
    made = eager(input_size=28)

    def said(*_):
        raise RuntimeError('CUDA error: CUBLAS_STATUS_NOT_INITIALIZED')

    monkeypatch.setattr(CudaEngine, '_run_once', said)
    monkeypatch.setattr(CudaEngine, '_lasting_error', LASTING_ERROR)
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, 'synchronize', no_room)
        with pytest.raises(FrameError, match='1 images of 40x30'):
            made.infer(*seen(RGB))

    def illegal(*_):
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    monkeypatch.setattr(torch.cuda, 'synchronize', illegal)
    with pytest.raises(DeviceLostError, match='illegal memory access'):
        made.infer(*seen(RGB[:20]))


@pytest.mark.parametrize('model', ['official', 'demo'])
def test_an_overflow_is_no_depth(indoor, eager, model):
    """In fp16 it would be infinite logits, and exactly the greatest depth."""
    made = eager(indoor if model == 'official' else 'demo', 28)
    network = made._path.network
    head = network.head if model == 'demo' else network.depth_head.scratch['output_conv2'][2]
    head.bias.fill_(torch.inf)
    for run in (made.infer_batch, made.estimate):
        with pytest.raises(FrameError, match='NaN at fp32') as caught:
            run(*all_seen([RGB]))
        assert caught.value.cause == 'network_not_finite'


def test_another_error_of_the_device_is_not_hidden(eager, monkeypatch):
    """Only memory is a matter of the frame."""
    made = eager()

    def gone(*_):
        raise RuntimeError('CUDA error: unspecified launch failure')

    monkeypatch.setattr(CudaEngine, '_run_once', gone)
    with pytest.raises(RuntimeError, match='unspecified launch failure'):
        made.infer(*seen(RGB))


@pytest.mark.parametrize(
    ('device', 'told'),
    [
        ('cuda:', "device is 'cuda:', expected auto, cpu, cuda, cuda:N"),
        ('cuda:99', r"device is 'cuda:99', but torch .* sees \d+ of CUDA"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, told):
    """Before any checkpoint is looked for."""
    with pytest.raises(EngineError, match=told):
        engine.create(EngineSettings('no such model', device=device))


@needs_cuda
@pytest.mark.parametrize(('precision', 'mean_error'), [('fp32', 1e-4), ('auto', 0.01)])
def test_cuda_agrees_with_the_official_depth(indoor, precision, mean_error):
    """On a GPU, where auto is fp16; the first run and its repetition."""
    recorded = golden.load('vits')
    made = engine.create(EngineSettings(indoor, input_size=252, device='cuda', precision=precision))
    assert made.device == 'cuda:0'
    expected = recorded['depth_0']
    for _ in range(2):
        depth = made.infer(*seen(recorded['rgb_0']))
        assert np.mean(np.abs(depth - expected) / expected) < mean_error


@needs_cuda
def test_sizes_do_not_leak_on_a_gpu(caplog):
    """The memory after many sizes is that after the first few."""
    caplog.set_level(logging.INFO)
    made = engine.create(EngineSettings('demo', device='cuda'))

    def run(widths):
        for width in widths:
            for _ in range(2):
                made.infer(*seen(np.zeros((480, width, 3), np.uint8)))
        return made.device_memory()

    first = run(range(640, 640 + 28 * CudaEngine.sizes, 28))
    assert run(range(640, 640 + 28 * 20, 28)) < 1.5 * first
    assert 'captured the network for pictures of' in caplog.text


@needs_cuda
def test_clouds_are_made_on_a_gpu():
    """Recorded, a frame is finished as on the host, in the memory of the message."""
    made = engine.create(EngineSettings('demo', device='cuda', precision='fp32'))
    rgb, camera = seen(RGB)
    picture = Picture(rgb, calibration_of(camera))
    pipeline, memory = Pipeline(made, Settings()), Buffer()
    for _ in range(4):
        (estimate,) = estimate_batch(made, [pipeline.prepare(picture)], may_stay=True)
        frame = pipeline.finish(estimate)
        points = pipeline.points(frame, memory)
    assert not isinstance(frame.source, np.ndarray)
    assert bytes(memory.data) == points.tobytes()
    assert torch.from_numpy(points).is_pinned()
    packed = pack_points(frame.depth, frame.camera.ray_maps, rgb)
    np.testing.assert_array_equal(points[..., :3], packed[..., :3])
    np.testing.assert_array_equal(points[..., 3].view(np.uint32), packed[..., 3].view(np.uint32))


@needs_cuda
def test_depth_belongs_to_the_caller_on_a_gpu():
    """The next picture does not overwrite it."""
    made = engine.create(EngineSettings('demo', device='cuda'))
    first = made.infer(*seen(RGB))
    kept = first.copy()
    made.infer(*seen(255 - RGB))
    np.testing.assert_array_equal(first, kept)


def test_the_networks_own_output(eager):
    """What is not resized, in memory of its own: enlarged, it is the depth of the picture."""
    check_own_output(eager(), RGB)
