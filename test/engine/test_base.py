# SPDX-License-Identifier: Apache-2.0
"""What every engine does around its network: one picture at a time, and an orderly end."""

import threading

import numpy as np
import pytest

from depth_pcd_ros import engine
from depth_pcd_ros.engine import Engine, EngineError
from depth_pcd_ros.geometry.calibration import CameraError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks.depth_anything_v2 import DepthAnythingV2
from depth_pcd_ros.settings import EngineSettings, Settings
from test.support import golden
from test.support.fake_engine import FakeEngine, all_seen, seen

RGB = np.zeros((30, 40, 3), np.uint8)


class SlowEngine(FakeEngine):
    """Its pictures stay in the network until `go`; says whether one was there as it was freed."""

    def __init__(self):
        super().__init__(self.see)
        self.inside, self.go = threading.Event(), threading.Event()
        self.most = self.there = 0
        self.freed_under = None

    def see(self, rgb):
        """2 m."""
        self.there += 1
        self.most = max(self.most, self.there)
        self.inside.set()
        assert self.go.wait(10)
        self.there -= 1
        return 2.0

    def _free(self):
        self.freed_under = self.there


def started(*run):
    """A thread that does it."""
    thread = threading.Thread(target=run[0], args=run[1:])
    thread.start()
    return thread


def test_one_picture_at_a_time_whichever_thread_brings_it():
    """Several cameras may share an engine."""
    made = SlowEngine()
    threads = [started(made.infer, *seen(RGB)) for _ in range(4)]
    assert made.inside.wait(10)
    made.go.set()
    for thread in threads:
        thread.join(10)
    assert (made.most, made.there) == (1, 0)


def test_closing_waits_for_the_picture_in_the_network():
    """Its memory is never freed under it."""
    made = SlowEngine()
    picture = started(made.infer, *seen(RGB))
    assert made.inside.wait(10)
    closing = started(made.close)
    closing.join(0.2)
    assert closing.is_alive()
    assert made.freed_under is None
    made.go.set()
    closing.join(10)
    picture.join(10)
    assert made.freed_under == 0
    with pytest.raises(RuntimeError, match='closed'):
        made.infer(*seen(RGB))


def test_the_camera_is_the_pictures():
    """One of another size is refused, for each picture of a batch."""
    other = Camera(30, 40, 50.0, 50.0, 15.0, 20.0)
    with pytest.raises(CameraError, match='image 40x30 but CameraInfo 30x40'):
        FakeEngine().infer(RGB, other)
    with pytest.raises(CameraError, match='image 40x30'):
        FakeEngine().infer_batch([RGB, RGB], [seen(RGB)[1], other])


def test_a_batch_has_a_camera_for_each_picture():
    """Depth in metres may depend on it."""
    with pytest.raises(ValueError, match='argument'):
        FakeEngine().infer_batch([RGB, RGB], [seen(RGB)[1]])


def test_focal_correction_by_hand(tmp_path):
    """f_net = 500 x 518 / 30 by 886.81 x 518 / 768 of Hypersim: the depth and where it ends."""
    network = DepthAnythingV2(tmp_path / golden.INDOOR, focal_correction=True)
    made = FakeEngine(0.1, network=network)
    expected = (500 * 518 / 30) / (886.81 * 518 / 768)
    rgb, camera = seen(RGB)
    np.testing.assert_allclose(made.infer(rgb, camera), 0.1 * expected, rtol=1e-6)
    assert made.farthest(camera) == pytest.approx(20 * expected)
    plain = FakeEngine(0.1, network=DepthAnythingV2(tmp_path / golden.INDOOR))
    np.testing.assert_allclose(plain.infer_batch(*all_seen([rgb]))[0], np.float32(0.1))
    assert plain.farthest(camera) == 20


def test_every_engine_of_the_table_is_one():
    """Modules that are there, with a class of that name."""
    import importlib

    for module, name in engine.ENGINES.values():
        assert issubclass(getattr(importlib.import_module(module), name), Engine)


def test_settings_of_an_engine_are_those_of_its_name():
    """With the defaults of the node."""
    assert Settings().engine == EngineSettings()
    changed = {'model': 'demo', 'device': 'cpu', 'input_size': 56, 'focal_correction': True}
    assert Settings().replace(changed).engine == EngineSettings(**changed)
    with pytest.raises(EngineError, match="device is 'gpu'"):
        engine.create(EngineSettings(device='gpu'))
