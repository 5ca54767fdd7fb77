# SPDX-License-Identifier: Apache-2.0
"""Compiled loops where they can be kept, and where they cannot."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_pcd_ros.kernels import INT, kernel, readonly

ROOT = Path(__file__).resolve().parents[1]


def total(values):
    """The sum of small integers."""
    result = 0
    for i in range(values.size):
        result += values[i]
    return result


def test_without_a_folder_to_keep_it_in(tmp_path):
    """It works all the same, and the warning says what that costs."""
    for name in ('__pycache__', 'cache'):  # no folders
        (tmp_path / name).touch()
    (tmp_path / 'sums.py').write_text(
        f'import numpy as np\n'
        f'from depth_pcd_ros.kernels import INT, kernel, readonly\n'
        f'{inspect.getsource(total)}'
        f"compiled = kernel(readonly('uint8', 1), returns=INT)(total)\n"
        f'print(compiled(np.array([3, 4], np.uint8)))\n'
    )
    nowhere = str(tmp_path / 'cache')
    caches = {'NUMBA_CACHE_DIR': '', 'XDG_CACHE_HOME': nowhere, 'HOME': nowhere}
    done = subprocess.run(
        (sys.executable, 'sums.py'),
        cwd=tmp_path,
        env=os.environ | caches | {'PYTHONPATH': str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == '7\n'
    assert 'each start takes some seconds longer' in done.stderr


def test_it_is_compiled_before_it_is_called():
    """Nothing is left to do at the first frame, and other types are refused, not compiled for."""
    compiled = kernel(readonly('uint8', 1), returns=INT)(total)
    assert len(compiled.signatures) == 1
    with pytest.raises(TypeError, match='No matching definition'):
        compiled(np.array([3.0]))
    assert len(compiled.signatures) == 1
