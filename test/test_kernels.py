# SPDX-License-Identifier: Apache-2.0
"""Compiled loops where they can be kept, and where they cannot."""

import numpy as np
import pytest
from numba.core import caching

from depth_pcd_ros.kernels import INT, kernel, readonly


def total(values):
    """The sum of small integers."""
    result = 0
    for i in range(values.size):
        result += values[i]
    return result


def test_without_a_folder_to_keep_it_in(monkeypatch):
    """It works all the same, and the warning says what that costs."""
    monkeypatch.setattr(caching.CacheImpl, '_locator_classes', [])
    with pytest.warns(RuntimeWarning, match='each start takes some seconds longer'):
        compiled = kernel(readonly('uint8', 1), returns=INT)(total)
    assert compiled(np.array([3, 4], np.uint8)) == 7


def test_it_is_compiled_before_it_is_called():
    """Nothing is left to do at the first frame, and other types are refused, not compiled for."""
    compiled = kernel(readonly('uint8', 1), returns=INT)(total)
    assert len(compiled.signatures) == 1
    with pytest.raises(TypeError, match='No matching definition'):
        compiled(np.array([3.0]))
    assert len(compiled.signatures) == 1
