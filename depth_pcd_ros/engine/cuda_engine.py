# SPDX-License-Identifier: Apache-2.0
"""The network in torch on a GPU: one CUDA graph per size of picture, pinned memory at both ends."""

from __future__ import annotations

import gc
import logging
import re
import time
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from depth_pcd_ros.engine import DEVICES
from depth_pcd_ros.engine.base import Engine, EngineError, Floats, Pictures, Size
from depth_pcd_ros.engine.device_path import DevicePath
from depth_pcd_ros.engine.torch_engine import DTYPES
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.settings import EngineSettings

WARM_UP = 3  # runs before a capture, as torch asks for: libraries choose their kernels in them

log = logging.getLogger(__name__)

Shape = tuple[int, ...]


class CudaEngine(Engine):
    """Runs a network in torch on a GPU; see `depth_pcd_ros.engine.create`."""

    # Enough to keep a large GPU busy with the small network; ones that do not fit go one by one.
    batch = 4

    def __init__(self, settings: EngineSettings) -> None:
        device = _checked(settings.device)
        precision = 'fp16' if settings.precision == 'auto' else settings.precision
        network = checkpoints.of_settings(settings)
        super().__init__(settings.model, network, device, precision)
        self._graphs: OrderedDict[Shape, Graph] = OrderedDict()  # by shape of the pictures
        try:
            self._path = DevicePath(network, network.load().to(device, DTYPES[precision]))
        except BaseException:  # whatever it is, what is there already goes
            self._drop(0)
            raise

    def device_memory(self) -> int | None:
        """Return what torch has reserved on the device [bytes]."""
        return int(torch.cuda.memory_reserved(self.device))

    def _free(self) -> None:
        del self._path
        self._drop(len(self._graphs))

    def _run(self, pictures: Pictures, size: Size, result: Size) -> Floats:
        height, width = pictures[0].shape[:2]
        reduced = [self.network.reduced(rgb, size) for rgb in pictures]
        try:
            with torch.inference_mode():
                shape = (len(pictures), *reduced[0].shape)
                return self._graph(shape, size, result)(reduced)
        except RuntimeError as err:
            # In the midst of a capture, another error follows from the one that matters.
            cause = err if _is_no_room(err) else err.__context__
            if not _is_no_room(cause):
                raise
            full = f'{self.device}, {len(pictures)} images of {width}x{height}: {cause}'
            del cause
        # only now: the exception would have kept the tensors alive
        self._drop(len(self._graphs))
        raise FrameError('out_of_memory', full)

    def _graph(self, shape: Shape, size: Size, result: Size) -> Graph:
        """Return the captured run for pictures of a shape, (N, h', w', 3), and their results."""
        key = (*shape, *result)
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        if len(self._graphs) >= self.sizes:  # before, so that the memory is free again
            self._drop(1)
        start = time.perf_counter()
        self._graphs[key] = Graph(self._path, shape, size, result, self.device)
        log.info(
            'captured the network for pictures of %dx%d on %s in %.1f s',
            *(result[1], result[0], self.device, time.perf_counter() - start),
        )
        return self._graphs[key]

    def _drop(self, count: int) -> None:
        """Free the graphs used longest ago, and give their memory back to the device."""
        for _ in range(count):
            self._graphs.popitem(last=False)[1].reset()
        gc.collect()  # a failed capture may be part of a cycle
        torch.cuda.empty_cache()


def _is_no_room(err: BaseException | None) -> bool:
    """Whether an error says that the device is full: torch's, the driver's, or that of cuBLAS."""
    if isinstance(err, torch.OutOfMemoryError):
        return True
    said = str(err)
    return isinstance(err, RuntimeError) and (
        'CUDA error: out of memory' in said or 'CUBLAS_STATUS_ALLOC_FAILED' in said
    )


def _checked(device: str) -> str:
    """Return the name of the device in full.

    Raises:
        EngineError: there is none of this name.
    """
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


class Graph:
    """One run of the network, recorded for pictures of one shape, with the memory it works in."""

    def __init__(
        self, path: DevicePath, shape: Shape, size: Size, result: Size, device: str
    ) -> None:
        self._device = torch.device(device)
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._rgb = torch.empty(shape, dtype=torch.uint8, device=device)
        taps = path.taps((shape[1], shape[2]), size)
        self._graph = torch.cuda.CUDAGraph()
        # In fp32, all of it: cuDNN would round the factors of convolutions to 10 bits.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.cuda.device(self._device), exact:
            # Its own, for warm-up and capture: what cuBLAS works in belongs to a stream, and
            # freeing a graph that was captured on the common one takes it from all others.
            self._stream = stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    path(self._rgb, taps, result)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode='thread_local'):
                self._maps = path(self._rgb, taps, result)
        # The recording reads these where they are, so they must not go before it does.
        self._kept: list[Tensor] = [*taps, *path.network.constants()]

    def __call__(self, pictures: Pictures) -> Floats:
        """Run on pictures of the shape; (N, C, H, W) in pinned memory, which torch uses again."""
        for rgb, host in zip(pictures, self._host.numpy(), strict=True):
            np.copyto(host, rgb)
        result = torch.empty(self._maps.shape, pin_memory=True)
        with torch.cuda.device(self._device):
            self._rgb.copy_(self._host, non_blocking=True)
            self._graph.replay()
            result.copy_(self._maps, non_blocking=True)
            self._done.record()
            self._done.synchronize()  # asleep: the stream's own would keep a core busy
        maps: Floats = result.numpy()
        return maps

    def reset(self) -> None:
        """Free the recording and its memory."""
        self._graph.reset()
        del self._maps, self._rgb, self._host, self._kept
