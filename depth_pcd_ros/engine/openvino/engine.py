# SPDX-License-Identifier: Apache-2.0
"""The network in OpenVINO, on a CPU, an Intel GPU or an NPU. No torch."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.engine import EngineError, cache
from depth_pcd_ros.engine.base import BaseEngine
from depth_pcd_ros.engine.openvino.runtime import openvino, reason
from depth_pcd_ros.engine.preprocess import Preprocessor
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.settings import Settings

# A compiled network holds about 100 MB for ViT-S. A camera has one size, or a few.
MAX_SIZES = 3
# What a device must be able to do, as OpenVINO calls it, and how to ask for it.
CAPABILITIES = {'fp32': 'FP32', 'fp16': 'FP16', 'bf16': 'BF16'}
HINTS = {'fp32': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}

log = logging.getLogger(__name__)


class OpenVinoEngine(BaseEngine):
    """Runs a network frame by frame. See `depth_pcd_ros.engine.Engine` and `create`."""

    def __init__(self, settings: Settings) -> None:
        self._core = openvino().Core()
        self._target = _target(settings.device, self._core.available_devices)
        self.model = settings.model
        self.device = f'openvino:{self._target}'
        self.precision = self._precision(settings.precision)

        checkpoint = checkpoints.resolve(settings.model, settings.max_depth)
        self.focal_train = checkpoint.focal_train
        weights = 'fp32' if self.precision == 'fp32' else 'fp16'
        with cache.converted(checkpoint, weights) as network:
            self._network = self._core.read_model(network.path)
        self.max_depth = network.max_depth
        self.input_size = settings.input_size or network.input_size
        self._preprocess = Preprocessor()
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()  # by size

    def _precision(self, precision: str) -> str:
        can = self._core.get_property(self._target, 'OPTIMIZATION_CAPABILITIES')
        able = [name for name, capability in CAPABILITIES.items() if capability in can]
        if precision == 'auto':
            # bf16 first: the processors that have it are far faster with it than with fp32
            wishes = ('bf16', 'fp32') if self._target == 'CPU' else ('fp16', 'fp32')
            return next(wish for wish in wishes if wish in able)
        if precision not in able:
            name = self._core.get_property(self._target, 'FULL_DEVICE_NAME')
            raise EngineError(
                f'precision is {precision!r}, but {name} ({self.device}) has {", ".join(able)}'
            )
        return precision

    def _free(self) -> None:
        self._preprocess.close()
        self._requests.clear()
        del self._network, self._core

    def _depth(
        self, pictures: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        # One by one: a picture keeps all cores busy.
        out = np.empty((len(pictures), *pictures[0].shape[:2]), np.float32)
        request = self._request(size)
        for rgb, depth in zip(pictures, out, strict=True):
            try:
                request.infer([self._preprocess(rgb, size)], share_inputs=True)
            except RuntimeError as err:
                raise FrameError('network_failed', f'{self.device}: {reason(err)}') from err
            upsample(request.get_output_tensor().data[0], depth.shape, depth)
        return out

    def _request(self, size: tuple[int, int]) -> Any:
        """Return the network compiled for pictures of `size`, as something that can be run."""
        if size in self._requests:
            self._requests.move_to_end(size)
            return self._requests[size]
        while len(self._requests) >= MAX_SIZES:  # before, so that the memory is free again
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
