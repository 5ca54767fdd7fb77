# SPDX-License-Identifier: Apache-2.0
"""Every command, parameter, file and link that the documentation names is real."""

import ast
import contextlib
import io
import itertools
import re
from pathlib import Path

import pytest
import yaml

from depth_pcd_ros import cli
from depth_pcd_ros.settings import OPTIONS, of_cameras
from test.support.documents import MODULES, PAGES, ROOT, blocks, commands, lines, spans, text_of

SOURCES = [
    path
    for folder in ('depth_pcd_ros', 'launch', 'config', 'rviz', 'scenes', 'bench', 'test', '.ci')
    for path in (ROOT / folder).rglob('*')
    if path.suffix in ('.py', '.yaml', '.xml', '.rviz', '') and path.is_file()
    if path != Path(__file__)
]
MORE = [ROOT / name for name in ('Makefile', 'setup.py', 'package.xml', 'pyproject.toml')]
SOURCE = '\n'.join(path.read_text() for path in [*SOURCES, *MORE])
FILES = ['test/test_docs.py']
FILES += [str(path.relative_to(ROOT)) for path in [*SOURCES, *MORE, *(ROOT / 'docs').iterdir()]]
FILES += [str(path.relative_to(ROOT)) for path in PAGES]
PROGRAMS = {'depth_pcd_node', 'depth_pcd_rviz', 'depth-pcd'}
TOPICS = {'image', 'camera_info', 'odometry', 'scale/points', 'scale/range'}
MAKE_TARGETS = set(re.findall(r'^([a-z][\w-]*):', (ROOT / 'Makefile').read_text(), re.M))
MAKE_VARIABLES = set(re.findall(r'^([A-Z_]+) \?=', (ROOT / 'Makefile').read_text(), re.M)) | {
    'TESTS'
}
# Options of other programs and names of other packages that the pages speak of.
FOREIGN = {
    *('--show-args', '--system-site-packages', '--shm-size', '--ipc', '--network', '--gpus'),
    *('--build-arg', 'send_buffer_limit', 'octomap_server', 'global_frame', 'frame_id'),
    *('min_obstacle_height', 'depth_layer', 'rmw_zenoh_cpp', 'image_transport', 'image_rect'),
    *('camera_info_url', 'obstacle_layer', 'occupancy_min_z', 'point_cloud_min_z'),
    *('projected_map', 'image_proc', 'depth_image_proc', 'jetson_clocks'),
}
WORDS = set(re.findall(r'[\w.-]+', SOURCE)) | FOREIGN  # in the code


