# SPDX-License-Identifier: Apache-2.0
"""The network in torch on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch

from depth_pcd_ros.engine import DEVICES, cache
from depth_pcd_ros.engine.base import EngineError, Floats
from depth_pcd_ros.engine.hardware import hardware
from depth_pcd_ros.engine.host import HostEngine
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.networks.family import Family
from depth_pcd_ros.networks.modules.dinov2 import in_precision
from depth_pcd_ros.settings import EngineSettings

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class TorchEngine(HostEngine):
    """Runs a network in torch on the CPU; see `depth_pcd_ros.engine.create`."""

    def __init__(
        self,
        settings: EngineSettings,
        fp32_attention: bool = False,
        network: Family | None = None,
    ) -> None:
        if settings.device != 'cpu':
            raise EngineError(f'device is {settings.device!r}, expected {DEVICES}')
        precision = 'fp32' if settings.precision == 'auto' else settings.precision
        network = network or checkpoints.of_settings(settings)
        super().__init__(settings.model, network, settings.device, precision, fp32_attention)
        self._network = in_precision(network.load(), DTYPES[precision], fp32_attention)

    def _origin(self, size: tuple[int, int]) -> tuple[Path, str]:
        return cache.place(self.network), f'torch {torch.__version__}, {hardware()}'

    def _free(self) -> None:
        del self._network

    def _infer(self, x: Floats) -> Floats:
        with torch.inference_mode():  # per thread, so here and not once
            maps = self._network(torch.from_numpy(x).to(DTYPES[self.precision]))
            out: Floats = maps.reshape(len(x), -1, *x.shape[2:]).float().numpy()
        return out
