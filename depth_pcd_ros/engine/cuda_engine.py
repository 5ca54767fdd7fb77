# SPDX-License-Identifier: Apache-2.0
"""The network in torch on a GPU: one CUDA graph per size of picture, pinned memory at both ends."""

from __future__ import annotations

import gc
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from depth_pcd_ros.engine import DEVICES, EngineError
from depth_pcd_ros.engine.device_path import DevicePath
from depth_pcd_ros.engine.torch_engine import TorchEngine
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.settings import Settings

MAX_GRAPHS = 3  # each holds the memory of a run; a camera has one size, or a few
WARM_UP = 3  # runs before a capture, as torch asks for: libraries choose their kernels in them

log = logging.getLogger(__name__)

Shape = tuple[int, ...]


class CudaEngine(TorchEngine):
    """Runs a network frame by frame. See `depth_pcd_ros.engine.Engine` and `create`."""

    auto_precision = 'fp16'

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._path = DevicePath(self._network)
        self._graphs: OrderedDict[Shape, Graph] = OrderedDict()  # by shape of the pictures

    def device_memory(self) -> int | None:
        """Return what torch has reserved on the device [bytes]."""
        return int(torch.cuda.memory_reserved(self.device))

    def _free(self) -> None:
        super()._free()
        del self._path
        self._drop(len(self._graphs))

    def _depth(
        self, pictures: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        try:
            with torch.inference_mode():
                return self._graph((len(pictures), *pictures[0].shape), size)(pictures)
        except RuntimeError as err:
            # In the midst of a capture, another error follows from the one that matters.
            cause = err if isinstance(err, torch.OutOfMemoryError) else err.__context__
            if not isinstance(cause, torch.OutOfMemoryError):
                raise
            height, width = pictures[0].shape[:2]
            full = f'{self.device}, {len(pictures)} images of {width}x{height}: {cause}'
            del cause
        # only now: the exception would have kept the tensors alive
        self._drop(len(self._graphs))
        raise FrameError('out_of_memory', full)

    def _graph(self, shape: Shape, size: tuple[int, int]) -> Graph:
        """Return the captured run for pictures of a shape, (N, H, W, 3)."""
        if shape in self._graphs:
            self._graphs.move_to_end(shape)
            return self._graphs[shape]
        if len(self._graphs) >= MAX_GRAPHS:  # before, so that the memory is free again
            self._drop(1)
        start = time.perf_counter()
        self._graphs[shape] = Graph(self._path, shape, size, self.device)
        log.info(
            'captured the network for pictures of %dx%d on %s in %.1f s',
            *(shape[2], shape[1], self.device, time.perf_counter() - start),
        )
        return self._graphs[shape]

    def _checked(self, device: str) -> str:
        match = re.fullmatch(r'cuda(?::(\d+))?', device)
        if not match:
            raise EngineError(f'device is {device!r}, expected {DEVICES}')
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(match[1] or 0)
        if index >= count:
            raise EngineError(
                f'device is {device!r}, but torch {torch.__version__} sees {count} of CUDA'
            )
        return f'cuda:{index}'

    def _drop(self, count: int) -> None:
        """Free the graphs used longest ago, and give their memory back to the device."""
        for _ in range(count):
            self._graphs.popitem(last=False)[1].reset()
        gc.collect()  # a failed capture may be part of a cycle
        torch.cuda.empty_cache()


class Graph:
    """One run of the network, recorded for pictures of one shape, with the memory it works in."""

    def __init__(self, path: DevicePath, shape: Shape, size: tuple[int, int], device: str) -> None:
        self._device = torch.device(device)
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._rgb = torch.empty(shape, dtype=torch.uint8, device=device)
        taps = path.taps((shape[1], shape[2]), size)
        self._graph = torch.cuda.CUDAGraph()
        # In fp32, all of it: cuDNN would round the factors of convolutions to 10 bits.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.cuda.device(self._device), exact:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    path(self._rgb, taps)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph, capture_error_mode='thread_local'):
                self._depth = path(self._rgb, taps)
        # The recording reads these where they are, so they must not go before it does.
        self._kept: list[Tensor] = [*taps, *path.network.constants()]

    def __call__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """Run on pictures of the shape; (N, H, W) m in pinned memory, which torch uses again."""
        for rgb, host in zip(pictures, self._host.numpy(), strict=True):
            np.copyto(host, rgb)
        result = torch.empty(self._depth.shape, pin_memory=True)
        with torch.cuda.device(self._device):
            self._rgb.copy_(self._host, non_blocking=True)
            self._graph.replay()
            result.copy_(self._depth, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        depth: npt.NDArray[np.float32] = result.numpy()
        return depth

    def reset(self) -> None:
        """Free the recording and its memory."""
        self._graph.reset()
        del self._depth, self._rgb, self._host, self._kept