def launch_arguments(name):
    """The arguments that a launch file declares."""
    tree = ast.parse((ROOT / 'launch' / name).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'ARGUMENTS':
            found |= {key.value for key in node.value.keys}
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'DeclareLaunchArgument':
            found |= {
                argument.value for argument in node.args if isinstance(argument, ast.Constant)
            }
    return found


LAUNCH = {path.name: launch_arguments(path.name) for path in (ROOT / 'launch').glob('*.py')}
LAUNCH['replay.launch.py'] |= LAUNCH['depth_pcd.launch.py']


def texts(*paths):
    """Run a test for each of these pages, or modules with their docstrings."""
    return pytest.mark.parametrize('page', paths, ids=lambda path: str(path.relative_to(ROOT)))


EXAMPLES = ('front', 'left', 'rear')  # the names of cameras
COMPANIONS = {'camera_height': '1.0', 'merged_frame': 'base_link', 'cameras': '[front]'}

pages = texts(*PAGES)
pages_and_docstrings = texts(*PAGES, *(path for path in MODULES if list(commands(text_of(path)))))


@pages
def test_links(page):
    """To files that are there."""
    for target in re.findall(r'\]\(([^)#\s]+)', page.read_text()):
        if '://' not in target:
            assert (page.parent / target).exists(), target


@pages_and_docstrings
def test_make(page):
    """Targets and variables of the Makefile."""
    for command in commands(text_of(page)):
        if command[:1] == ['make'] and len(command) > 1:
            names = [word for word in command[1:] if '=' not in word]
            variables = {word.split('=')[0] for word in command[1:] if '=' in word}
            assert set(names) <= MAKE_TARGETS, command
            assert variables <= MAKE_VARIABLES, command


@pages
def test_the_command_line(page):
    """In a block, the whole line is what the parser takes; in the text, command and options are."""
    for whole, found in ((True, lines), (False, commands)):
        for command in found(page.read_text()):
            words = [word for word in command if word]
            if not words or words[0].split('/')[-1] != 'depth-pcd' or len(words) == 1:
                continue
            told = io.StringIO()
            try:
                with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
                    cli.parser().parse_args(words[1:])
            except SystemExit as err:
                fine = err.code == 0 or (not whole and 'arguments are required' in told.getvalue())
                assert fine, (command, told.getvalue())


@pages_and_docstrings
def test_ros2(page):
    """Programs, launch files, arguments, remappings and parameters, with values that are taken."""
    for command in commands(text_of(page)):
        ours = command[:1] == ['-p'] or command[0].split('/')[-1] == 'depth_pcd_node'
        if command[:2] in (['ros2', 'run'], ['ros2', 'launch']) and len(command) > 3:
            ours = command[2] == 'depth_pcd_ros'
            if ours and command[1] == 'run':
                assert command[3] in PROGRAMS, command
            elif ours:
                given = {word.split(':=')[0] for word in command[4:] if ':=' in word}
                assert given <= LAUNCH[command[3]], command
        if ours and command[1:2] != ['launch']:
            pairs = list(itertools.pairwise(command))
            check_parameters(dict(word.split(':=', 1) for flag, word in pairs if flag == '-p'))
            for flag, word in pairs:
                if flag == '-r':  # perhaps of one of several cameras
                    topic = re.sub(f'^({"|".join(EXAMPLES)})/', '', word.split(':=')[0])
                    assert topic in TOPICS, command
        elif len(command) == 1 and re.fullmatch(r'\w+:=\S+', command[0]):
            name = command[0].split(':=')[0]
            assert name in set().union(*LAUNCH.values()) | set(OPTIONS) | FOREIGN, command


def check_parameters(given):
    """Whether the node takes them, together."""
    ours = {}
    for name, text in given.items():
        value = yaml.safe_load(text)
        if name == 'use_sim_time' or name.startswith('qos_overrides.'):
            continue
        if isinstance(value, dict):  # those of one camera in a parameter file
            ours.update({f'{name}.{one}': its for one, its in value.items()})
        else:
            ours[name] = tuple(value) if isinstance(value, list) else value
    if any('.' in name for name in ours):
        ours.setdefault('cameras', EXAMPLES)
    of_cameras(ours)


@pages
def test_parameters(page):
    """`name: value` in the text and in parameter files in blocks is what the node takes."""
    text = page.read_text()
    for span in spans(text):
        name, colon, value = span.partition(': ')
        if colon and name in OPTIONS and value != 'n':
            # one that goes with another is named alone in the text
            check_parameters({**COMPANIONS, name: value})
    for block in blocks(text):
        if 'ros__parameters:' in block:
            for node in yaml.safe_load(block).values():
                given = node['ros__parameters'].items()
                check_parameters({name: yaml.safe_dump(value) for name, value in given})


@pages
def test_names(page):
    """Parameters, files, modules and options that are named are somewhere in the project."""
    for span in spans(page.read_text()):
        if span.split()[0] in ('pip', 'docker', 'ros2', 'sysctl'):
            continue  # a program of others with options of its own
        for word in re.findall(
            r'(?<![\w/.$<>~-])(--[a-z][a-z-]+|[a-z]+(?:_[a-z]+)+)(?![\w/.])', span
        ):
            assert word in WORDS, (word, span)
        if re.fullmatch(r'[\w./-]+\.(py|md|yaml|xml|rviz|mcap|ply|png|json|txt)', span):
            inside = any(file == span or file.endswith(f'/{span}') for file in FILES)
            assert inside or span.split('/')[-1] in WORDS, span


def test_the_readme_is_in_order():
    """What a newcomer asks first comes first."""
    found = re.findall(r'^## (.*)', (ROOT / 'README.md').read_text(), re.M)
    order = ['Use it on a camera', 'What it publishes', 'Parameters', 'How fast', 'Models']
    order += ['Accuracy, and its limits', 'When something is wrong', 'Code', 'Contributing']
    assert [title for title in found if title in order] == order


def test_the_readme_is_read_in_three_minutes():
    """Its running text, at 260 words a minute; tables are looked up, blocks are copied."""
    kept = [
        line
        for line in (ROOT / 'README.md').read_text().splitlines()
        if not line.startswith(('#', '|', '    ', '!['))
    ]
    words = re.sub(r'\]\([^)]*\)', ']', '\n'.join(kept)).split()
    assert len(words) <= 3 * 260


def test_every_room_is_on_the_map():
    """CONTRIBUTING names each folder of the package that has code."""
    rooms = {path.parent.name for path in (ROOT / 'depth_pcd_ros').glob('*/__init__.py')}
    rooms_named = set(re.findall(r'`(\w+)/`', (ROOT / 'CONTRIBUTING.md').read_text()))
    assert rooms <= rooms_named


def test_the_readme_leads_to_every_page():
    """No page is found by chance only."""
    links = set(re.findall(r'\]\((docs/[\w]+\.md)', (ROOT / 'README.md').read_text()))
    assert {f'docs/{path.name}' for path in (ROOT / 'docs').glob('*.md')} <= links
