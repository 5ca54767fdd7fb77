# SPDX-License-Identifier: Apache-2.0
"""depth-pcd view: a page in headless Chromium that shows the cloud and turns and zooms it."""

import argparse
import base64
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_pcd_ros.cli import main
from depth_pcd_ros.cloud.unproject import pack_points
from depth_pcd_ros.files.pcd import write_pcd
from depth_pcd_ros.files.ply import write_ply
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.recordings.clouds import recorded_clouds
from depth_pcd_ros.recordings.reader import RecordingError, open_recording
from depth_pcd_ros.recordings.store import TYPES as T
from depth_pcd_ros.show import view
from depth_pcd_ros.show.view import clouds_of_files

from ..support.recordings import cameras, header, record

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 1200, 800
RED, BLUE = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)


def wall(colour=RED):
    """Points of a wall of 2 m x 1.5 m, 2 m away."""
    camera = Camera(200, 150, fx=200.0, fy=200.0, cx=100.0, cy=75.0)
    depth = np.full((150, 200), 2.0, np.float32)
    return pack_points(depth, camera.ray_maps, np.broadcast_to(colour, (150, 200, 3)))


def red_wall(path):
    """A red wall as PLY."""
    write_ply(path, wall())
    return path


def three_walls(folder, kind):
    """Blue, red, blue: in files, or in a recording."""
    walls = [wall(colour) for colour in (BLUE, RED, BLUE)]
    if kind == 'recording':
        clouds = [cloud_message(T, points, header(i)) for i, points in enumerate(walls)]
        return record(folder, [('/points', cloud) for cloud in clouds])
    folder.mkdir()
    write_ply(folder / '0.ply', walls[0])
    write_pcd(folder / '1.pcd', walls[1])
    write_ply(folder / '2.ply', walls[2])
    return folder


class Browser:
    """A tab of headless Chromium, spoken to by its DevTools protocol."""

    def __init__(self, executable: str, profile: Path, address: str) -> None:
        options = ['--headless=new', '--no-sandbox', '--remote-debugging-port=0', '--mute-audio']
        options += ['--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--no-first-run']
        options += [f'--user-data-dir={profile}', f'--window-size={WIDTH},{HEIGHT}']
        self.process = subprocess.Popen([executable, *options, address], stderr=subprocess.DEVNULL)
        port_file = profile / 'DevToolsActivePort'
        port = wait_for(lambda: port_file.is_file() and port_file.read_text().split('\n')[0])
        tabs = wait_for(lambda: self._tabs(port))
        from websockets.sync.client import connect

        self._socket = connect(tabs[0]['webSocketDebuggerUrl'], max_size=None)
        self._count = 0

    def _tabs(self, port: str):
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/json') as answer:
            return [tab for tab in json.load(answer) if tab['url'].startswith('http')]

    def call(self, method: str, **params):
        """Call a method of the protocol and return its result."""
        self._count += 1
        self._socket.send(json.dumps({'id': self._count, 'method': method, 'params': params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=30))
            if answer.get('id') == self._count:
                assert 'error' not in answer, answer
                return answer['result']

    def red(self) -> np.ndarray:
        """Which pixels of the page are red, (H, W)."""
        data = base64.b64decode(self.call('Page.captureScreenshot', format='png')['data'])
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
        return (bgr[..., 2] > 180) & (bgr[..., :2].max(axis=2) < 80)

    def press(self, key: str) -> None:
        """Press a key where the slider is."""
        focus = "document.querySelector('[role=slider]').focus()"
        self.call('Runtime.evaluate', expression=focus)
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key)

    def has(self, text: str) -> bool:
        """Whether the page has this text."""
        script = f'document.body.innerText.includes({json.dumps(text)})'
        return self.call('Runtime.evaluate', expression=script)['result'].get('value', False)

    def mouse(self, kind: str, x: int, y: int, **more) -> None:
        """Send a mouse event."""
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def close(self) -> None:
        """End."""
        self._socket.close()
        self.process.terminate()
        self.process.wait(10)


