# SPDX-License-Identifier: Apache-2.0
"""Write a network as ONNX for pictures of one size, and compare the file with torch."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from depth_pcd_ros.engine.base import EngineError, ProofError
from depth_pcd_ros.engine.onnx.runtime import PROVIDERS, onnxruntime
from depth_pcd_ros.networks.family import Family
from depth_pcd_ros.networks.modules.dinov2 import fold_layer_scale, in_precision

OPSET = 17
INPUT, OUTPUT = 'picture', 'maps'
# In fp16, attention may stay in fp32: there are conversions in the file then.
FP16 = ('fp16', 'fp16-fp32-attention')
# Mean of the difference from torch in fp32, as a share of the depth, that a file may have.
TOLERANCE = {'fp32': 1e-4, **dict.fromkeys(FP16, 5e-3)}


class _InPrecision(nn.Module):
    """A network in `dtype` that takes and gives float32, (N, C, h, w)."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.network(x.to(self.dtype)).float()
        return maps if maps.ndim == 4 else maps[:, None]


def write(network: Family, size: tuple[int, int], path: Path, precision: str) -> float:
    """Write the network for normalised pictures (1, 3, *size), and prove the file.

    It gives (1, C, *size): see `Family.load`. All that depends on the size is in it as numbers.

    Args:
        network: which one.
        size: height and width at the network [px].
        path: the file, with another beside it where the weights are too large for one.
        precision: of the weights and of the arithmetic, one of `TOLERANCE`.

    Returns:
        The mean difference of the depth from torch in fp32, as a share of it.

    Raises:
        CheckpointError: see `Family.load`.
        ProofError: the file differs from torch.
        EngineError: the package onnx or onnxruntime is missing.
    """
    runtime = onnxruntime()
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 1.0, (1, 3, *size)).astype(np.float32)
    torch_network = network.load()
    picture = torch.from_numpy(x)
    with torch.inference_mode():
        expected = _InPrecision(torch_network, torch.float32)(picture).numpy()
    fold_layer_scale(torch_network)
    for module in torch_network.modules():
        if hasattr(module, 'fixed_size'):
            setattr(module, 'fixed_size', size)  # noqa: B010, a module's __setattr__ has other types
    dtype = torch.float16 if precision in FP16 else torch.float32
    in_precision(torch_network, dtype, fp32_attention=precision == FP16[1])
    quiet = contextlib.redirect_stdout(sys.stderr)
    with torch.no_grad(), warnings.catch_warnings(), quiet:
        warnings.simplefilter('ignore')  # of the tracer, about sizes
        try:
            torch.onnx.export(
                _InPrecision(torch_network, dtype),
                (picture,),
                str(path),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=False,
            )
        except ImportError as err:
            raise EngineError(
                f'writing ONNX needs the Python package onnx ({err}): pip install onnx'
            ) from err
    session = runtime.InferenceSession(str(path), providers=[PROVIDERS['cpu']])
    found = session.run([OUTPUT], {INPUT: x})[0]
    difference = float(np.mean(np.abs(found[:, 0] - expected[:, 0]) / expected[:, 0]))
    if not difference <= TOLERANCE[precision]:
        path.unlink()
        raise ProofError(
            f'{path} in {precision} differs from the network in torch by {difference:.2%} of the '
            f'depth on average, expected at most {TOLERANCE[precision]:.2%}: do not use it'
        )
    return difference
