# SPDX-License-Identifier: Apache-2.0
"""What doctor says of the machine, without ROS."""

import subprocess
import sys
from pathlib import Path

import pytest

from depth_pcd_ros.live import machine
from depth_pcd_ros.live.environment import PROFILE_VARIABLES, profile_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch, tmp_path):
    """No profile, no models, no cache."""
    for name in PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('DEPTH_PCD_ROS_CACHE', str(tmp_path / 'cache'))


def test_the_model(tmp_path):
    """The bundled one is there; a path that is not is named; one of the hub is to be fetched."""
    assert machine.describe('demo')['model'].endswith('demo.safetensors')
    missing = str(tmp_path / 'none.pth')
    assert missing in machine.describe(missing)['model']
    hub = pytest.importorskip('huggingface_hub')
    if not isinstance(
        hub.try_to_load_from_cache(
            'depth-anything/Depth-Anything-V2-Metric-VKITTI-Large',
            'depth_anything_v2_metric_vkitti_vitl.pth',
        ),
        str,
    ):
        assert 'depth-pcd fetch outdoor-large' in machine.describe('outdoor-large')['model']


def test_the_cache(tmp_path):
    """How many converted networks, and their size; a folder that does not exist yet is fine."""
    assert 'has 0 converted networks (0 MB)' in machine.describe('demo')['cache']
    entry = tmp_path / 'cache' / 'demo-1'
    entry.mkdir(parents=True)
    (entry / 'entry.json').write_text('{}')
    (entry / 'network.bin').write_bytes(bytes(3_000_000))
    assert 'has 1 converted network (3 MB)' in machine.describe('demo')['cache']


def test_shared_memory(monkeypatch, tmp_path):
    """Without a profile the line to paste has the absolute path of one that is there."""
    path = profile_path()
    assert path == ROOT / 'config' / 'fastdds.xml'
    assert machine.export_line().startswith('export FAST')
    assert machine.export_line().endswith(f'={path}')
    assert 'no profile' in machine.describe('demo')['shared memory']
    monkeypatch.setenv(PROFILE_VARIABLES[0], str(tmp_path / 'none.xml'))
    assert machine.export_line() == ''
    assert 'NOT THERE' in machine.describe('demo')['shared memory']
    monkeypatch.setenv(PROFILE_VARIABLES[0], str(path))
    assert 'NOT THERE' not in machine.describe('demo')['shared memory']


def test_without_ros(tmp_path):
    """A sentence, what can be said all the same, and no traceback."""
    (tmp_path / 'rclpy.py').write_text('raise ImportError("No module named rclpy")')
    code = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r}); from depth_pcd_ros.cli import main\n'
    )
    for arguments, expected in (
        (['doctor'], ['device: ', 'model: ', 'cache: ', 'shared memory: ', 'ROS: not here']),
        (['doctor', '--watch'], ['ROS: not here']),
        (['set', 'stride', '2'], ['ROS is not here']),
    ):
        command = [sys.executable, '-c', f'{code}sys.exit(main({arguments!r}))']
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert 'Traceback' not in done.stderr
        for text in expected:
            assert text in done.stdout + done.stderr
