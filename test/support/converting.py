# SPDX-License-Identifier: Apache-2.0
"""What the tests of depth-pcd convert share: small pictures, what came out, and Ctrl-C."""

from contextlib import contextmanager
from unittest import mock

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert.manifest import NAME

WIDTH, HEIGHT = 56, 42
DEMO = ['--model', 'demo', '--device', 'cpu', '--input-size', '42']
CAMERA = ['--fx', '50', '--fy', '48', '--cx', '27', '--cy', '20']


def smooth(seed, width=WIDTH, height=HEIGHT):
    """A smooth picture, (H, W, 3) RGB."""
    few = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR)


def photos(folder, count=3):
    """A folder with photos, the first in a folder below it."""
    (folder / 'below').mkdir(parents=True)
    for i in range(count):
        name = f'below/{i}.png' if i == 0 else f'{i}.png'
        Image.fromarray(smooth(i)).save(folder / name)
    return str(folder)


def video(path, seeds, codec='MJPG', size=(WIDTH, HEIGHT)):
    """A video of smooth pictures, by their seeds or number; skips where it cannot be written."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 5.0, size)
    if not writer.isOpened():
        pytest.skip(f'this OpenCV cannot write {codec}')
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        writer.write(np.ascontiguousarray(smooth(seed, *size)[..., ::-1]))
    writer.release()
    return str(path)


def contents(folder):
    """The bytes of every file below a folder, by its path there, without the record."""
    files = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != NAME}


def listed(folder):
    """The names in a folder, without the record."""
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)


def convert(tmp_path, *options, source='in', out='out'):
    """Run the command; return its exit code."""
    return main(['convert', str(tmp_path / source), '-o', str(tmp_path / out), *DEMO, *options])


@contextmanager
def interrupted_at(owner, name, number):
    """Ctrl-C in the call number `number` of a function or method."""
    original = getattr(owner, name)
    calls = []

    def interrupted(*arguments, **named):
        calls.append(arguments)
        if len(calls) == number + 1:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    with mock.patch.object(owner, name, interrupted):
        yield
