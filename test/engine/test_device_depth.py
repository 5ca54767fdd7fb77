# SPDX-License-Identifier: Apache-2.0
"""Depth that stays on its device: its frames and clouds are the kernels' own, to the bit."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pcd_ros.cloud.filters import flying
from depth_pcd_ros.engine import device_depth
from depth_pcd_ros.engine.device_depth import DeviceDepth, Lane
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.networks.depth_anything_3 import DepthAnything3
from depth_pcd_ros.pipeline import Pipeline, estimate_batch
from depth_pcd_ros.settings import Settings
from test.support.cameras import CAMERAS, HEIGHT, STEREO_P, STEREO_R, WIDTH, calibration_of
from test.support.fake_engine import FakeEngine, SkyFamily
from test.support.on_device import OnDevice

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
V, U = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
# Floor, boxes with soft edges, and some noise, which makes ramps of all kinds; from 0.05 to 25 m.
STEPS = np.tanh(np.sin(U / 31) * np.cos(V / 17) * 8)
DEPTH = (0.05 + V / 40 + 6 * (1 + STEPS)) * RNG.normal(1, 0.01, V.shape).astype(np.float32)
IDEAL = Picture(RGB, calibration_of(CAMERAS['ideal']))
STRONG = Picture(RGB, calibration_of(CAMERAS['strong']))
STEREO = Picture(
    RGB, calibration_of(CAMERAS['strong'], r=tuple(STEREO_R.ravel().tolist()), p=STEREO_P)
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
DEVICES = ['cpu', pytest.param('cuda', marks=needs_cuda)]


@pytest.fixture(params=DEVICES)
def there(request, monkeypatch):
    """The device where depth stays."""
    monkeypatch.setattr(OnDevice, 'lane', Lane(request.param))


def estimated(pipeline, picture):
    """What the node has of a picture after the network."""
    return estimate_batch(pipeline.engine, [pipeline.prepare(picture)], may_stay=True)[0]


def same(picture, depth=DEPTH, network=None, *, stays=True, with_confidence=False, **settings):
    """Check that frames and clouds are the same, and return the frame."""
    made = Settings().replace(settings)
    frames, clouds = [], []
    for kind in (FakeEngine, OnDevice):
        pipeline, memory = Pipeline(kind(depth, network=network), made), Buffer()
        for _ in range(3):  # one after another in the same memory
            frame = pipeline.finish(estimated(pipeline, picture), with_confidence=with_confidence)
            points = pipeline.points(frame, memory)
        assert bytes(memory.data) == points.tobytes()
        frames.append(frame)
        clouds.append(points)
    expected, frame = frames
    assert isinstance(frame.source, np.ndarray) is not stays
    assert 0 < frame.valid_count == expected.valid_count < frame.depth.size
    assert (frame.max_range, frame.camera) == (expected.max_range, expected.camera)
    assert frame.calibration == expected.calibration
    for name in ('rgb', 'depth', 'sky', 'confidence'):
        np.testing.assert_array_equal(getattr(frame, name), getattr(expected, name), name)
    known, points = clouds
    assert points.shape == known.shape
    np.testing.assert_array_equal(points[..., :3], known[..., :3])
    np.testing.assert_array_equal(points[..., 3:].view(np.uint32), known[..., 3:].view(np.uint32))
    return frame


@pytest.mark.parametrize('name', CAMERAS)
def test_every_lens(there, name):
    """Rays, pixels without one, and the edges that depend on them."""
    same(Picture(RGB, calibration_of(CAMERAS[name])))


@pytest.mark.parametrize('limit', [0.0, 20.0, 60.0, 80.0, 88.0, 89.9])
def test_every_edge_filter(there, limit):
    """As many flying pixels, and the same ones."""
    for picture in (IDEAL, STRONG):
        frame = same(picture, edge_filter=limit)
        if 0.0 < limit < 89.0:
            assert frame.valid_count < same(picture, edge_filter=0.0).valid_count


@pytest.mark.parametrize(
    'settings',
    [
        {'depth_scale': 1.3},
        {'min_depth': 1.0, 'max_range': 7.3},
        {'cloud_fields': 'xyz'},
        {'organized': False},
        {'organized': False, 'cloud_fields': 'xyz'},
        {'stride': 2},
        {'stride': 7, 'organized': False},
        {'resolution': 'network'},
        {'resolution': 'network', 'stride': 3, 'depth_scale': 0.7},
        {'distortion': 'rectify'},
        {'distortion': 'rectify', 'resolution': 'network'},
        {'distortion': 'ignore'},
    ],
    ids=str,
)
def test_settings(there, settings):
    """Of the filters and the cloud; an ideal lens and one that does not see all."""
    same(IDEAL, **settings)
    same(STRONG, **settings)


def test_rectified_pictures(there):
    """P of the CameraInfo, and a rectification that leaves pixels empty."""
    same(STEREO, rectified=True)
    same(STEREO, distortion='rectify')


@pytest.mark.parametrize('stride', [1, 2])
def test_sky(there, stride):
    """It has no depth, and the frame knows where it is."""
    depth = np.where(V < 100, np.nan, DEPTH)
    frame = same(IDEAL, depth, SkyFamily(Path(), 0.0), stride=stride)
    assert frame.sky.sum() == 100 * WIDTH / stride**2


def test_metres_of_a_focal_length(there):
    """Depth Anything 3 makes metres of a tensor as of an array."""
    network, camera = DepthAnything3(Path()), CAMERAS['ideal']
    maps = np.stack([DEPTH, V / HEIGHT]).astype(np.float32)
    depth = DeviceDepth(
        torch.tensor(maps, device=OnDevice.lane.device), network, camera, OnDevice.lane
    )
    np.testing.assert_array_equal(depth.numpy(), network.metres(maps.copy(), camera))


@pytest.mark.parametrize(
    'settings',
    [{'voxel_size': 0.2}, {'voxel_size': 0.2, 'cloud_fields': 'xyz'}],
    ids=str,
)
def test_voxels(there, settings):
    """The filtered depth comes back for them."""
    same(IDEAL, **settings)


@pytest.mark.parametrize(
    'settings',
    [
        {'temporal_filter': 0.9},
        {'min_confidence': 10.0},
        {'with_confidence': True},
        {'scale_source': 'plane', 'camera_height': 1.0},
    ],
    ids=str,
)
def test_what_needs_the_depth_on_the_host(there, settings):
    """The depth of the network comes back, and the rest is as ever."""
    same(IDEAL, stays=False, **settings)


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)])
def test_tiny_pictures(there, shape):
    """A border has no neighbours."""
    depth = torch.tensor(RNG.uniform(1, 5, shape), dtype=torch.float32)
    camera = Camera(shape[1], shape[0], 5.0, 5.0, 1.0, 1.0)
    found = device_depth._flying(depth, device_depth._chords(depth.device, camera, 60.0))
    expected = np.zeros(shape, bool)
    expected.reshape(-1)[flying(depth.numpy(), camera, 60.0)] = True
    np.testing.assert_array_equal(found, expected)


def test_nothing_comes_back_unasked(there, monkeypatch):
    """A number for the diagnostics; the cloud; and the depth once somebody reads it, once."""
    sent, to_host, send = [], device_depth.to_host, Lane.send
    monkeypatch.setattr(
        device_depth, 'to_host', lambda values: (sent.append(values.numel()), to_host(values))[1]
    )
    monkeypatch.setattr(
        Lane,
        'send',
        lambda self, values, memory: (sent.append(values.numel()), send(self, values, memory))[1],
    )
    pipeline = Pipeline(OnDevice(DEPTH), Settings())
    frame = pipeline.finish(estimated(pipeline, IDEAL))
    assert 0.0 < frame.valid_fraction < 1.0
    assert sent == [1]
    pipeline.points(frame)
    assert sent == [1, 4 * RGB[..., 0].size]
    assert frame.depth is frame.depth
    assert sent[2:] == [RGB[..., 0].size]


def test_without_room_the_frame_is_dropped(monkeypatch, caplog):
    """With the cause that the diagnostics count, and the depth should stay no more."""
    monkeypatch.setattr(OnDevice, 'lane', Lane('cpu'))
    pipeline = Pipeline(OnDevice(DEPTH), Settings())

    def full(*_):
        raise torch.OutOfMemoryError('Tried to allocate 2.00 GiB')

    monkeypatch.setattr(device_depth, '_flying', full)
    with pytest.raises(FrameError, match='cpu: Tried to allocate 2') as caught:
        pipeline.finish(estimated(pipeline, IDEAL))
    assert caught.value.cause == 'out_of_memory'
    assert OnDevice.lane.full
    assert 'the CPU makes them' in caplog.text


class Driver:
    """Stands for the CUDA driver: what memory it knows."""

    def __init__(self, error=0):
        self.error = error
        self.known = {}

    def cudaHostRegister(self, address, size, flags):  # noqa: N802
        """From now on, unless there is an error."""
        if not self.error:
            self.known[address] = size
        return self.error

    def cudaHostUnregister(self, address):  # noqa: N802
        """No more."""
        del self.known[address]
        return 0


@pytest.fixture
def lane():
    """A lane as on a GPU, on the CPU."""
    made = Lane('cpu')
    made._stream = 'a stream'
    return made


def test_memory_that_is_used_again_is_pinned(monkeypatch, lane):
    """Just the bytes of the message, until they go or have another size."""
    driver = Driver()
    monkeypatch.setattr(torch.cuda, 'cudart', lambda: driver)
    memory, cloud = Buffer(), torch.arange(12.0).reshape(4, 3)
    lane.send(cloud, memory)
    assert not driver.known
    for _ in range(2):
        out = lane.send(cloud, memory)
        assert driver.known == {memory.data.buffer_info()[0]: len(memory.data)}
    np.testing.assert_array_equal(out, cloud)
    before = memory.data
    del out
    lane.send(cloud[:2], memory)
    assert memory.data is not before  # pinned memory is not given back, nor grown, as it is
    assert len(before) == 48
    assert not driver.known
    lane.send(cloud[:2], memory)
    assert driver.known == {memory.data.buffer_info()[0]: 24}
    del memory
    gc.collect()
    assert not driver.known


def test_memory_that_cannot_be_pinned_is_used_all_the_same(monkeypatch, lane, caplog):
    """It is told once, and the error does not reach the next launch."""
    driver, launched = Driver(error=801), []

    def launch(*_, **__):
        launched.append(1)
        raise RuntimeError('CUDA error: operation not supported')

    monkeypatch.setattr(torch.cuda, 'cudart', lambda: driver)
    monkeypatch.setattr(torch, 'zeros', launch)
    memory, cloud = Buffer(), torch.arange(12.0)
    for _ in range(4):
        np.testing.assert_array_equal(lane.send(cloud, memory), cloud)
    assert launched == [1]
    assert caplog.text.count('is not pinned: 801') == 1
    del memory
    gc.collect()
