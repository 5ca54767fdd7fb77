# SPDX-License-Identifier: Apache-2.0
"""Which CameraInfo belongs to an image. No middleware."""

import dataclasses
import threading
import time

import pytest

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.sync.camera_infos import KEPT, PATIENCE, RECENT, CameraInfos


def calibration(focal, width=64, height=48):
    """An ideal lens of a focal length [px]."""
    return Calibration(width, height, k=(focal, 0.0, 32.0, 0.0, focal, 24.0, 0.0, 0.0, 1.0))


def find(infos, stamp_ns, width=64, height=48):
    """The focal length found for an image, and how long it took."""
    start = time.monotonic()
    found = infos.find(stamp_ns, 'camera', width, height)
    return found.k[0], time.monotonic() - start


def test_own_stamp_then_newest_that_fits():
    """The image's own one is taken; without it, the newest of the image's size."""
    infos = CameraInfos()
    infos.add(1, 'camera', calibration(10.0))
    infos.add(2, 'camera', calibration(20.0))
    infos.add(3, 'camera', calibration(30.0, width=128))
    assert find(infos, 1)[0] == 10.0
    assert find(infos, 7)[0] == 20.0
    assert find(infos, 7, width=128)[0] == 30.0


def test_own_stamp_behind_a_slow_network():
    """An image that waited while a thousand others came still has its own; at last it is gone."""
    live, infos = CameraInfos(RECENT), CameraInfos()
    for stamp_ns in range(RECENT + 1):
        live.add(stamp_ns, 'camera', calibration(10.0 + stamp_ns))
    assert find(live, 1)[0] == 11.0
    assert find(live, 0)[0] == 10.0 + RECENT  # of a live camera's images none is that late
    infos.add(0, 'camera', calibration(5.0))
    for stamp_ns in range(1, KEPT + 1):
        infos.add(stamp_ns, 'camera', calibration(10.0 + stamp_ns % 1000))
        infos.add(stamp_ns, 'other', calibration(20.0))
        if stamp_ns == 1000:
            assert find(infos, 0)[0] == 5.0
            assert find(infos, 7)[0] == 17.0
    assert find(infos, 0)[0] == 10.0 + KEPT % 1000
    infos.add(0, 'camera', calibration(5.0))  # a recording from its beginning
    infos.add(KEPT + 1, 'camera', calibration(30.0))
    assert find(infos, 0)[0] == 5.0


def test_image_waits_for_its_own():
    """Where the image before had its own CameraInfo, the next image's is waited for."""
    infos = CameraInfos()
    infos.add(1, 'camera', calibration(10.0))
    assert find(infos, 1)[0] == 10.0
    threading.Timer(PATIENCE / 2, infos.add, (2, 'camera', calibration(20.0))).start()
    focal, took = find(infos, 2)
    assert focal == 20.0
    assert 0.01 <= took < PATIENCE


def test_no_waiting_in_vain():
    """One that does not come is waited for once; unrelated stamps are never waited for."""
    infos = CameraInfos()
    infos.add(1, 'camera', calibration(10.0))
    assert find(infos, 1)[1] < PATIENCE
    assert find(infos, 2)[1] >= PATIENCE
    assert find(infos, 3) == (10.0, pytest.approx(0.0, abs=PATIENCE / 2))


def test_what_does_not_fit_is_told():
    """Frame and size are compared with the newest."""
    infos = CameraInfos()
    with pytest.raises(FrameError, match='no CameraInfo yet'):
        find(infos, 1)
    infos.add(1, 'camera', calibration(10.0))
    with pytest.raises(FrameError, match='image 65x48 but CameraInfo 64x48'):
        find(infos, 1, width=65)
    with pytest.raises(FrameError, match="image in frame 'lens' but CameraInfo in frame 'camera'"):
        infos.find(1, 'lens', 64, 48)


@pytest.mark.parametrize(
    ('frame', 'image_frame'),
    [('', 'camera'), ('/camera', 'camera'), ('camera', '/camera'), ('/camera', '/camera')],
)
def test_a_frame_that_contradicts_nothing(frame, image_frame):
    """An empty one, and a slash before it: by stamp and by size."""
    infos = CameraInfos()
    infos.add(1, frame, calibration(10.0))
    infos.add(2, frame, calibration(20.0))
    assert infos.find(1, image_frame, 64, 48).k[0] == 10.0
    assert infos.find(7, image_frame, 64, 48).k[0] == 20.0
    assert not infos.add(3, frame, calibration(20.0))
    assert infos.add(4, frame, calibration(30.0))


def test_any_frame():
    """On a topic that the user has named the size decides, and the stamp before it."""
    infos = CameraInfos(any_frame=True)
    infos.add(1, 'lens', calibration(10.0))
    infos.add(2, 'lens', calibration(20.0))
    assert find(infos, 1)[0] == 10.0
    assert find(infos, 7)[0] == 20.0
    with pytest.raises(FrameError, match='image 65x48 but CameraInfo 64x48'):
        find(infos, 7, width=65)


def test_a_size_that_roi_or_binning_makes():
    """The sentence has them: drivers set them for pictures that are not binned, or not any more."""
    infos = CameraInfos()
    infos.add(1, 'camera', dataclasses.replace(calibration(10.0), binning_x=2, binning_y=2))
    told = r'image 64x48 but CameraInfo 32x24 \(binning 2x2 of 64x48\)'
    with pytest.raises(FrameError, match=told):
        infos.find(7, 'camera', 64, 48)
    window = dataclasses.replace(calibration(10.0), roi=(8, 4, 40, 30), binning_x=2)
    infos.add(2, 'camera', window)
    told = r'CameraInfo 20x30 \(ROI 40x30 at \(8, 4\) and binning 2x1 of 64x48\)'
    with pytest.raises(FrameError, match=told):
        infos.find(7, 'camera', 64, 48)


def test_an_unusable_one_is_handed_on():
    """It counts as fitting, so that the pipeline tells what is wrong with it."""
    infos = CameraInfos()
    infos.add(1, 'camera', calibration(10.0))
    broken = calibration(float('nan'))
    infos.add(2, 'camera', broken)
    assert infos.find(2, 'camera', 64, 48) is broken


def test_a_change_is_noticed():
    """`add` tells when the calibration of a frame and size changes, not when it comes again."""
    infos = CameraInfos()
    assert not infos.add(1, 'camera', calibration(10.0))
    assert not infos.add(2, 'camera', calibration(10.0))
    assert not infos.add(3, 'other', calibration(20.0))
    assert not infos.add(4, 'camera', calibration(20.0, width=128))
    assert infos.add(5, 'camera', calibration(11.0))
    assert not infos.add(6, 'camera', calibration(11.0))
