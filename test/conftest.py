# SPDX-License-Identifier: Apache-2.0
"""Without ROS 2 the tests in test/ros are left out, without torch those that import it."""

import functools
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from depth_pcd_ros.engine import cache

# Before torch is loaded: on busy cores, threads that spin for each other take ten times longer.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

# A shell's background jobs ignore Ctrl-C, and so would the programs that the tests end with it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HAS_ROS = importlib.util.find_spec('rclpy') is not None
HAS_TORCH = importlib.util.find_spec('torch') is not None
collect_ignore = [] if HAS_ROS else ['ros']


class Missing:
    """Skips the test, or the file of tests, that imports torch."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Called for every module that is imported for the first time."""
        if name == 'torch':
            pytest.skip('torch is not installed', allow_module_level=True)


if not HAS_TORCH:
    sys.meta_path.insert(0, Missing)


def pytest_report_header():
    """Say what is left out."""
    missing = [
        *([] if HAS_ROS else ['ROS 2 is not installed: the tests in test/ros are left out']),
        *([] if HAS_TORCH else ['torch is not installed: the tests that import it are skipped']),
    ]
    return missing or None


def pytest_configure(config):
    """Keep converted networks out of the user's cache; all tests share them."""
    if is_worker(config):  # the variable is set
        return
    config.converted_networks = tempfile.mkdtemp(prefix='depth_pcd_ros-test-')
    os.environ[cache.FOLDER_VARIABLE] = config.converted_networks


def pytest_unconfigure(config):
    """Remove them."""
    if not is_worker(config):
        shutil.rmtree(config.converted_networks, ignore_errors=True)


def is_worker(config):
    """Whether this process is one of several that share the tests (pytest-xdist)."""
    return hasattr(config, 'workerinput')


def pytest_runtest_setup(item):
    """Leave the processor to the tests in test/ros beside this one: some look at the clock."""
    if is_worker(item.config) and Path(__file__).parent / 'ros' not in item.path.parents:
        step_back()


@functools.cache
def step_back():
    """Have a lower priority from now on; the tests in test/ros come before all others."""
    os.nice(10)
