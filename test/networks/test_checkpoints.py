# SPDX-License-Identifier: Apache-2.0
"""Model names and files, against a stand-in for the hub on the loopback interface.

The stand-in answers the requests of huggingface_hub as the hub does (a redirect to a content
server, with the headers that the cache is built from); the real hub is out of reach of a test.
"""

import contextlib
import fcntl
import hashlib
import http.server
import json
import math
import os
import resource
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.networks.checkpoints import CheckpointError
from depth_pcd_ros.networks.depth_anything_v2 import data_set_of
from depth_pcd_ros.networks.models import HUB_FILES, MODELS

REPO = 'depth-anything/Depth-Anything-V2-Metric-Hypersim-Small'
FILENAME = 'depth_anything_v2_metric_hypersim_vits.pth'
DA3, CONFIG = 'depth-anything/DA3METRIC-LARGE', b'{"model_name": "da3metric-large"}'
FILES = (f'/{REPO}/resolve/main/{FILENAME}', f'/{DA3}/resolve/main/model.safetensors')
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
ROOT = Path(__file__).resolve().parents[2]
CLIENT = """
import dataclasses, json, sys
from depth_pcd_ros.networks import checkpoints
try:
    print(json.dumps(dataclasses.asdict(checkpoints.resolve(sys.argv[1])), default=str))
except checkpoints.CheckpointError as err:
    sys.exit(f'CheckpointError: {err}')
"""


class Hub(http.server.ThreadingHTTPServer):
    """A hub with a file of weights; `fault` is what goes wrong with it.

    That is the small model's; in the repository of da3-large, a config.json is beside it.
    """

    def __init__(self, fault=''):
        super().__init__(('127.0.0.1', 0), HubRequest)
        self.fault = fault
        self.requests = []
        self.url = f'http://127.0.0.1:{self.server_port}'
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        """Go down: connections are refused."""
        self.shutdown()
        self.server_close()


class HubRequest(http.server.BaseHTTPRequestHandler):
    """HEAD and GET of the file: /REPO/resolve/main/FILENAME leads to /content."""

    def do_GET(self):
        """Answer a request; of HEAD, with the headers only."""
        self.server.requests.append(f'{self.command} {self.path}')
        if self.path == '/content':
            self._content()
        elif self.path == f'/{DA3}/resolve/main/config.json':
            self.send_response(200)
            self.send_header('X-Repo-Commit', '0123456789abcdef' * 2 + '01234567')
            self.send_header('ETag', '"0123456789abcdef0123456789abcdef01234567"')
            self.send_header('Content-Length', str(len(CONFIG)))
            self.end_headers()
            if self.command == 'GET':
                self.wfile.write(CONFIG)
        elif self.path in FILES and self.server.fault != 'missing':
            self.send_response(302)
            # Another host name, as the hub's: it follows no redirects to foreign hosts by HEAD.
            self.send_header('Location', f'http://localhost:{self.server.server_port}/content')
            self.send_header('X-Repo-Commit', '0123456789abcdef' * 2 + '01234567')
            self.send_header('X-Linked-ETag', f'"{SHA256}"')
            self.send_header('X-Linked-Size', str(len(WEIGHTS)))
            self.send_header('Content-Length', '0')
            self.end_headers()
        else:
            self.send_response(404)
            self.send_header('X-Error-Code', 'EntryNotFound')
            self.send_header('X-Error-Message', 'Entry not found')
            self.send_header('Content-Length', '0')
            self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def _content(self):
        start = int(self.headers.get('Range', 'bytes=0-').split('=')[1].rstrip('-'))
        end = len(WEIGHTS) // 2 if self.server.fault == 'short' else len(WEIGHTS)
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(end - start))
        if start:
            self.send_header('Content-Range', f'bytes {start}-{end - 1}/{len(WEIGHTS)}')
        self.end_headers()
        if self.command == 'GET':
            if self.server.fault == 'cut once':
                self.server.fault, end = '', 300_000
            other = self.server.fault == 'other content'
            self.wfile.write((WEIGHTS[::-1] if other else WEIGHTS)[start:end])

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def hub():
    """A stand-in hub that is up."""
    server = Hub()
    yield server
    server.close()


