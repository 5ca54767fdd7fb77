# SPDX-License-Identifier: Apache-2.0
"""The network in torch, on CUDA or on the CPU."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from depth_pcd_ros import checkpoints, networks
from depth_pcd_ros.engine import DEVICES, EngineError
from depth_pcd_ros.engine.base import BaseEngine, check_precision
from depth_pcd_ros.engine.preprocess import Preprocessor, check_input_size
from depth_pcd_ros.errors import FrameError

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class TorchEngine(BaseEngine):
    """Runs a network frame by frame. See `depth_pcd_ros.engine.Engine` and `create`."""

    def __init__(
        self,
        model: str,
        max_depth: float = 0.0,
        input_size: int = 0,
        device: str = 'cpu',
        precision: str = 'auto',
    ) -> None:
        self.model = model
        self.device = _device(device)
        check_precision(precision)
        auto = 'fp16' if self.device.startswith('cuda') else 'fp32'
        self.precision = auto if precision == 'auto' else precision
        if input_size:
            check_input_size(input_size)

        checkpoint = checkpoints.resolve(model, max_depth)
        self.focal_train = checkpoint.focal_train
        network = networks.load(checkpoint)
        self.max_depth = float(network.max_depth)
        self.input_size = input_size or int(network.input_size)
        self._preprocess = Preprocessor()
        self._dtype = DTYPES[self.precision]
        self._network: torch.nn.Module | None = network.to(self.device, self._dtype)

    def device_memory(self) -> int | None:
        """Return what torch has reserved on the device [bytes]; None on a CPU."""
        if not self.device.startswith('cuda'):
            return None
        return int(torch.cuda.memory_reserved(self.device))

    def _free(self) -> None:
        self._network = None
        if self.device.startswith('cuda'):
            torch.cuda.empty_cache()

    def _depth(
        self, pictures: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        x = np.empty((len(pictures), 3, *size), np.float32)
        for rgb, entering in zip(pictures, x, strict=True):
            self._preprocess(rgb, size, entering[None])
        height, width = pictures[0].shape[:2]
        try:
            return self._run(x, (height, width))
        except torch.OutOfMemoryError as err:
            full = f'{self.device}, {len(pictures)} images of {width}x{height}: {err}'
        # only now: the exception would have kept the tensors alive
        torch.cuda.empty_cache()
        raise FrameError('out_of_memory', full)

    def _run(self, x: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Run the network on (N, 3, h, w) and resize its depth to `size`, (N, H, W) m."""
        assert self._network is not None
        with torch.inference_mode():  # per thread, so here and not once
            depth = self._network(torch.from_numpy(x).to(self.device, self._dtype)).float()
            depth = F.interpolate(depth[:, None], size, mode='bilinear', align_corners=True)
            result: npt.NDArray[np.float32] = depth[:, 0].cpu().numpy()
        return result


def _device(name: str) -> str:
    if name == 'cpu':
        return name
    match = re.fullmatch(r'cuda(?::(\d+))?', name)
    if not match:
        raise EngineError(f'device is {name!r}, expected {DEVICES}')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(match[1] or 0)
    if index >= count:
        raise EngineError(f'device is {name!r}, but torch {torch.__version__} sees {count} of CUDA')
    return f'cuda:{index}'
