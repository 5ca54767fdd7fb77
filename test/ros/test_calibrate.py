# SPDX-License-Identifier: Apache-2.0
"""depth-pcd calibrate-scale on live topics; the engine is a fake whose depth is a ramp."""

import re
import threading
import time

import pytest
import yaml
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from depth_pcd_ros.calibrate import command
from depth_pcd_ros.cli import main

from .fake_engine import FakeEngine
from .ramp_messages import cloud, picture


class SlowRamp(FakeEngine):
    """Slower than the camera."""

    def see(self, rgb):
        """The ramp, after a while."""
        time.sleep(0.3)
        return super().see(rgb)


@pytest.mark.parametrize(('engine', 'at_least'), [(FakeEngine, 1), (SlowRamp, 4)])
def test_live(peer, monkeypatch, capsys, engine, at_least):
    """A camera and a lidar on their own topics; each picture but the first has a new reading."""
    monkeypatch.setattr(command, 'create', lambda *_: engine('ramp'))
    images = peer.publisher('/cam/image_raw', Image, wait=False)
    infos = peer.publisher('/cam/camera_info', CameraInfo, wait=False)
    clouds = peer.publisher('/lidar', PointCloud2, wait=False)
    done = threading.Event()

    def publish():
        tenths = 100
        while not done.wait(0.05):
            image, info = picture(tenths)
            info.header = image.header
            clouds.publish(cloud(1.2, tenths))
            infos.publish(info)
            images.publish(image)
            tenths += 1

    thread = threading.Thread(target=publish)
    thread.start()
    args = ['--image-topic', '/cam/image_raw', '--camera-info-topic', '/cam/camera_info']
    args += ['--scale-topic', '/lidar', '--scale-source', 'points', '--frames', '5']
    try:
        assert main(['calibrate-scale', *args]) == 0
    finally:
        done.set()
        thread.join()
    told = capsys.readouterr()
    line = told.out.splitlines()[-1]
    found = yaml.safe_load(line)['depth_scale']
    assert int(re.search('median of ([0-9]+) pictures', line)[1]) >= at_least, told.err
    assert found == pytest.approx(1.2, rel=1e-3)


def test_no_camera(peer, monkeypatch, capsys):
    """It ends with what is missing."""
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine('ramp'))
    assert main(['calibrate-scale', '--distance', '2', '--wait', '0.5']) == 1
    told = capsys.readouterr().err
    assert 'nothing to measure on for 0.5 s: no image on /image (/camera_info: no pub' in told
