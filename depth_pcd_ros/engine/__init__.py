# SPDX-License-Identifier: Apache-2.0
"""Engines run the network: one interface, chosen by device.

torch and OpenVINO are imported when they are needed, and torch only where it runs the network.
"""

from __future__ import annotations

import dataclasses
import importlib

from depth_pcd_ros.engine.base import Engine, EngineError
from depth_pcd_ros.settings import EngineSettings

__all__ = ['DEVICES', 'Engine', 'EngineError', 'create']

DEVICES = 'auto, cpu, cuda, cuda:N, openvino or openvino:NAME, onnx or onnx:PROVIDER'
# By what stands before the colon of a device: the class, and the module that has it.
ENGINES = {
    'cpu': ('depth_pcd_ros.engine.torch_engine', 'TorchEngine'),
    'cuda': ('depth_pcd_ros.engine.cuda_engine', 'CudaEngine'),
    'onnx': ('depth_pcd_ros.engine.onnx.engine', 'OnnxEngine'),
    'openvino': ('depth_pcd_ros.engine.openvino.engine', 'OpenVinoEngine'),
}


def create(settings: EngineSettings) -> Engine:
    """Load the model of the settings on its device, downloading its checkpoint if need be.

    Raises:
        EngineError: a device or a precision that there is not.
        CheckpointError: see `depth_pcd_ros.networks.checkpoints.resolve` and `Family.load`.
        SettingsError: an input size or a correction that the model does not take.
    """
    if settings.device == 'auto':
        from depth_pcd_ros.engine.devices import default_device

        settings = dataclasses.replace(settings, device=default_device())
    kind = settings.device.partition(':')[0]
    if kind not in ENGINES:
        raise EngineError(f'device is {settings.device!r}, expected {DEVICES}')
    module, name = ENGINES[kind]
    engine_class: type[Engine] = getattr(importlib.import_module(module), name)
    return engine_class(settings)  # type: ignore[arg-type, call-arg]
