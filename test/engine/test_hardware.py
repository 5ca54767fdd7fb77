# SPDX-License-Identifier: Apache-2.0
"""How many threads there may be."""

import pytest

from depth_pcd_ros.engine.hardware import threads


@pytest.mark.parametrize(
    ('value', 'count'), [('3', 3), (' 2 ,1', 2), ('0', -1), ('', -1), ('many', -1)]
)
def test_threads_as_openmp_is_told(monkeypatch, value, count):
    """A number, the first of several; what is none is as if it were not there."""
    monkeypatch.setenv('OMP_NUM_THREADS', value)
    assert threads() == count
    monkeypatch.delenv('OMP_NUM_THREADS')
    assert threads() == -1
