# SPDX-License-Identifier: Apache-2.0
"""What the pages and the docstrings tell somebody to type."""

import ast
import contextlib
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'models/README.md')]
PAGES += sorted((ROOT / 'docs').glob('*.md'))
MODULES = [
    path
    for folder in ('depth_pcd_ros', 'launch', 'scenes', 'bench', 'test')
    for path in sorted((ROOT / folder).rglob('*.py'))
]


def blocks(text):
    """The blocks of code, each without its indent, lines that end in a backslash joined."""
    found = re.findall(r'(?:^|\n\n)((?: {4,}.*\n|\n)+)', text + '\n')
    found += re.findall(r'```\w*\n(.*?)```', text, re.S)
    return [re.sub(r'\\\n\s*', ' ', re.sub(r'^ {4}', '', block, flags=re.M)) for block in found]


def lines(text):
    """The commands in the blocks, without comments; several in a line are several."""
    for block in blocks(text):
        for line in block.splitlines():
            with contextlib.suppress(ValueError):  # a figure with an apostrophe
                words = shlex.split(line, comments=True)
                command = []
                for word in [*words, '&&']:
                    if word == '&&':
                        if command:
                            yield command
                        command = []
                    else:
                        command.append(word)


def spans(text):
    """What is written `like this`."""
    return re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', text, flags=re.S))


def commands(text):
    """The commands in blocks and in spans."""
    yield from lines(text)
    for span in spans(text):
        with contextlib.suppress(ValueError):
            yield shlex.split(span)


def text_of(path):
    """A page, or what the docstrings of a module and of all that is in it say, without indent."""
    text = path.read_text()
    if path.suffix != '.py':
        return text
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return '\n\n'.join(ast.get_docstring(node) or '' for node in nodes)
