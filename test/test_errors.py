# SPDX-License-Identifier: Apache-2.0
"""The causes of dropped frames: those of the type, of the code and of the docs are the same."""

import ast
import re
from pathlib import Path
from typing import get_args

from depth_pcd_ros.errors import Cause

ROOT = Path(__file__).parents[1]


def raised(path):
    """The causes that a module names: the first of the two arguments of an error."""
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Call) and len(node.args) == 2:
            name = ast.unparse(node.func)
            if name in ('FrameError', 'CameraError', 'ImageError', 'TruthError'):
                yield ast.literal_eval(node.args[0])


def test_every_cause_is_raised_and_explained():
    """Mypy holds the code to the type; here no name is left that nothing raises or explains."""
    known = list(get_args(Cause))
    assert len(known) == len(set(known))
    assert {cause for path in (ROOT / 'depth_pcd_ros').rglob('*.py') for cause in raised(path)} == {
        *known
    }
    rows = re.findall(r'^\| (`.*?) \|', (ROOT / 'docs/diagnostics.md').read_text('utf-8'), re.M)
    explained = [cause for row in rows for cause in re.findall('`([a-z_]+)`', row)]
    assert sorted(explained) == sorted(known)
