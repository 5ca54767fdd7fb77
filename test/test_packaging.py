# SPDX-License-Identifier: Apache-2.0
"""package.xml, setup.py, the pinned requirements and the version say the same."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from depth_pcd_ros import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ElementTree.parse(ROOT / 'package.xml').getroot()
# Keys of rosdep (github.com/ros/rosdistro, rosdep/python.yaml) by pip's names. None: there is no
# key, and docs/install.md says so.
ROSDEP = {
    'numpy': 'python3-numpy',
    'numba': 'python3-numba',
    'torch': 'python3-torch',
    'safetensors': None,
    'openvino': None,
    'huggingface_hub': 'python3-huggingface-hub-pip',
    'rosbags': 'python3-rosbags-pip',
    'pillow': 'python3-pil',
    'tqdm': 'python3-tqdm',
    'PyYAML': 'python3-yaml',
    'pytest': 'python3-pytest',
    'pytest-timeout': 'python3-pytest-timeout',
    'hypothesis': 'python3-hypothesis',
    'opencv-python-headless': 'python3-opencv',
}
# setuptools: for entry points; every Python of a ROS distribution has it.
WITHOUT = {'setuptools'}


def call_of_setup():
    """The keyword arguments of the call of setup() in setup.py that are plain values."""
    tree = ast.parse((ROOT / 'setup.py').read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    (call,) = (node for node in calls if getattr(node.func, 'id', '') == 'setup')
    found = {}
    for keyword in call.keywords:
        try:
            found[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:  # an expression
            continue
    return found


SETUP = call_of_setup()


def names(requirements):
    """The names in a list of requirements."""
    return {re.match(r'[\w-]+', line)[0] for line in requirements}


def depends(*kinds):
    """The dependencies of package.xml of some kinds."""
    return {element.text for kind in kinds for element in PACKAGE.findall(kind)}


def test_one_version():
    """In the package, package.xml, setup.py and the changelog."""
    assert PACKAGE.findtext('version') == SETUP['version'] == __version__
    assert __version__ in (ROOT / 'CHANGELOG.rst').read_text()


def test_the_same_words():
    """Maintainer and licence."""
    assert PACKAGE.findtext('maintainer') == SETUP['maintainer']
    assert PACKAGE.find('maintainer').get('email') == SETUP['maintainer_email']
    assert PACKAGE.findtext('license') == SETUP['license']


def test_rosdep_installs_what_pip_does():
    """Each requirement of setup.py has its key in package.xml, and the other way round."""
    run = {ROSDEP[name] for name in names(SETUP['install_requires']) - WITHOUT}
    test = {ROSDEP[name] for name in names(SETUP['extras_require']['test'])}
    # OpenCV comes from the system or from one of several wheels: setup.py cannot name one
    keys = {key for key in depends('depend', 'exec_depend') if key.startswith('python3-')}
    assert keys == {key for key in run if key} | {'python3-opencv'}
    assert {k for k in depends('test_depend') if k.startswith('python3-')} == test


def test_what_has_no_key_is_documented():
    """With the pip line."""
    page = (ROOT / 'docs' / 'install.md').read_text()
    for name in names(SETUP['install_requires']) - WITHOUT:
        if ROSDEP[name] is None:
            assert re.search(rf'pip install [^\n]*\b{name}\b', page), name


@pytest.mark.parametrize('name', sorted(path.name for path in (ROOT / 'requirements').glob('*')))
def test_requirements_are_pinned(name):
    """So that the set-up of today is that of next year."""
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    assert all(re.fullmatch(r'#.*|[\w-]+(\[\w+\])?==[\w.]+', line) for line in lines)


def test_the_set_up_has_what_the_package_needs():
    """Each requirement of setup.py is pinned in requirements/."""
    pinned = set()
    for name in ('base', 'torch', 'dev'):
        lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
        pinned |= names(line for line in lines if line[0] != '#')
    assert names(SETUP['install_requires']) <= pinned
    assert names(SETUP['extras_require']['test']) <= pinned


def test_ros_messages_are_declared():
    """Each ROS package that the node imports is a dependency."""
    found = set()
    for path in (ROOT / 'depth_pcd_ros').rglob('*.py'):
        found |= set(
            re.findall(
                r'^\s*(?:from|import) (\w+_msgs|\w+_interfaces|rclpy)', path.read_text(), re.M
            )
        )
    assert found <= depends('depend', 'exec_depend')


def test_an_old_setuptools_without_wheel(tmp_path):
    """What pip install --no-build-isolation lacks is named."""
    shutil.copy(ROOT / 'setup.py', tmp_path)
    code = (
        "import sys; sys.modules['wheel'] = sys.modules['setuptools.command.bdist_wheel'] = None; "
        "sys.argv = ['setup.py', 'dist_info']; import runpy; runpy.run_path('setup.py')"
    )
    done = subprocess.run(
        (sys.executable, '-c', code), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == 'This setuptools needs the package wheel: pip install wheel\n'
