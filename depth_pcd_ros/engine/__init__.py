# SPDX-License-Identifier: Apache-2.0
"""What runs the network: one interface, chosen by device.

torch and OpenVINO are imported when they are needed, and torch only where it runs the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.settings import Settings

DEVICES = 'auto, cpu, cuda, cuda:N, openvino or openvino:NAME'


class EngineError(DepthPcdError):
    """An engine cannot be made as asked; the message says what is possible."""


class Engine(Protocol):
    """A network on a device.

    Attributes:
        model: name or path of the model, as asked for.
        device: where it runs: `cpu`, `cuda:0`, `openvino:CPU`, ...
        precision: `fp32`, `fp16` or `bf16`.
        max_depth: depth at which the output ends [m].
        input_size: short side of the picture at the network [px].
        focal_train: focal length of the training data at the network, for the short side 518
            [px]; None where unknown.
    """

    model: str
    device: str
    precision: str
    max_depth: float
    input_size: int
    focal_train: float | None

    def infer(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Estimate the depth of a picture; from one thread at a time, whichever that is.

        Args:
            rgb: (H, W, 3) uint8, RGB, any strides.

        Returns:
            (H, W) float32, contiguous, depth along z [m], finite; the caller's own.

        Raises:
            ValueError: `rgb` has another shape or type.
            FrameError: the network gives no depth for this picture.
        """
        ...

    def infer_batch(
        self, pictures: Sequence[npt.NDArray[np.uint8]]
    ) -> list[npt.NDArray[np.float32]]:
        """Estimate the depth of pictures of one size at once; otherwise as `infer`.

        Args:
            pictures: each (H, W, 3) uint8, RGB, any strides.

        Returns:
            For each picture what `infer` gives, to 1e-4 of the depth in fp32.

        Raises:
            ValueError: as `infer`, or the sizes differ.
            FrameError: the network fails on one of them, or there is no room for so many at once;
                one by one, the others may succeed.
        """
        ...

    def device_memory(self) -> int | None:
        """Return what this process holds of the device's own memory [bytes]; None on a CPU."""
        ...

    def close(self) -> None:
        """Free the memory; the engine cannot be used any more. May be called again."""
        ...


def create(settings: Settings) -> Engine:
    """Load the model of the settings on its device, downloading its checkpoint if need be.

    Raises:
        EngineError: a device or a precision that there is not.
        CheckpointError: see `depth_pcd_ros.networks.checkpoints.resolve` and `depth_anything.load`.
    """
    if settings.device == 'auto':
        from depth_pcd_ros.engine.devices import default_device

        settings = settings.replace({'device': default_device()})
    kind = settings.device.partition(':')[0]
    if kind == 'openvino':
        from depth_pcd_ros.engine.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(settings)
    if kind == 'cuda':
        from depth_pcd_ros.engine.cuda_engine import CudaEngine

        return CudaEngine(settings)
    if kind == 'cpu':
        from depth_pcd_ros.engine.torch_engine import TorchEngine

        return TorchEngine(settings)
    raise EngineError(f'device is {settings.device!r}, expected {DEVICES}')
