# SPDX-License-Identifier: Apache-2.0
"""The network in OpenVINO, on a CPU, an Intel GPU or an NPU. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_pcd_ros.engine import cache
from depth_pcd_ros.engine.base import EngineError, Floats, Size
from depth_pcd_ros.engine.hardware import threads
from depth_pcd_ros.engine.host import SizedEngine
from depth_pcd_ros.engine.openvino.runtime import openvino, reason
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.settings import EngineSettings

# What a device must be able to do, as OpenVINO calls it, and how to ask for it.
CAPABILITIES = {'fp32': 'FP32', 'fp16': 'FP16', 'bf16': 'BF16'}
HINTS = {'fp32': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}


class OpenVinoEngine(SizedEngine):
    """Runs a network in OpenVINO; see `depth_pcd_ros.engine.create`."""

    makes = 'compiled'
    keeps_attention = False  # it takes one precision; marks on single operations get lost

    def __init__(self, settings: EngineSettings, fp32_attention: bool = False) -> None:
        self._core = openvino().Core()
        self._target = _target(settings.device, self._core.available_devices)
        precision = _precision(self._core, self._target, settings.precision)
        network = checkpoints.of_settings(settings)
        super().__init__(
            settings.model, network, f'openvino:{self._target}', precision, fp32_attention
        )
        with cache.converted(network, 'fp32' if precision == 'fp32' else 'fp16') as path:
            self._network = self._core.read_model(path)
            self._place = path.parent

    def _origin(self, size: Size) -> tuple[Path, str]:
        device = self._core.get_property(self._target, 'FULL_DEVICE_NAME')
        return self._place, f'OpenVINO {openvino().__version__}, {device}'

    def _free(self) -> None:
        super()._free()
        del self._network, self._core

    def _infer(self, x: Floats) -> Floats:
        # One by one: a picture keeps all cores busy.
        request = self._of_size((x.shape[2], x.shape[3]))
        maps = []
        for picture in x[:, None]:
            try:
                request.infer([picture], share_inputs=True)
            except RuntimeError as err:
                raise FrameError('network_failed', f'{self.device}: {reason(err)}') from err
            small = request.get_output_tensor().data.reshape(-1, *x.shape[2:])
            maps.append(small if len(x) == 1 else small.copy())  # the next one overwrites it
        return maps[0][None] if len(x) == 1 else np.stack(maps)

    def _make(self, size: Size) -> Any:
        """Return the network compiled, as something that can be run; 100 MB for ViT-S."""
        network = self._network.clone()
        network.reshape([1, 3, *size])
        hints = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': HINTS[self.precision]}
        if self._target == 'CPU' and threads() > 0:
            hints['INFERENCE_NUM_THREADS'] = str(threads())
        try:
            return self._core.compile_model(network, self._target, hints).create_infer_request()
        except RuntimeError as err:
            raise FrameError('network_failed', f'{self.device}: {reason(err)}') from err


def _precision(core: Any, target: str, precision: str) -> str:
    """Return the precision asked for, or the best one of a device.

    Raises:
        EngineError: the device does not have it.
    """
    can = core.get_property(target, 'OPTIMIZATION_CAPABILITIES')
    able = [name for name, capability in CAPABILITIES.items() if capability in can]
    if precision == 'auto':
        # bf16 first: the processors that have it are far faster with it than with fp32
        wishes = ('bf16', 'fp32') if target == 'CPU' else ('fp16', 'fp32')
        return next(wish for wish in wishes if wish in able)
    if precision not in able:
        name = core.get_property(target, 'FULL_DEVICE_NAME')
        raise EngineError(
            f'precision is {precision!r}, but {name} (openvino:{target}) has {", ".join(able)}'
        )
    return precision


def _target(device: str, available: Sequence[str]) -> str:
    """Return the device as OpenVINO calls it: `openvino:GPU` is `GPU`.

    Raises:
        EngineError: there is none of this name.
    """
    target = device.partition(':')[2] or 'CPU'
    if device not in ('openvino', f'openvino:{target}') or target not in available:
        raise EngineError(
            f'device is {device!r}, but OpenVINO sees {", ".join(available)}: expected '
            + ' or '.join(f'openvino:{name}' for name in available)
        )
    return target
