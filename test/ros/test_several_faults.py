# SPDX-License-Identifier: Apache-2.0
"""What one of several cameras does costs the others no more than its turn."""

import signal
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from .conftest import NodeProcess, make_image, make_info, wait_until
from .test_several_cameras import CAMERAS, NAMES, check_cloud, show, statuses, values

SIZES = ((64, 48), (80, 60), (96, 72), (48, 64))


class Shower:
    """Publishes the images of one camera, each with its CameraInfo unless it has none."""

    def __init__(self, peer, name, sizes=SIZES[:1], has_info=True):
        self.images = peer.publisher(f'/{name}/image', Image)
        self.infos = peer.publisher(f'/{name}/camera_info', CameraInfo)
        self.pictures = [make_image(*size) for size in sizes]
        self.name, self.has_info, self.sent = name, has_info, 0

    def show(self):
        """Publish the next one."""
        image = self.pictures[self.sent % len(self.pictures)]
        image.header.frame_id = self.name
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        if self.has_info:
            width, height = image.width, image.height
            info = make_info(width, height, 50.0, 50.0, width / 2, height / 2)
            info.header = image.header
            self.infos.publish(info)
        self.images.publish(image)
        self.sent += 1


def run(showers, hz, seconds):
    """Let cameras publish, each at its rate [Hz]."""
    period = {shower: 1.0 / hz[shower.name] for shower in showers}
    start = time.monotonic()
    due = dict.fromkeys(showers, start)
    while (now := time.monotonic()) < start + seconds:
        for shower in showers:
            if now >= due[shower]:
                shower.show()
                due[shower] = max(due[shower] + period[shower], now)
        time.sleep(0.002)


def count_clouds(peer, names):
    """Count the clouds of each camera from now on."""
    for name in names:
        clouds = peer.subscribe(f'/{name}/points', PointCloud2)
        assert not clouds
    return lambda: {name: len(peer.received[f'/{name}/points']) for name in names}


def test_no_camera_starves(run_node, peer):
    """Two of one rate and one ten times as fast, on a network that is too slow: all get as much."""
    names = ['one', 'other', 'fast']
    run_node({'model': 'slow:0.05', 'cameras': f'[{", ".join(names)}]'}, fake=True)
    clouds = count_clouds(peer, names)
    run([Shower(peer, name) for name in names], {'one': 10, 'other': 10, 'fast': 100}, 6.0)
    found = clouds()
    assert min(found['one'], found['other']) >= 0.8 * max(found['one'], found['other']), found
    assert found['fast'] <= 1.3 * min(found['one'], found['other']), found
    assert sum(found.values()) >= 40, found  # of 120 that the network could do


def test_a_fast_camera_takes_nothing_from_others(run_node, peer):
    """Where the network has time for more than the slow ones send, they get all that they want."""
    names = ['one', 'other', 'fast']
    run_node({'model': 'slow:0.02', 'cameras': f'[{", ".join(names)}]'}, fake=True)
    clouds = count_clouds(peer, names)
    showers = [Shower(peer, name) for name in names]
    run(showers, {'one': 10, 'other': 10, 'fast': 100}, 6.0)
    sent = {shower.name: shower.sent for shower in showers}
    for name in ('one', 'other'):
        assert wait_until(lambda n=name: clouds()[n] >= 0.9 * sent[n], 2.0), (clouds(), sent)
    assert clouds()['fast'] > clouds()['one'], clouds()  # of the 30 a second that are left


