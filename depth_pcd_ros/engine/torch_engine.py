# SPDX-License-Identifier: Apache-2.0
"""The network in torch, on CUDA or on the CPU."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from depth_pcd_ros import checkpoints, demo_network, depth_anything
from depth_pcd_ros.engine import PRECISIONS, EngineError
from depth_pcd_ros.engine.checks import check_finite, check_pictures
from depth_pcd_ros.engine.preprocess import Preprocessor, check_input_size, network_size
from depth_pcd_ros.errors import FrameError

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class TorchEngine:
    """Runs a network frame by frame. See `depth_pcd_ros.engine.Engine` and `create`."""

    def __init__(
        self,
        model: str,
        max_depth: float = 0.0,
        input_size: int = 0,
        device: str = 'auto',
        precision: str = 'auto',
    ) -> None:
        self.model = model
        self.device = _device(device)
        self.precision = _precision(precision, self.device)
        if input_size:
            check_input_size(input_size)

        checkpoint = checkpoints.resolve(model, max_depth)
        self.focal_train = checkpoint.focal_train
        network: torch.nn.Module
        if checkpoint.kind == 'demo':
            network = demo_network.load(checkpoint.path)
        else:
            network = depth_anything.load(checkpoint.path, checkpoint.max_depth)
        self.max_depth = float(network.max_depth)
        self.input_size = input_size or int(network.input_size)
        self._dtype = DTYPES[self.precision]
        self._preprocess = Preprocessor()
        self._network: torch.nn.Module | None = network.to(self.device, self._dtype)

    def infer(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Estimate the depth of a picture; see `Engine.infer`.

        Raises:
            FrameError: `aspect_ratio` for a picture more than 20 times as long as wide,
                `network_not_finite` where the network gives NaN, `out_of_memory` where the device
                has no room; what torch holds in reserve is given back then.
        """
        return self.infer_batch([rgb])[0]

    def infer_batch(
        self, pictures: Sequence[npt.NDArray[np.uint8]]
    ) -> list[npt.NDArray[np.float32]]:
        """Estimate the depth of pictures of one size; see `Engine.infer_batch` and `infer`."""
        if self._network is None:
            raise RuntimeError('the engine is closed')
        if not pictures:
            return []
        height, width = check_pictures(pictures)
        size = network_size(height, width, self.input_size)
        x = np.empty((len(pictures), 3, *size), np.float32)
        for rgb, entering in zip(pictures, x, strict=True):
            self._preprocess(rgb, size, entering[None])
        full = None
        try:
            result = self._depth(self._network, x, (height, width))
        except torch.OutOfMemoryError as err:
            full = f'{self.device}, {len(pictures)} images of {width}x{height}: {err}'
        if full is not None:  # only now: the exception would have kept the tensors alive
            torch.cuda.empty_cache()
            raise FrameError('out_of_memory', full)
        check_finite(result, self.precision)
        return list(result)

    def device_memory(self) -> int | None:
        """Return what torch has reserved on the device [bytes]; None on a CPU."""
        if not self.device.startswith('cuda'):
            return None
        return int(torch.cuda.memory_reserved(self.device))

    def close(self) -> None:
        """Free the memory of the network."""
        self._network = None
        if self.device.startswith('cuda'):
            torch.cuda.empty_cache()

    def _depth(
        self, network: torch.nn.Module, x: npt.NDArray[np.float32], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Run the network on (N, 3, h, w) and resize its depth to `size`, (N, H, W) m."""
        with torch.inference_mode():  # per thread, so here and not once
            depth = network(torch.from_numpy(x).to(self.device, self._dtype)).float()
            depth = F.interpolate(depth[:, None], size, mode='bilinear', align_corners=True)
            result: npt.NDArray[np.float32] = depth[:, 0].cpu().numpy()
        return result


def _device(name: str) -> str:
    if name == 'auto':
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    if name == 'cpu':
        return name
    match = re.fullmatch(r'cuda(?::(\d+))?', name)
    if not match:
        raise EngineError(f'device is {name!r}, expected auto, cpu, cuda or cuda:N')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(match[1] or 0)
    if index >= count:
        raise EngineError(f'device is {name!r}, but torch {torch.__version__} sees {count} of CUDA')
    return f'cuda:{index}'


def _precision(name: str, device: str) -> str:
    if name not in PRECISIONS:
        raise EngineError(f'precision is {name!r}, expected one of {", ".join(PRECISIONS)}')
    if name == 'auto':
        return 'fp16' if device.startswith('cuda') else 'fp32'
    return name
