# SPDX-License-Identifier: Apache-2.0
"""The network in torch on a GPU: one CUDA graph per size of picture; its depth may stay there.

A size is run as it is when it comes for the first time, and recorded when it comes again: photos of
many sizes are not worth it. All recordings of an engine share one stream and one pool of memory,
and go together: freeing one of several would take from the others what cuBLAS works in. So does one
that fails, after which pictures of its size run as they are.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from depth_pcd_ros.engine import DEVICES, cache
from depth_pcd_ros.engine.base import (
    PROOF_SHAPE,
    Engine,
    EngineError,
    Floats,
    Pictures,
    Size,
    UnusableDeviceError,
    check_finite,
)
from depth_pcd_ros.engine.device_depth import DeviceDepth, Lane, is_no_room, to_host
from depth_pcd_ros.engine.device_path import DevicePath
from depth_pcd_ros.engine.hardware import hardware
from depth_pcd_ros.engine.torch_engine import DTYPES
from depth_pcd_ros.errors import DeviceLostError, FrameError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.networks.modules.dinov2 import in_precision
from depth_pcd_ros.settings import EngineSettings

REMEMBERED = 16  # sizes that came last
WARM_UP = 3  # runs before a capture, as torch requires: libraries choose their kernels in them
# Held while something is recorded or freed: torch can do either once at a time in a process.
RECORDING = threading.Lock()

log = logging.getLogger(__name__)

Shape = tuple[int, ...]
Kept = TypeVar('Kept')


class CudaEngine(Engine):
    """Runs a network in torch on a GPU; see `depth_pcd_ros.engine.create`."""

    # Enough to keep a large GPU busy with the small network; halved where they do not fit.
    batch = 4
    sizes = 8  # one more costs little: they work in the same memory

    def __init__(self, settings: EngineSettings, fp32_attention: bool = False) -> None:
        device = _checked(settings.device)
        precision = 'fp16' if settings.precision == 'auto' else settings.precision
        network = checkpoints.of_settings(settings)
        super().__init__(settings.model, network, device, precision, fp32_attention)
        self._graphs: dict[Shape, Graph] = {}  # by shape of the pictures
        self._lost = False  # the device fails for good
        self._seen: deque[Shape] = deque(maxlen=REMEMBERED)  # what came last without a graph
        self._failed: deque[Shape] = deque(maxlen=REMEMBERED)  # what could not be recorded
        try:
            loaded = in_precision(network.load(), DTYPES[precision], fp32_attention)
            self._path = DevicePath(network, loaded.to(device))
            self._capturing = Capturing(device)
            self._lane = Lane(device)
            # Whether it has kernels and room: for pictures as most cameras have them.
            rgb = np.zeros((*PROOF_SHAPE, 3), np.uint8)
            self._run([rgb], network.network_size(*PROOF_SHAPE), PROOF_SHAPE)
            self._seen.clear()
        except (DeviceLostError, FrameError, RuntimeError) as err:
            self._give_up()
            raise UnusableDeviceError(f'{device} cannot run the network: {err}') from err
        except BaseException:  # whatever it is, what is there already goes
            self._give_up()
            raise

    def estimate(
        self, pictures: Pictures, cameras: Sequence[Camera], size: Size | None = None
    ) -> Sequence[Floats | DeviceDepth]:
        """Estimate as `infer_batch`; the depth stays on the device, unless that was full once."""
        if self._lane.full:
            return self.infer_batch(pictures, cameras, size)
        maps = self._maps_of(self._run_there, pictures, cameras, size)
        return [
            DeviceDepth(of_picture, self.network, camera, self._lane)
            for of_picture, camera in zip(maps, cameras, strict=True)
        ]

    def device_memory(self) -> int | None:
        """Return what torch has reserved on the device [bytes]."""
        return int(torch.cuda.memory_reserved(self.device))

    def _origin(self, size: Size) -> tuple[Path, str]:
        name = torch.cuda.get_device_name(self.device)
        return cache.place(self.network), f'torch {torch.__version__}, {name}, {hardware()}'

    def _discard(self) -> None:
        self._seen.clear()
        if self._graphs:
            self._drop()

    def _free(self) -> None:
        del self._path
        self._lane.clear()
        if not self._lost:  # else nothing can be given back
            self._drop()

    def _run(self, pictures: Pictures, size: Size, result: Size) -> Floats:
        return self._run_and(to_host, pictures, size, result)

    def _run_there(self, pictures: Pictures, size: Size, result: Size) -> Tensor:
        """Run as `_run`, and return what the network gives on the device."""

        def kept(maps: Tensor) -> Tensor:
            own = maps.clone()
            check_finite(to_host(maps.abs().amax()), self.precision)  # waits for both
            return own

        return self._run_and(kept, pictures, size, result)

    def _run_and(
        self, then: Callable[[Tensor], Kept], pictures: Pictures, size: Size, result: Size
    ) -> Kept:
        """Run the network, and return what `then` keeps of maps that the next run overwrites."""
        height, width = pictures[0].shape[:2]
        reduced = [self.network.reduced(rgb, size) for rgb in pictures]
        try:
            with torch.inference_mode():
                return then(self._run_reduced(reduced, size, result))
        except RuntimeError as err:
            if lasting := self._lasting_error():
                self._lost = True
                raise DeviceLostError(f'{self.device}: {lasting}') from err
            cause = _no_room(err)
            if cause is None:
                raise
            full = f'{self.device}, {len(pictures)} images of {width}x{height}: {cause}'
            del cause
        # only now: the exception would have kept the tensors alive
        self._drop()
        raise FrameError('out_of_memory', full)

    def _run_reduced(self, reduced: Pictures, size: Size, result: Size) -> Tensor:
        """Run on pictures as `Family.reduced` gives them, recorded where their shape came before.

        Args:
            reduced: (h', w', 3) each.
            size: at the network.
            result: height and width of what is returned [px].
        """
        key = (len(reduced), *reduced[0].shape, *result)
        if key in self._seen and key not in self._failed:
            self._seen.remove(key)
            self._record(key, size, result)
        if key in self._graphs:
            return self._graphs[key](reduced)
        if key not in self._seen:
            self._seen.append(key)
        return self._run_once(reduced, size, result)

    def _record(self, key: Shape, size: Size, result: Size) -> None:
        """Make a graph for pictures of a shape; where that fails, have them run without one."""
        if len(self._graphs) >= self.sizes:  # before, so that the memory is free again
            self._drop()
        if not self._graphs:
            self._capturing.renew()
        start = time.perf_counter()
        try:
            with RECORDING:
                self._graphs[key] = Graph(self._path, key[:4], size, result, self._capturing)
        except RuntimeError as err:
            if self._lasting_error():
                raise
            # Within a capture, the error that matters is followed by another one.
            reason = str(err.__context__ or err)
        else:
            log.info(
                'captured the network for pictures of %dx%d on %s in %.1f s',
                *(result[1], result[0], self.device, time.perf_counter() - start),
            )
            return
        # only now: the exception would have kept the tensors alive
        self._drop()
        self._failed.append(key)
        log.warning(
            'the network cannot be captured for pictures of %dx%d on %s, and runs slower: %s',
            *(result[1], result[0], self.device, reason),
        )

    def _run_once(self, reduced: Pictures, size: Size, result: Size) -> Tensor:
        # Without trying which kernels are fastest: that takes longer than a photo.
        with exactly(benchmark=False):
            taps = self._path.taps((reduced[0].shape[0], reduced[0].shape[1]), size)
            rgb = torch.from_numpy(np.stack(reduced)).to(self.device)
            maps: Tensor = self._path(rgb, taps, result)
        return maps

    def _lasting_error(self) -> str:
        """Return the error that everything on the device ends with from now on; '' for none."""
        try:
            torch.cuda.synchronize(self.device)
        except RuntimeError as err:
            return '' if is_no_room(err) else str(err)
        return ''

    def _give_up(self) -> None:
        """Free what there is of an engine that cannot be made."""
        self.__dict__.pop('_path', None)
        with contextlib.suppress(RuntimeError):  # of a device that is gone
            self._drop()

    def _drop(self) -> None:
        """Free all graphs, and give their memory back to the device."""
        with RECORDING:
            while self._graphs:
                self._graphs.popitem()[1].reset()
            gc.collect()  # a failed capture may be part of a cycle
            with contextlib.suppress(RuntimeError):  # after a failed capture torch may refuse to
                torch.cuda.empty_cache()


def _no_room(err: BaseException | None) -> BaseException | None:
    """Return the error that says that the device is full, of one and of those it followed from."""
    while err is not None and not is_no_room(err):
        err = err.__context__
    return err


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


def exactly(benchmark: bool = True) -> contextlib.AbstractContextManager[None]:
    """Compute in fp32, all of it: cuDNN would round the factors of convolutions to 10 bits."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, allow_tf32=False)  # type: ignore[no-any-return]