def test_faults_of_one_camera_are_its_own(run_node, peer):
    """Killed, torn, without CameraInfo, of another size each time: the good one gets its clouds."""
    names = ['good', 'killed', 'torn', 'uninformed', 'changing']
    run_node({'model': 'slow:0.01', 'cameras': f'[{", ".join(names)}]'}, fake=True)
    clouds = count_clouds(peer, names)
    rules = [f'{topic}:=/killed/{topic}' for topic in ('image', 'camera_info')]
    remapped = [part for rule in rules for part in ('-r', rule)]
    camera = NodeProcess(['camera', 'RELIABLE', '--ros-args', *remapped], 'test.ros.stream')
    good = Shower(peer, 'good')
    try:
        assert wait_until(lambda: clouds()['killed'] > 5, 20.0), camera.log
        run([good], {'good': 10}, 3.0)
    finally:
        camera.stop(signal.SIGKILL)
    run([good], {'good': 10}, 3.0)
    assert wait_until(lambda: clouds()['good'] >= 0.9 * good.sent, 2.0), clouds()
    torn = Shower(peer, 'torn')
    torn.pictures[0].data = torn.pictures[0].data[:-1]
    others = [
        torn,
        Shower(peer, 'uninformed', has_info=False),
        Shower(peer, 'changing', sizes=SIZES),
    ]
    before, sent = clouds()['good'], good.sent
    hz = {'good': 10, 'torn': 30, 'uninformed': 30, 'changing': 30}
    run([good, *others], hz, 6.0)
    enough = lambda: clouds()['good'] - before >= 0.9 * (good.sent - sent)  # noqa: E731
    assert wait_until(enough, 2.0), clouds()
    assert len({(c.width, c.height) for c in peer.received['/changing/points']}) == len(SIZES)
    assert not peer.received['/torn/points']
    assert not peer.received['/uninformed/points']

    showing = threading.Event()

    def show():
        while not showing.is_set():
            run([good, *others], hz, 0.2)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        told = lambda found: found['good'].level == DiagnosticStatus.OK  # noqa: E731
        found = statuses(peer, told)
    finally:
        showing.set()
        thread.join()
    assert found['changing'].level == DiagnosticStatus.OK
    assert (found['killed'].level, found['torn'].level) == (
        DiagnosticStatus.STALE,
        DiagnosticStatus.ERROR,
    )
    assert 'no image for' in found['killed'].message
    assert 'bytes' in found['torn'].message
    assert found['uninformed'].level == DiagnosticStatus.ERROR
    assert 'no CameraInfo yet on /uninformed/camera_info' in found['uninformed'].message
    assert int(values(found['torn'])['frames dropped: short_data']) > 0


def test_a_camera_without_subscribers_is_not_computed(run_node, peer):
    """Nothing of it enters the network, and the other one has it for itself."""
    run_node({'model': 'slow:0.05', 'cameras': '[seen, unseen]'}, fake=True)
    peer.subscribe('/seen/points', PointCloud2)
    showers = [Shower(peer, 'seen'), Shower(peer, 'unseen')]
    run(showers, {'seen': 10, 'unseen': 100}, 3.0)
    found = statuses(peer, lambda all_: len(all_) == 2)
    assert int(values(found['unseen'])['frames processed']) == 0
    assert int(values(found['unseen'])['frames nobody subscribed to']) > 0
    assert len(peer.received['/seen/points']) >= 0.9 * showers[0].sent


def test_at_10_hz_each_cloud_is_that_of_its_image(run_node, peer):
    """Of the demo model and cameras that all send at once: as many of each, and none mixed up."""
    run_node({'model': 'demo', 'cameras': NAMES, 'edge_filter': 0.0})
    clouds = {name: peer.subscribe(f'/{name}/points', PointCloud2) for name in CAMERAS}
    images = {name: {} for name in CAMERAS}
    start = time.monotonic()
    for second in range(1, 61):  # of the stamps; ten of them pass in one
        for name in CAMERAS:
            images[name][100 * [*CAMERAS].index(name) + second] = show(peer, name, second)
        time.sleep(max(start + second / 10 - time.monotonic(), 0.0))
    assert wait_until(lambda: all(len(some) >= 0.8 * 60 for some in clouds.values()))
    for name, some in clouds.items():
        for cloud in some:
            check_cloud(cloud, name, images[name][cloud.header.stamp.sec])
