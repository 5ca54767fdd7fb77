# SPDX-License-Identifier: Apache-2.0
"""The network in OpenVINO, on a CPU, an Intel GPU or an NPU. No torch."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_pcd_ros.engine import cache
from depth_pcd_ros.engine.base import EngineError, Floats
from depth_pcd_ros.engine.host import HostEngine
from depth_pcd_ros.engine.openvino.runtime import openvino, reason
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.settings import EngineSettings

# What a device must be able to do, as OpenVINO calls it, and how to ask for it.
CAPABILITIES = {'fp32': 'FP32', 'fp16': 'FP16', 'bf16': 'BF16'}
HINTS = {'fp32': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}

log = logging.getLogger(__name__)


class OpenVinoEngine(HostEngine):
    """Runs a network in OpenVINO; see `depth_pcd_ros.engine.create`."""

    def __init__(self, settings: EngineSettings) -> None:
        self._core = openvino().Core()
        self._target = _target(settings.device, self._core.available_devices)
        precision = _precision(self._core, self._target, settings.precision)
        network = checkpoints.of_settings(settings)
        super().__init__(settings.model, network, f'openvino:{self._target}', precision)
        with cache.converted(network, 'fp32' if precision == 'fp32' else 'fp16') as path:
            self._network = self._core.read_model(path)
            self._place = path.parent
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()  # by size

    def _origin(self, size: tuple[int, int]) -> tuple[Path, str]:
        device = self._core.get_property(self._target, 'FULL_DEVICE_NAME')
        return self._place, f'OpenVINO {openvino().__version__}, {device}'

    def _free(self) -> None:
        self._requests.clear()
        del self._network, self._core

    def _infer(self, x: Floats) -> Floats:
        # One by one: a picture keeps all cores busy.
        request = self._request((x.shape[2], x.shape[3]))
        maps = []
        for picture in x[:, None]:
            try:
                request.infer([picture], share_inputs=True)
            except RuntimeError as err:
                raise FrameError('network_failed', f'{self.device}: {reason(err)}') from err
            small = request.get_output_tensor().data.reshape(-1, *x.shape[2:])
            maps.append(small if len(x) == 1 else small.copy())  # the next one overwrites it
        return maps[0][None] if len(x) == 1 else np.stack(maps)

    def _request(self, size: tuple[int, int]) -> Any:
        """Return the network compiled for pictures of `size`, as something that can be run."""
        if size in self._requests:
            self._requests.move_to_end(size)
            return self._requests[size]
        while (
            len(self._requests) >= self.sizes
        ):  # before, so that the memory is free again; ViT-S: 100 MB
            self._requests.popitem(last=False)
        start = time.perf_counter()
        network = self._network.clone()
        network.reshape([1, 3, *size])
        hints = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': HINTS[self.precision]}
        try:
            compiled = self._core.compile_model(network, self._target, hints)
            self._requests[size] = compiled.create_infer_request()
        except RuntimeError as err:
            raise FrameError('network_failed', f'{self.device}: {reason(err)}') from err
        log.info(
            'compiled the network for pictures of %dx%d on %s in %.1f s',
            *(size[1], size[0], self.device, time.perf_counter() - start),
        )
        return self._requests[size]


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
