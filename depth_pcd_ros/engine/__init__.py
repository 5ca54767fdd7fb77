# SPDX-License-Identifier: Apache-2.0
"""Engines run the network: one interface, chosen by device.

torch and OpenVINO are imported when they are needed, and torch only where it runs the network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging

from depth_pcd_ros.engine.base import Engine, EngineError, ProofError, Size, UnusableDeviceError
from depth_pcd_ros.errors import DeviceLostError, FrameError
from depth_pcd_ros.settings import EngineSettings

__all__ = ['DEVICES', 'Engine', 'EngineError', 'create']

DEVICES = 'auto, cpu, cuda, cuda:N, openvino or openvino:NAME, onnx or onnx:PROVIDER'
# By the part of a device before the colon: the module, and the class in it.
ENGINES = {
    'cpu': ('depth_pcd_ros.engine.torch_engine', 'TorchEngine'),
    'cuda': ('depth_pcd_ros.engine.cuda_engine', 'CudaEngine'),
    'onnx': ('depth_pcd_ros.engine.onnx.engine', 'OnnxEngine'),
    'openvino': ('depth_pcd_ros.engine.openvino.engine', 'OpenVinoEngine'),
}

log = logging.getLogger(__name__)


def create(settings: EngineSettings, size: Size | None = None) -> Engine:
    """Load the model of the settings on its device, downloading its checkpoint if need be.

    Where that engine gives another depth than the network in fp32, the next best one is made: with
    attention in fp32, all of it in fp32, else on another device. The device `auto` goes on to the
    next one where a GPU is full or torch has no kernels for it, too, and `onnx` to its next
    provider. Another device has the precision `auto`, unless fp32 was asked for. All is logged.

    Args:
        settings: which model, and on what.
        size: height and width at the network [px] of the pictures that it is compared for; None: as
            of VGA.

    Raises:
        EngineError: a device or a precision that there is not.
        CheckpointError: see `depth_pcd_ros.networks.checkpoints.resolve` and `Family.load`.
        SettingsError: an input size or a correction that the model does not take.
    """
    from depth_pcd_ros.engine.devices import default_device

    asked, tried = settings, list[str]()
    if asked.device == 'auto':
        settings = dataclasses.replace(settings, device=default_device())
    while True:
        try:
            return _proven(settings, size)
        except UnusableDeviceError as err:
            device = _after_unusable(asked.device, settings.device)
            if not device and asked.device != 'auto':
                raise
            reason: EngineError = err
        except ProofError as err:
            reason = err
            if settings.precision != 'fp32':
                settings = dataclasses.replace(settings, precision='fp32')
                log.error('%s; fp32 is next', err)
                continue
            device = ''
        if not device:
            tried.append(settings.device.partition(':')[0])
            device = default_device(tried)
        precision = 'fp32' if asked.precision == 'fp32' else 'auto'
        log.error('%s; the device %s is next, with precision %s', reason, device, precision)
        settings = dataclasses.replace(settings, device=device, precision=precision)


def _after_unusable(asked: str, device: str) -> str:
    """Return the next provider of the device `onnx`; '' where something else was asked for."""
    if asked != 'onnx' or not device.startswith('onnx'):
        return ''
    from depth_pcd_ros.engine.onnx.runtime import device_after

    return device_after(device)


def _proven(settings: EngineSettings, size: Size | None, fp32_attention: bool = False) -> Engine:
    """Make an engine and let it prove itself; if it is off, once more with attention in fp32.

    Raises:
        ProofError: it is off.
        UnusableDeviceError: the device cannot run it.
    """
    kind = settings.device.partition(':')[0]
    if kind not in ENGINES:
        raise EngineError(f'device is {settings.device!r}, expected {DEVICES}')
    module, name = ENGINES[kind]
    engine_class: type[Engine] = getattr(importlib.import_module(module), name)
    made = engine_class(settings, fp32_attention)  # type: ignore[arg-type, call-arg]
    try:
        made.prove(size)
        return made
    except BaseException as err:
        with contextlib.suppress(RuntimeError):  # of a device that is gone
            made.close()
        if isinstance(err, (DeviceLostError, FrameError)):
            raise UnusableDeviceError(f'{made.device} cannot run the network: {err}') from err
        again = made.keeps_attention and made.network.has_attention and made.precision != 'fp32'
        if fp32_attention or not (again and isinstance(err, ProofError)):
            raise
        log.error('%s; the same with attention in fp32 is next', err)
    return _proven(settings, size, fp32_attention=True)
