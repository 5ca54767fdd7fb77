# SPDX-License-Identifier: Apache-2.0
"""Name the hardware and drivers that an engine is made of, and its threads, without torch."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
from pathlib import Path

CPU_INFO = Path('/proc/cpuinfo')
NVIDIA_DRIVER = Path('/proc/driver/nvidia/version')
NVIDIA_GPUS = Path('/proc/driver/nvidia/gpus')


@functools.cache
def hardware() -> str:
    """Return the names of the processor and the GPUs, and the version of NVIDIA's driver."""
    found = [_first(r'model name\s*:\s*(.+)', CPU_INFO) or platform.machine()]
    if driver := _first(r'(\d+\.\d+(?:\.\d+)?)', NVIDIA_DRIVER):
        found.append(f'NVIDIA driver {driver}')
    gpus = sorted(NVIDIA_GPUS.glob('*/information'))
    found += [_first(r'Model:\s*(.+)', path) or 'unknown GPU' for path in gpus]
    return ', '.join(found)


def threads() -> int:
    """Return how many threads `OMP_NUM_THREADS` allows, -1 for as many as there are cores.

    torch obeys it by itself, and Ray sets it for a worker to the processors that it gives it.
    """
    first = os.environ.get('OMP_NUM_THREADS', '').partition(',')[0].strip()
    return int(first) if first.isdecimal() and int(first) else -1


def _first(pattern: str, path: Path) -> str:
    """Return what a pattern finds first in a file; '' where it finds nothing."""
    with contextlib.suppress(OSError):
        if match := re.search(pattern, path.read_text(errors='replace')):
            return match[1].strip()
    return ''
