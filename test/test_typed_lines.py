# SPDX-License-Identifier: Apache-2.0
"""What a page or a docstring tells somebody to type works as typed, as far as `--help` shows it."""

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from depth_pcd_ros import cli
from test.support.documents import MODULES, PAGES, ROOT, commands, text_of

OURS = ('depth_pcd_ros', 'scenes', 'bench', 'test')
TYPED = {
    tuple(command) for path in (*PAGES, *MODULES) for command in commands(text_of(path)) if command
}


def without_marks(words):
    """A line without the [brackets] of what may be left out, and of `a|b` the first."""
    cleaned = (re.sub(r'[\[\]]|\|.*', '', word) for word in words)
    return tuple(word for word in cleaned if word not in ('', '...'))


def python_lines():
    """Lines that run a module or a file of the project with Python."""
    for first, *words in TYPED:
        if first.split('/')[-1] in ('python', 'python3') and words:
            module = words[1] if words[0] == '-m' and len(words) > 1 else ''
            if words[0].endswith('.py') or module.split('.')[0] in OURS:
                yield without_marks(words)


def command_lines():
    """Lines that run depth-pcd, in docstrings; test_docs has those of the pages."""
    for first, *words in TYPED:
        if first.split('/')[-1] == 'depth-pcd' and words:
            yield without_marks(words)


@pytest.mark.parametrize('words', sorted(set(python_lines())), ids=' '.join)
def test_python(words):
    """The program starts and takes what is typed, up to a `--help` after it."""
    done = subprocess.run(
        (sys.executable, *words, '--help'),
        cwd=ROOT,
        env=os.environ | {'OMP_WAIT_POLICY': 'PASSIVE'},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    missing = re.search(r"No module named '(torch|rclpy|sensor_msgs|openvino)", done.stderr)
    if missing:
        pytest.skip(f'{missing[1]} is not installed')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('usage: python -m ' + words[1])


@pytest.mark.parametrize('words', sorted(set(command_lines())), ids=' '.join)
def test_depth_pcd(words):
    """The command is there and takes what is typed, up to a `--help` after it."""
    told = io.StringIO()
    with (
        pytest.raises(SystemExit) as end,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        cli.main([*words, '--help'])
    assert end.value.code == 0, told.getvalue()


def test_they_are_found():
    """Of each kind at least one that is known to be there."""
    assert ('-m', 'scenes.edges', '--picture', 'edge_filter.png') in set(python_lines())
    assert ('-m', 'test.soak', '--minutes', '2') in set(python_lines())
    assert any(words[0] == 'convert' for words in command_lines())
