# SPDX-License-Identifier: Apache-2.0
"""The network in ONNX Runtime, on whatever its installed build can run on. No torch."""

from __future__ import annotations

import logging
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from depth_pcd_ros.engine import cache, create
from depth_pcd_ros.engine.base import (
    Engine,
    EngineError,
    Floats,
    Pictures,
    ProofError,
    Size,
    UnusableDeviceError,
)
from depth_pcd_ros.engine.hardware import hardware, threads
from depth_pcd_ros.engine.host import SizedEngine
from depth_pcd_ros.engine.onnx.runtime import (
    PROVIDERS,
    onnxruntime,
    provider_of,
    tensorrt_version,
    version,
)
from depth_pcd_ros.errors import DepthPcdError, DeviceLostError, FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.settings import EngineSettings

log = logging.getLogger(__name__)

KNOWS_TF32 = 1, 18  # the first ONNX Runtime whose CUDA provider can be told about it
# How ONNX Runtime tells of CUDA's errors, and those after which "the process must be terminated
# and relaunched" (cudaError_t): illegal address, launch timeout, assert, stack to launch failure.
CUDA_ERROR = re.compile(r'CUDA failure (\d+)')
LASTING = {700, 702, 710, *range(714, 720)}
NO_ROOM = re.compile(r'CUDA failure 2:|Failed to allocate memory|CUBLAS_STATUS_ALLOC_FAILED')


class OnnxEngine(SizedEngine):
    """Runs a network in ONNX Runtime; see `depth_pcd_ros.engine.create`.

    A file for each size of picture is written by torch, in another process, compared with torch,
    and kept where the other converted networks are.
    """

    makes = 'loaded'

    def __init__(self, settings: EngineSettings, fp32_attention: bool = False) -> None:
        self._provider = provider_of(settings.device)
        precision = settings.precision
        if precision == 'auto':
            precision = 'fp32' if self._provider in ('cpu', 'openvino') else 'fp16'
        if precision == 'bf16':
            raise EngineError("precision is 'bf16', but onnx has fp32, fp16")
        network = checkpoints.of_settings(settings)
        super().__init__(
            settings.model, network, f'onnx:{self._provider}', precision, fp32_attention
        )
        self._weights = f'{precision}-fp32-attention' if fp32_attention else precision
        self._settings = settings
        self._refused: set[Size] = set()  # sizes at the network for which another engine runs
        self._other: Engine | None = None

    def _run(self, pictures: Pictures, size: Size, result: Size) -> Floats:
        try:
            self._prove_each(size)
        except EngineError as err:
            raise FrameError('network_failed', str(err)) from err
        if size in self._refused and self._other is not None:
            return self._other._run(pictures, size, result)
        return super()._run(pictures, size, result)

    def _prove_each(self, size: Size) -> None:
        """Compare what is built for a size, which may be wrong by itself; make another if it is."""
        if size in self._refused:
            return
        try:
            self._prove(size)
        except ProofError as err:
            log.error('%s; the next best one is made for these', err)
            self._other = self._other or create(self._settings, size)
            self._refused.add(size)
            self.proof = (
                f'refused for {size[1]}x{size[0]} at the network, where {self._other.device} runs '
                f'in {self._other.precision}'
            )

    def _free(self) -> None:
        super()._free()
        if self._other is not None:
            self._other.close()

    def _origin(self, size: Size) -> tuple[Path, str]:
        place = cache.folder() / cache.key_of(self.network, self._weights, size)
        if not place.exists():
            self._of_size(size)  # which may find no place to keep it, either
        return place, self._made_of()

    def _made_of(self) -> str:
        trt = f'TensorRT {tensorrt_version()}, ' if self._provider == 'tensorrt' else ''
        return f'ONNX Runtime {onnxruntime().__version__}, {trt}{hardware()}'

    def _options(self, place: Path) -> dict[str, Any]:
        """Return what CUDA needs to compute in fp32, and TensorRT to keep its engine at a place."""
        if self._provider == 'cuda' and version() >= KNOWS_TF32:
            # it would round the factors to 10 bits, in fp32 and in attention that stays in fp32
            return {'provider_options': [{'use_tf32': '0'}, {}]}
        if self._provider != 'tensorrt':
            return {}
        kept = place / f'tensorrt-{zlib.crc32(self._made_of().encode()):08x}'
        options = {
            'trt_engine_cache_enable': 'True',
            'trt_engine_cache_path': str(kept),
            'trt_timing_cache_enable': 'True',
            'trt_timing_cache_path': str(kept),
            'trt_fp16_enable': str(self.precision == 'fp16'),
        }
        return {'provider_options': [options, {}]}

    def _infer(self, x: Floats) -> Floats:
        try:
            session = self._of_size((x.shape[2], x.shape[3]))
            maps = [session.run(None, {session.get_inputs()[0].name: one[None]})[0] for one in x]
        except DepthPcdError:
            raise
        except Exception as err:  # those of ONNX Runtime share no base class
            raise self._explained(str(err)) from err
        found: Floats = np.concatenate(maps)
        return found

    def _explained(self, told: str) -> DeviceLostError | FrameError:
        """Return the error that an error's text of ONNX Runtime stands for."""
        sentence = f'{self.device}: {told}'
        if any(int(number) in LASTING for number in CUDA_ERROR.findall(told)):
            return DeviceLostError(sentence)
        if NO_ROOM.search(told):
            return FrameError('out_of_memory', sentence)
        return FrameError('network_failed', sentence)

    def _make(self, size: Size) -> Any:
        options = onnxruntime().SessionOptions()
        # Its threads would keep the cores busy while they wait for the next picture.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.intra_op_num_threads = max(threads(), 0)  # 0: as many as there are cores
        with cache.converted(self.network, self._weights, size) as path:
            session = onnxruntime().InferenceSession(
                str(path),
                options,
                providers=list(dict.fromkeys((PROVIDERS[self._provider], PROVIDERS['cpu']))),
                **self._options(path.parent),
            )
        # It goes on with the CPU where a library of the provider cannot be loaded.
        if PROVIDERS[self._provider] not in session.get_providers():
            raise UnusableDeviceError(
                f'{self.device} cannot run the network: ONNX Runtime could not load its '
                f'{PROVIDERS[self._provider]}, as it says above'
            )
        session.disable_fallback()  # nor from now on, without a word to us, where a run fails
        return session
