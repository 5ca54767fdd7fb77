# SPDX-License-Identifier: Apache-2.0
"""The package as colcon installs it: what is where, and that nothing else is read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from ament_index_python.resources import get_resource
from sensor_msgs.msg import PointCloud2

from .conftest import ROOT, make_image, make_info, wait_until
from .installation import PACKAGE, PROGRAMS

try:
    PREFIX = Path(get_package_prefix(PACKAGE)).resolve()
except (PackageNotFoundError, OSError):
    pytest.skip('not installed by colcon: make colcon does that', allow_module_level=True)
SHARE = PREFIX / 'share' / PACKAGE
# Run in the node's process before all else: write down which files Python opens.
WATCHED = """
import os, runpy, sys
log = open(os.environ['OPENED_FILES'], 'a', buffering=1)
def note(event, args):
    if event == 'open' and isinstance(args[0], str):
        log.write(os.path.realpath(args[0]) + '\\n')
sys.addaudithook(note)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def test_files_are_where_ros2_looks():
    """The index knows the package; all files of the data folders are in its share/."""
    _, prefix = get_resource('packages', PACKAGE)
    assert Path(prefix) == PREFIX
    assert (SHARE / 'package.xml').read_bytes() == (ROOT / 'package.xml').read_bytes()
    for folder in ('config', 'launch', 'models', 'rviz'):
        source = {path.name: path.read_bytes() for path in (ROOT / folder).glob('*.*')}
        assert {path.name: path.read_bytes() for path in (SHARE / folder).iterdir()} == source


def test_programs_are_where_ros2_run_looks(tmp_path):
    """Executable files in lib/, which run from any folder."""
    folder = PREFIX / 'lib' / PACKAGE
    assert {path.name for path in folder.iterdir()} == set(PROGRAMS)
    assert all(os.access(path, os.X_OK) for path in folder.iterdir())
    command = [folder / 'depth-pcd', 'fetch', 'demo']
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == f'{SHARE / "models" / "demo.safetensors"}\n'


def test_the_installed_node_gives_a_cloud(peer, tmp_path):
    """With the bundled model and the installed parameter file; no Python of the sources is read."""
    opened = tmp_path / 'opened'
    params = SHARE / 'config' / 'depth_pcd.yaml'
    program = PREFIX / 'lib' / PACKAGE / 'depth_pcd_node'
    command = [
        sys.executable,
        '-c',
        WATCHED,
        str(program),
        '--ros-args',
        '--params-file',
        str(params),
    ]
    node = subprocess.Popen(
        [*command, '-p', 'model:=demo'],
        cwd=tmp_path,
        env={**os.environ, 'OPENED_FILES': str(opened)},
    )
    try:
        clouds = peer.subscribe('/points', PointCloud2)
        info = make_info(64, 48, 50.0, 50.0, 32.0, 24.0)
        show = lambda: peer.show(make_image(64, 48), info)  # noqa: E731
        assert wait_until(lambda: node.poll() is not None or show() or clouds, 40.0)
        assert clouds
        assert clouds[0].width == 64
        node.send_signal(signal.SIGINT)
        assert node.wait(10.0) == 0
    finally:
        node.kill()
        node.wait()
    files = [Path(line) for line in opened.read_text().splitlines()]
    ours = [p for p in files if PACKAGE in p.parts and not p.is_relative_to(sys.prefix)]
    assert any(path.suffix in ('.py', '.pyc') for path in ours)
    assert [path for path in ours if not path.is_relative_to(PREFIX)] == []
