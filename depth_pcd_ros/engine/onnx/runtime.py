# SPDX-License-Identifier: Apache-2.0
"""Importing ONNX Runtime, and what it can run on. No torch."""

from __future__ import annotations

import ctypes
from typing import Any

from depth_pcd_ros.engine.base import EngineError

# What a user writes after `onnx:`, the best first; TensorRT only where it is asked for.
PROVIDERS = {
    'cuda': 'CUDAExecutionProvider',
    'rocm': 'ROCMExecutionProvider',
    'migraphx': 'MIGraphXExecutionProvider',
    'openvino': 'OpenVINOExecutionProvider',
    'cpu': 'CPUExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider',
}
UNASKED = ('tensorrt',)


def onnxruntime() -> Any:
    """Return the module `onnxruntime`.

    Raises:
        EngineError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as err:
        raise EngineError(
            f'ONNX needs the Python package onnxruntime ({err}): pip install onnxruntime, or '
            'onnxruntime-gpu for CUDA and TensorRT'
        ) from err
    return onnxruntime


def version() -> tuple[int, ...]:
    """Return the first two numbers of the version of ONNX Runtime."""
    return tuple(map(int, onnxruntime().__version__.split('.')[:2]))


def tensorrt_version() -> str:
    """Return the version of TensorRT's library, as its own number; '' where there is none."""
    for name in ('libnvinfer.so.10', 'libnvinfer.so.8', 'libnvinfer.so'):
        try:
            return str(ctypes.CDLL(name).getInferLibVersion())
        except (OSError, AttributeError):
            continue
    return ''


def provider_of(device: str) -> str:
    """Return the name in `PROVIDERS` of a device: `onnx:cpu` is `cpu`, `onnx` the best there is.

    Raises:
        EngineError: the installed build has none of this name.
    """
    able = _able()
    wanted = device.partition(':')[2]
    if device == 'onnx':
        return next(name for name in able if name not in UNASKED)
    if wanted not in able:
        raise EngineError(
            f'device is {device!r}, but this build of ONNX Runtime has {", ".join(able)}: expected '
            + ' or '.join(f'onnx:{name}' for name in able)
        )
    return wanted


def device_after(device: str) -> str:
    """Return the next best device, such as `onnx:cpu`, after one; '' where there is none."""
    best = [name for name in _able() if name not in UNASKED]
    following = best[best.index(provider_of(device)) + 1 :]
    return f'onnx:{following[0]}' if following else ''


def _able() -> list[str]:
    """Return the names in `PROVIDERS` that the installed build has, the best first."""
    there = onnxruntime().get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider in there]
