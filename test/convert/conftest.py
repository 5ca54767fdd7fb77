# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of depth-pcd convert."""

import pytest


@pytest.fixture(scope='module')
def ray():
    """Skips where it, or torch for the workers, is not installed.

    All have one thread: on some processors, torch's last bits depend on how many there are.
    """
    torch = pytest.importorskip('torch')
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OMP_NUM_THREADS', '1')
        torch.set_num_threads(1)
        yield pytest.importorskip('ray')
    torch.set_num_threads(before)
