# SPDX-License-Identifier: Apache-2.0
"""The network in torch on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from depth_pcd_ros.engine import DEVICES, EngineError
from depth_pcd_ros.engine.base import BaseEngine
from depth_pcd_ros.engine.preprocess import Preprocessor
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.networks import checkpoints, families
from depth_pcd_ros.settings import Settings

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class TorchEngine(BaseEngine):
    """Runs a network frame by frame. See `depth_pcd_ros.engine.Engine` and `create`."""

    auto_precision = 'fp32'

    def __init__(self, settings: Settings) -> None:
        self.model = settings.model
        self.device = self._checked(settings.device)
        auto = settings.precision == 'auto'
        self.precision = self.auto_precision if auto else settings.precision

        checkpoint = checkpoints.resolve(settings.model, settings.max_depth)
        self.focal_train = checkpoint.focal_train
        network = families.load(checkpoint)
        self.max_depth = float(network.max_depth)
        self.input_size = settings.input_size or int(network.input_size)
        self._preprocess = Preprocessor()
        self._dtype = DTYPES[self.precision]
        self._network = network.to(self.device, self._dtype)

    def _free(self) -> None:
        self._preprocess.close()
        del self._network

    def _depth(
        self, pictures: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        x = np.empty((len(pictures), 3, *size), np.float32)
        for rgb, entering in zip(pictures, x, strict=True):
            self._preprocess(rgb, size, entering[None])
        with torch.inference_mode():  # per thread, so here and not once
            small = self._network(torch.from_numpy(x).to(self._dtype)).float().numpy()
        out = np.empty((len(pictures), *pictures[0].shape[:2]), np.float32)
        for depth, result in zip(small, out, strict=True):
            upsample(np.ascontiguousarray(depth), result.shape, result)
        return out

    def _checked(self, device: str) -> str:
        """Return the name of the device in full.

        Raises:
            EngineError: there is none of this name.
        """
        if device != 'cpu':
            raise EngineError(f'device is {device!r}, expected {DEVICES}')
        return device