def wait_for(condition, timeout: float = 40.0):
    """Wait until a condition gives something, and return it."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.fixture
def browser(tmp_path, address) -> Iterator[Browser]:
    """A browser at the page, where there is one."""
    executable = shutil.which('chromium') or shutil.which('chromium-browser')
    if executable is None:
        pytest.skip('Chromium is not installed')
    browser = Browser(executable, tmp_path / 'profile', address)
    yield browser
    browser.close()


@pytest.fixture
def address(tmp_path, request) -> Iterator[str]:
    """The address of the page for a red wall, or for three walls of a kind."""
    pytest.importorskip('viser')
    kind = getattr(request, 'param', '')
    path = three_walls(tmp_path / 'walls', kind) if kind else red_wall(tmp_path / 'wall.ply')
    command = [sys.executable, '-u', '-m', 'depth_pcd_ros.cli', 'view', str(path)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    lines = (line.strip() for line in server.stdout)
    yield next(line for line in lines if line.startswith('http://'))
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 130


@pytest.mark.parametrize(('stride', 'times'), [(1, 1.0), (2, 2.0), (3, 3.0), (60, 4.0)])
def test_points_touch(stride, times):
    """Those of fewer pixels are as much larger, within bounds; none at all are no fault."""
    shown = []
    scene = argparse.Namespace(
        add_point_cloud=lambda *_, point_size, **more: shown.append(point_size)
    )
    server = argparse.Namespace(scene=scene)
    points = np.ones((480, 640, 3), np.float32)
    for step in (1, stride):
        view._put(server, (points[::step, ::step].reshape(-1, 3), None), 2.0)
    assert shown[1] / shown[0] == pytest.approx(times, rel=1e-2)
    view._put(server, (np.empty((0, 3), np.float32), None), 2.0)


def listeners(port: int) -> set[str]:
    """The local addresses, as /proc has them, on which this machine listens at a port."""
    found = set()
    for name in ('tcp', 'tcp6'):
        for line in Path('/proc/net', name).read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            at, hexadecimal = local.rsplit(':', 1)
            if state == '0A' and int(hexadecimal, 16) == port:
                found.add(at)
    return found


def test_page(browser, address):
    """The cloud is there; dragging turns it, the wheel zooms; only this machine is served."""
    assert listeners(int(address.rsplit(':', 1)[1])) == {'0100007F'}  # 127.0.0.1
    wait_for(lambda: browser.red().mean() > 0.1)
    time.sleep(1.0)
    first = browser.red()
    rows, columns = first.any(axis=1).nonzero()[0], first.any(axis=0).nonzero()[0]
    assert np.ptp(columns) > 1.2 * np.ptp(rows)  # seen from the front: 4:3

    browser.mouse('mousePressed', 400, 500, button='left', buttons=1, clickCount=1)
    for step in range(1, 11):
        browser.mouse('mouseMoved', 400 - 12 * step, 500, button='left', buttons=1)
        time.sleep(0.02)
    browser.mouse('mouseReleased', 280, 500, button='left', clickCount=1)
    time.sleep(1.0)
    turned = browser.red()
    assert np.ptp(turned.any(axis=0).nonzero()[0]) < 0.9 * np.ptp(columns)

    for _ in range(5):
        browser.mouse('mouseWheel', 400, 500, deltaX=0, deltaY=120)
        time.sleep(0.1)
    time.sleep(1.0)
    away = browser.red()
    assert 0 < away.sum() < 0.8 * turned.sum()


@pytest.mark.parametrize(
    ('address', 'names'),
    [
        ('files', ['0.ply', '1.pcd', '2.ply']),
        ('recording', ['/points, 0.000 s', '/points, 0.100 s', '/points, 0.200 s']),
    ],
    indirect=['address'],
)
def test_slider(browser, names):
    """It goes from cloud to cloud, and says which is shown."""
    wait_for(lambda: browser.has(names[0]))
    time.sleep(1.0)
    assert browser.red().mean() < 0.01
    browser.press('ArrowRight')
    wait_for(lambda: browser.has(names[1]) and browser.red().mean() > 0.1)
    browser.press('ArrowRight')
    wait_for(lambda: browser.has(names[2]) and browser.red().mean() < 0.01)
    browser.press('ArrowLeft')
    wait_for(lambda: browser.has(names[1]) and browser.red().mean() > 0.1)


def test_files_of_one_picture(tmp_path):
    """Are one cloud; those in folders below have their paths."""
    (tmp_path / 'clip').mkdir()
    for name in ('clip/000000.pcd', 'clip/000000.ply', 'b.pcd', 'notes.txt'):
        (tmp_path / name).touch()
    assert [shown.name for shown in clouds_of_files(tmp_path)] == ['b.pcd', 'clip/000000.ply']


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('empty', 'has no cloud: expected .ply, .pcd, .las, .npz, or a recording'),
        ('in', 'it lacks a PointCloud2 topic'),
        ('silent', 'choose a PointCloud2 topic with --topic: /a, /b'),
    ],
)
def test_nothing_to_show(tmp_path, capsys, name, told):
    """A folder without clouds, a recording without one, or with several topics."""
    (tmp_path / 'empty').mkdir()
    record(tmp_path / 'in', cameras(1))
    cloud = cloud_message(T, wall()[0], header(0))
    record(tmp_path / 'silent', [('/a', cloud), ('/b', cloud)])
    assert main(['view', str(tmp_path / name)]) == 1
    assert told in capsys.readouterr().err


def test_the_recording_in_a_folder(tmp_path, monkeypatch):
    """What `convert my_recording -o clouds` makes is found by `view clouds`; files go before it."""
    pytest.importorskip('viser')
    cloud = cloud_message(T, wall(), header(0))
    record(tmp_path / 'clouds' / 'my_recording', [('/points', cloud)])
    names = []
    monkeypatch.setattr(view, 'view', lambda clouds, *_: names.append(clouds[0].name))
    assert main(['view', str(tmp_path / 'clouds')]) == 0
    red_wall(tmp_path / 'clouds' / 'wall.ply')
    assert main(['view', str(tmp_path / 'clouds')]) == 0
    assert names == ['/points, 0.000 s', 'wall.ply']


@pytest.mark.parametrize('content', [None, b'', b'ply\n'])
def test_unusable_file(tmp_path, content, capsys):
    """What is no cloud is refused in a line."""
    path = tmp_path / 'cloud.ply'
    if content is not None:
        path.write_bytes(content)
    assert main(['view', str(path)]) == 1
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize('port', ['0', '-1', '65536', 'http'])
def test_no_port(tmp_path, port, capsys):
    """What cannot be a port is refused, where viser would not end."""
    with pytest.raises(SystemExit) as info:
        main(['view', str(red_wall(tmp_path / 'wall.ply')), '--port', port])
    assert info.value.code == 2
    assert port in capsys.readouterr().err


def test_empty_cloud(tmp_path, capsys):
    """A cloud without a point."""
    write_ply(tmp_path / 'cloud.ply', np.empty((0, 4), np.float32))
    assert main(['view', str(tmp_path / 'cloud.ply')]) == 1
    assert 'has no points' in capsys.readouterr().err


def test_it_begins_with_the_first_that_has_points(tmp_path):
    """A recording may begin with a cloud of nothing, and one may be damaged."""
    nothing = cloud_message(T, np.empty((0, 4), np.float32), header(0))
    broken = cloud_message(T, wall(), header(1))
    next(field for field in broken.fields if field.name == 'rgb').offset = 10**6
    walls = [cloud_message(T, wall(), header(i)) for i in (2, 3)]
    path = record(tmp_path / 'in', [('/points', cloud) for cloud in (nothing, broken, *walls)])
    with open_recording(path) as reader:
        clouds = recorded_clouds(reader)
        assert len(clouds) == 4
        assert len(clouds[0].read()[0]) == 0
        with pytest.raises(RecordingError, match='field rgb does not fit'):
            clouds[1].read()
        number, (xyz, _) = view._first(clouds)
        assert (number, len(xyz)) == (2, 150 * 200)
        with pytest.raises(view.ViewError, match=r'0\.000 s has no points'):
            view._first(clouds[:2])


def test_viser_missing(tmp_path, capsys, monkeypatch):
    """Where viser is missing, that is said."""
    monkeypatch.setitem(sys.modules, 'viser', None)
    assert main(['view', str(red_wall(tmp_path / 'wall.ply'))]) == 1
    assert 'pip install viser' in capsys.readouterr().err
