# SPDX-License-Identifier: Apache-2.0
"""Arrows between the rooms of the package run one way; ROS and torch have rooms of their own."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'depth_pcd_ros'

# Each room may import those before it. CONTRIBUTING.md says what each is about.
ROOMS = (
    *('errors', 'option', 'kernels', 'memory', 'bundled', 'settings', 'arguments'),
    *('geometry', 'cloud', 'messages', 'sync', 'networks', 'engine'),
    *('scale', 'motion', 'frame', 'pipeline'),
    *('files', 'show', 'results', 'inputs', 'recordings', 'live', 'work'),
    *('ros', 'convert', 'calibrate', 'evaluate', 'cli'),
)
OWNERS = {
    'rclpy': {'ros'},
    'sensor_msgs': {'ros'},
    'std_msgs': {'ros'},
    'nav_msgs': {'ros'},
    'tf2_ros': {'ros'},
    'tf2_msgs': {'ros'},
    'diagnostic_msgs': {'ros'},
    'lifecycle_msgs': {'ros'},
    'rcl_interfaces': {'ros'},
    'torch': {'networks', 'engine'},
}
FILES = sorted(PACKAGE.rglob('*.py'))


def room_of(path):
    """The folder of a module, or the module itself where it lies in the root."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return parts[0]


def imports_of(path):
    """Yield the dotted name of all that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}: a relative import'
            assert node.module is not None
            yield from (f'{node.module}.{name.name}' for name in node.names)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports(path):
    """Of the package only from rooms further down; ROS and torch only where they belong."""
    room = room_of(path)
    if room == '__init__':
        assert not list(imports_of(path))
        return
    for name in imports_of(path):
        top, _, rest = name.partition('.')
        assert room in OWNERS.get(top, {room}), f'{room} imports {name}'
        if top == 'depth_pcd_ros':
            other = rest.partition('.')[0]
            if other in (room, '__version__'):
                continue
            assert ROOMS.index(other) < ROOMS.index(room), f'{room} imports {name}'


def test_no_room_is_unknown():
    """The list above has every room, and no other."""
    rooms = {room_of(path) for path in FILES} - {'__init__'}
    assert rooms <= set(ROOMS)
    assert all((PACKAGE / room).exists() or (PACKAGE / f'{room}.py').exists() for room in rooms)