class Capturing:
    """The resources that the graphs of an engine share: a stream of their own, and memory."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        with torch.cuda.device(self.device):
            self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.renew()

    def renew(self) -> None:
        """Begin another pool of memory: one that all graphs have left is gone."""
        self.pool = torch.cuda.graph_pool_handle()


class Graph:
    """One run of the network, recorded for pictures of one shape, with the memory it works in."""

    def __init__(
        self, path: DevicePath, shape: Shape, size: Size, result: Size, capturing: Capturing
    ) -> None:
        self._capturing = capturing
        device = capturing.device
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._rgb = torch.empty(shape, dtype=torch.uint8, device=device)
        taps = path.taps((shape[1], shape[2]), size)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), exactly():
            stream = capturing.stream
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    path(self._rgb, taps, result)
            torch.cuda.current_stream().wait_stream(stream)
            capture = torch.cuda.graph(
                self._graph,
                pool=capturing.pool,
                stream=stream,
                capture_error_mode='thread_local',
            )
            with capture:
                self._maps = path(self._rgb, taps, result)
            torch.cuda.empty_cache()  # what the warm-up has worked in
        # The recording reads these where they are, so they must not go before it does.
        self._kept: list[Tensor] = [*taps, *path.network.constants()]

    def __call__(self, pictures: Pictures) -> Tensor:
        """Run on pictures of the shape; (N, C, H, W) on the device, overwritten by the next run.

        It is not waited for. Whoever calls must, before the next call.
        """
        for rgb, host in zip(pictures, self._host.numpy(), strict=True):
            np.copyto(host, rgb)
        with torch.cuda.device(self._capturing.device):
            self._rgb.copy_(self._host, non_blocking=True)
            self._graph.replay()
        return self._maps

    def reset(self) -> None:
        """Free the recording and its memory."""
        self._graph.reset()
        del self._maps, self._rgb, self._host, self._kept
