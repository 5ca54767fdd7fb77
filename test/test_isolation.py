# SPDX-License-Identifier: Apache-2.0
"""The ROS domains of tests and demos that run side by side."""

import os
import subprocess
import sys
from pathlib import Path

from scenes import isolation

ROOT = Path(__file__).resolve().parents[1]
CLAIM = 'from scenes.isolation import claim_domain; print(claim_domain())'


def claim_in_another_process(pid):
    """The domain of a process that has this id, as far as it knows."""
    command = [sys.executable, '-c', f'import os; os.getpid = lambda: {pid}; {CLAIM}']
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def test_no_domain_is_shared(monkeypatch):
    """Processes whose ids ask for the same domain have different ones, for as long as they live."""
    ends = []
    monkeypatch.setattr(isolation.atexit, 'register', ends.append)
    domain = isolation.claim_domain()
    pid = domain - 1
    other = claim_in_another_process(pid)
    assert other != domain
    assert {domain, other} <= set(range(1, 101))
    ends.pop()()
    monkeypatch.setattr(os, 'getpid', lambda: pid)
    assert isolation.claim_domain() == domain
    ends.pop()()
