# SPDX-License-Identifier: Apache-2.0
"""Choose the best device without importing torch, which takes seconds and 300 MB."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger(__name__)


def default_device(tried: Collection[str] = ()) -> str:
    """Return what `auto` is: CUDA where there is one, else OpenVINO if installed, else the CPU.

    Args:
        tried: kinds of device that are not wanted, such as `cuda`.
    """
    if 'cuda' not in tried and _has_gpu() and importlib.util.find_spec('torch') is not None:
        import torch

        if torch.cuda.is_available():
            return 'cuda'
        log.warning(
            'there is a GPU, but torch %s cannot use it: install a build of torch for it',
            torch.__version__,
        )
    if importlib.util.find_spec('openvino') is not None:
        if 'openvino' not in tried:
            return 'openvino'
    else:
        log.info('OpenVINO is not installed: with it a CPU is two to three times as fast')
    return 'cpu'


def _has_gpu() -> bool:
    """Return whether a driver of NVIDIA or AMD has a GPU that torch could use."""
    if Path('/dev/kfd').exists():  # AMD's, which torch calls CUDA too
        return True
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return False
    count = ctypes.c_int()
    return (
        cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    )