def client(tmp_path, url, model='indoor-small', code=CLIENT, **run):
    """Resolve a model in a process of its own: huggingface_hub reads its environment on import."""
    private = ('HF_', 'HUGGING', 'XDG_', 'HTTP', 'http', 'ALL_PROXY', 'all_proxy')
    env = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    env |= {'HF_HOME': str(tmp_path / 'hf'), 'HF_ENDPOINT': url, 'PYTHONPATH': str(ROOT)}
    env |= run.pop('env', {})
    return subprocess.run(
        (sys.executable, '-c', code, model),
        env=env,
        cwd=tmp_path,
        text=True,
        timeout=60,
        check=False,
        **({'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE} | run),
    )


def assert_refused_with_directions(run, url):
    """The error tells which file to get, from where, and how to use it."""
    assert run.returncode == 1
    assert 'CheckpointError: indoor-small is not in the cache' in run.stderr
    assert f'Get {url}/{REPO}/resolve/main/{FILENAME}' in run.stderr
    assert f'model:=/path/to/{FILENAME}' in run.stderr
    assert f'--model /path/to/{FILENAME}' in run.stderr
    assert 'Traceback' not in run.stderr


def test_every_name_has_its_official_file_and_licence():
    """The names of the contract, against the list of the official repositories."""
    name = 'depth-anything/Depth-Anything-V2-Metric-'
    file = 'depth_anything_v2_metric_'
    apache, nc = 'Apache-2.0', 'CC-BY-NC-4.0'
    expected = {
        'indoor-small': (name + 'Hypersim-Small', file + 'hypersim_vits.pth', apache),
        'indoor-base': (name + 'Hypersim-Base', file + 'hypersim_vitb.pth', nc),
        'indoor-large': (name + 'Hypersim-Large', file + 'hypersim_vitl.pth', nc),
        'outdoor-small': (name + 'VKITTI-Small', file + 'vkitti_vits.pth', apache),
        'outdoor-base': (name + 'VKITTI-Base', file + 'vkitti_vitb.pth', nc),
        'outdoor-large': (name + 'VKITTI-Large', file + 'vkitti_vitl.pth', nc),
        'da3-large': ('depth-anything/DA3METRIC-LARGE', 'model.safetensors', apache),
    }
    found = {name: (file.repo, file.filename, file.licence) for name, file in HUB_FILES.items()}
    assert found == expected
    assert list(MODELS) == [*expected, 'demo']


def test_downloads_once_and_then_needs_no_network(tmp_path, hub):
    """The first call says so and downloads, the second works without a hub."""
    first = client(tmp_path, hub.url)
    assert first.returncode == 0, first.stderr
    assert f'downloading {hub.url}/{REPO}' in first.stderr
    checkpoint = json.loads(first.stdout)
    assert Path(checkpoint['path']).read_bytes() == WEIGHTS
    assert Path(checkpoint['path']).is_relative_to(tmp_path / 'hf')
    assert checkpoint['name'] == 'indoor-small'
    assert checkpoint['family'] == 'depth_anything_v2'
    assert checkpoint['max_depth'] == 20
    assert checkpoint['licence'] == 'Apache-2.0'
    assert hub.requests.count('GET /content') == 1

    hub.close()
    again = client(tmp_path, hub.url)
    assert json.loads(again.stdout) == checkpoint
    offline = client(tmp_path, hub.url, env={'HF_HUB_OFFLINE': '1'})
    assert json.loads(offline.stdout) == checkpoint
    assert again.stderr == offline.stderr == ''


def test_depth_anything_3_comes_with_what_tells_what_it_is(tmp_path, hub):
    """model.safetensors and config.json beside it; its licence is for everybody; no end."""
    first = client(tmp_path, hub.url, 'da3-large')
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    path = Path(found['path'])
    assert (path.name, path.read_bytes()) == ('model.safetensors', WEIGHTS)
    assert path.with_name('config.json').read_bytes() == CONFIG
    assert (found['family'], found['licence']) == ('depth_anything_3', 'Apache-2.0')
    assert found['max_depth'] == math.inf
    hub.close()
    assert json.loads(client(tmp_path, hub.url, 'da3-large').stdout) == found


def test_a_terminal_shows_a_progress_bar(tmp_path, hub):
    """The bar ends at the size of the file."""
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('4H', 24, 120, 0, 0))
    assert client(tmp_path, hub.url, stdout=subprocess.DEVNULL, stderr=terminal).returncode == 0
    os.close(terminal)
    shown = b''
    with contextlib.suppress(OSError):  # how Linux reports the end of a terminal
        while chunk := os.read(reader, 65536):
            shown += chunk
    os.close(reader)
    assert b'100%' in shown
    assert b'1.05M/1.05M' in shown


def test_nobody_listens(tmp_path, hub):
    """Without network and cache the error comes soon and gives directions."""
    hub.close()
    start = time.monotonic()
    run = client(tmp_path, hub.url)
    assert time.monotonic() - start < 10
    assert_refused_with_directions(run, hub.url)
    assert 'refused' in run.stderr


def test_offline_mode_asks_nobody(tmp_path, hub):
    """HF_HUB_OFFLINE without a cache: no request, and the error names the variable."""
    run = client(tmp_path, hub.url, env={'HF_HUB_OFFLINE': '1'})
    assert_refused_with_directions(run, hub.url)
    assert 'HF_HUB_OFFLINE' in run.stderr
    assert hub.requests == []


def test_the_hub_lacks_the_file(tmp_path, hub):
    """A 404 of the hub."""
    hub.fault = 'missing'
    run = client(tmp_path, hub.url)
    assert_refused_with_directions(run, hub.url)
    assert '404' in run.stderr


def test_an_interrupted_transfer_is_retried(tmp_path, hub):
    """The connection breaks after 300 kB: the rest, or all of it, is fetched again."""
    hub.fault = 'cut once'
    run = client(tmp_path, hub.url)
    assert run.returncode == 0, run.stderr
    assert Path(json.loads(run.stdout)['path']).read_bytes() == WEIGHTS
    assert hub.requests.count('GET /content') == 2


def test_a_short_file_is_not_kept(tmp_path, hub):
    """The server has only half of the file: refused, and not found in the cache later."""
    hub.fault = 'short'
    for _ in range(2):
        run = client(tmp_path, hub.url)
        assert_refused_with_directions(run, hub.url)
        assert f'should be of size {len(WEIGHTS)} but has size {len(WEIGHTS) // 2}' in run.stderr
    hub.fault = ''
    assert client(tmp_path, hub.url).returncode == 0


def test_a_changed_file_is_not_kept(tmp_path, hub):
    """Content of the right size whose SHA-256 is not the hub's is refused and not kept."""
    hub.fault = 'other content'
    for _ in range(2):
        run = client(tmp_path, hub.url)
        assert_refused_with_directions(run, hub.url)
        assert f'the hub says {SHA256}' in run.stderr
    hub.fault = ''
    assert client(tmp_path, hub.url).returncode == 0


def test_no_room_for_the_file(tmp_path, hub):
    """A limit on the size of files stands for a full disk: another errno on the same write."""
    limit = (500_000, 500_000)
    run = client(
        tmp_path, hub.url, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    assert_refused_with_directions(run, hub.url)
    assert 'File too large' in run.stderr
    assert str(tmp_path / 'hf') in run.stderr


def test_huggingface_hub_is_not_installed(tmp_path):
    """The error says what to install, and which file of which repository it would get."""
    code = f'import sys\nsys.modules["huggingface_hub"] = None\n{CLIENT}'
    run = client(tmp_path, '', code=code)
    assert run.returncode == 1
    for word in ('huggingface_hub', REPO, FILENAME, 'model:='):
        assert word in run.stderr


def test_needs_no_torch(tmp_path):
    """Names, and the engine's interface, are there without importing torch."""
    code = (
        'import sys, depth_pcd_ros.networks.checkpoints, depth_pcd_ros.engine\n'
        'sys.exit("torch" in sys.modules or "huggingface_hub" in sys.modules)'
    )
    assert client(tmp_path, '', code=code).returncode == 0


@pytest.mark.parametrize(
    ('filename', 'max_depth', 'focal_train', 'licence'),
    [
        # 886.81 x 518 / 768 and 725.0087 x 518 / 375, worked out by hand
        ('depth_anything_v2_metric_hypersim_vits.pth', 20, 598.1349, 'Apache-2.0'),
        ('depth_anything_v2_metric_vkitti_vitl.pth', 80, 1001.4787, 'CC-BY-NC-4.0'),
        ('our_metric_vkitti_robot.safetensors', 80, 1001.4787, ''),
    ],
)
def test_the_name_of_a_local_file_tells_its_data_set(
    tmp_path, filename, max_depth, focal_train, licence
):
    """Range and focal length come from the file name, the licence only from an official one."""
    path = tmp_path / filename
    path.touch()
    found = checkpoints.resolve(str(path))
    assert (found.name, found.path, found.family) == (str(path), path, 'depth_anything_v2')
    assert found.max_depth == max_depth
    assert data_set_of(path).focal_train == pytest.approx(focal_train, abs=1e-3)
    assert found.licence == licence
    assert checkpoints.resolve(str(path), max_depth=35.5).max_depth == 35.5


def test_a_local_file_in_the_home_directory(tmp_path, monkeypatch):
    """A tilde is the home directory."""
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / FILENAME).touch()
    assert checkpoints.resolve(f'~/{FILENAME}').path == tmp_path / FILENAME


def test_a_relative_depth_name_needs_max_depth(tmp_path):
    """The official relative-depth file is refused, unless the caller vouches for it."""
    path = tmp_path / 'depth_anything_v2_vits.pth'
    path.touch()
    with pytest.raises(CheckpointError, match=r'relative-depth.*set max_depth'):
        checkpoints.resolve(str(path))
    found = checkpoints.resolve(str(path), max_depth=12)
    assert found.max_depth == 12
    assert data_set_of(path) is None


def test_the_directory_does_not_tell_the_data_set(tmp_path):
    """Only the name of the file itself counts."""
    path = tmp_path / 'metric_hypersim' / 'vits.pth'
    path.parent.mkdir()
    path.touch()
    with pytest.raises(CheckpointError, match='does not tell'):
        checkpoints.resolve(str(path))


@pytest.mark.parametrize('max_depth', [-1.0, math.nan, math.inf])
def test_max_depth_must_be_a_depth(tmp_path, max_depth):
    """Negative or not finite: refused with the value."""
    path = tmp_path / FILENAME
    path.touch()
    with pytest.raises(CheckpointError, match=f'max_depth is {max_depth} m'):
        checkpoints.resolve(str(path), max_depth)


@pytest.mark.parametrize(
    ('model', 'reason'),
    [
        ('indoor-tiny', r"unknown model 'indoor-tiny', expected one of indoor-small, .*demo"),
        ('', "unknown model ''"),
        ('missing/weights', 'there is no file missing/weights'),
        ('vits.pth', 'there is no file vits.pth'),
        ('~vits.pth', 'there is no file ~vits.pth'),
        ('.', 'is a directory'),
    ],
)
def test_neither_a_name_nor_a_file(tmp_path, monkeypatch, model, reason):
    """Refused with what was given and what is allowed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=reason):
        checkpoints.resolve(model)


def test_the_demo_takes_no_other_range():
    """max_depth is for Depth Anything V2 only."""
    with pytest.raises(CheckpointError, match='max_depth is 5 m, expected 0'):
        checkpoints.resolve('demo', 5)


@pytest.mark.parametrize(
    ('package', 'models'),
    [
        ('checkout/depth_pcd_ros', 'checkout/models'),
        ('prefix/lib/python3/dist-packages/depth_pcd_ros', 'prefix/share/depth_pcd_ros/models'),
    ],
)
def test_the_bundled_model_is_found(tmp_path, package, models):
    """In a source tree and in an installation; missing, it is said where it was looked for."""
    package, models = tmp_path / package, tmp_path / models
    shutil.copytree(Path(checkpoints.__file__).parents[1], package)
    env = {'PYTHONPATH': str(package.parent)}

    run = client(tmp_path, '', 'demo', env=env)
    assert run.returncode == 1
    assert 'bundled demo.safetensors is missing' in run.stderr

    models.mkdir(parents=True)
    (models / 'demo.safetensors').touch()
    run = client(tmp_path, '', 'demo', env=env)
    assert json.loads(run.stdout) == {
        'name': 'demo',
        'path': str(models / 'demo.safetensors'),
        'family': 'demo',
        'max_depth': 12.0,
        'licence': 'Apache-2.0',
    }


@pytest.mark.parametrize(
    ('licence', 'words'),
    [
        ('Apache-2.0', 'Apache-2.0.'),
        ('CC-BY-NC-4.0', 'CC-BY-NC-4.0, which forbids commercial use.'),
        ('', 'not known'),
    ],
)
def test_the_licence_in_a_sentence(licence, words):
    """It warns of the non-commercial ones."""
    found = checkpoints.Checkpoint('m', Path('m.pth'), 'depth_anything_v2', 20.0, licence)
    assert words in found.licence_note


def test_a_path_is_told_by_its_keys(tmp_path):
    """The bundled file under another name is the demo network; what nobody knows is the first."""
    bundled = checkpoints.resolve('demo').path
    other = shutil.copy(bundled, tmp_path / 'mine.safetensors')
    assert checkpoints.resolve(str(other)).family == 'demo'
    for content in (b'', b'\xff' * 100, b'\x02\0\0\0\0\0\0\0[]', b'\4\0\0\0\0\0\0\0null'):
        (tmp_path / 'x_metric_vkitti.safetensors').write_bytes(content)
        found = checkpoints.resolve(str(tmp_path / 'x_metric_vkitti.safetensors'))
        assert found.family == 'depth_anything_v2'
