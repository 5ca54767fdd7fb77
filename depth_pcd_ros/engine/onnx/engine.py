# SPDX-License-Identifier: Apache-2.0
"""The network in ONNX Runtime, on whatever its installed build can run on. No torch."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from depth_pcd_ros.engine import cache
from depth_pcd_ros.engine.base import EngineError, Floats, Pictures, Size
from depth_pcd_ros.engine.hardware import hardware
from depth_pcd_ros.engine.host import SizedEngine
from depth_pcd_ros.engine.onnx.runtime import PROVIDERS, onnxruntime, provider_of, tensorrt_version
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.networks import checkpoints
from depth_pcd_ros.settings import EngineSettings


class OnnxEngine(SizedEngine):
    """Runs a network in ONNX Runtime; see `depth_pcd_ros.engine.create`.

    A file for each size of picture is written by torch, in another process, compared with torch,
    and kept where the other converted networks are.
    """

    makes = 'loaded'

    def __init__(self, settings: EngineSettings) -> None:
        self._provider = provider_of(settings.device)
        precision = settings.precision
        if precision == 'auto':
            precision = 'fp32' if self._provider in ('cpu', 'openvino') else 'fp16'
        if precision == 'bf16':
            raise EngineError("precision is 'bf16', but onnx has fp32, fp16")
        network = checkpoints.of_settings(settings)
        super().__init__(settings.model, network, f'onnx:{self._provider}', precision)
        self._places: dict[Size, Path] = {}  # of the files, by size

    def _run(self, pictures: Pictures, size: Size, result: Size) -> Floats:
        try:
            self._prove(size)  # what is built for another size may be wrong by itself
        except EngineError as err:
            raise FrameError('network_failed', str(err)) from err
        return super()._run(pictures, size, result)

    def _origin(self, size: Size) -> tuple[Path, str]:
        self._of_size(size)
        return self._places[size], self._made_of()

    def _made_of(self) -> str:
        trt = f'TensorRT {tensorrt_version()}, ' if self._provider == 'tensorrt' else ''
        return f'ONNX Runtime {onnxruntime().__version__}, {trt}{hardware()}'

    def _options(self, place: Path) -> dict[str, Any]:
        """Return what TensorRT needs to keep its engine beside the network; nothing for others."""
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
        session = self._of_size((x.shape[2], x.shape[3]))
        try:
            maps = [session.run(None, {session.get_inputs()[0].name: one[None]})[0] for one in x]
        except Exception as err:  # its errors share no base class
            raise FrameError('network_failed', f'{self.device}: {err}') from err
        found: Floats = np.concatenate(maps)
        return found

    def _make(self, size: Size) -> Any:
        with cache.converted(self.network, self.precision, size) as path:
            self._places[size] = path.parent
            return onnxruntime().InferenceSession(
                str(path),
                providers=list(dict.fromkeys((PROVIDERS[self._provider], PROVIDERS['cpu']))),
                **self._options(path.parent),
            )
