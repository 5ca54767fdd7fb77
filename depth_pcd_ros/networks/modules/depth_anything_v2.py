# SPDX-License-Identifier: Apache-2.0
"""The network of Depth Anything V2, metric, by the official state-dict keys, and its loader.

DINOv2 and a DPT head, as put together in arXiv:2406.09414 and in the metric_depth/ part of
github.com/DepthAnything/Depth-Anything-V2.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from depth_pcd_ros.networks.depth_anything_v2 import DepthAnythingV2 as Facts
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.networks.modules import state_dict
from depth_pcd_ros.networks.modules.dinov2 import Encoder, VisionTransformer, encoder_of
from depth_pcd_ros.networks.modules.dpt import DptHead

KEY = 'pretrained.pos_embed'


class DepthAnythingV2(nn.Module):
    """The network: normalised pictures in, metres out.

    Args:
        encoder: its size.
        max_depth: depth at which the output ends [m].
    """

    def __init__(self, encoder: Encoder, max_depth: float) -> None:
        super().__init__()
        self.max_depth = max_depth
        self.pretrained = VisionTransformer(encoder, mask_token=True)
        self.depth_head = DptHead(encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Estimate depth of pictures (N, 3, h, w), as `VisionTransformer.forward` takes them.

        Returns:
            (N, h, w) depth along z [m], float32 whatever the precision of the weights.
        """
        (logits,) = self.depth_head(*self.pretrained(x))
        # An overflow in half precision would be the greatest depth: 0 x infinity makes it NaN.
        return torch.sigmoid(logits + 0.0 * logits) * self.max_depth

    def constants(self) -> list[Tensor]:
        """Return what is kept of the sizes that came: a recorded run reads it where it is."""
        return self.pretrained.constants()


def load(path: str | Path, max_depth: float = 0.0) -> DepthAnythingV2:
    """Load a checkpoint, without running any code in it, in float32 on the CPU, for inference.

    Args:
        path: an official `.pth`, or a `.safetensors` with the same keys. Weights of any
            floating-point type are converted to float32.
        max_depth: depth at which the output ends [m]; 0: the name of the file tells.

    Raises:
        CheckpointError: no such file, not a checkpoint, other keys or shapes than those of one of
            the `ENCODERS`, or neither the name nor `max_depth` tells that the depth is metric.
    """
    path = Path(path)
    state = state_dict.read(path)
    if KEY not in state:
        raise CheckpointError(
            f'{path} is not a Depth Anything V2 checkpoint: it has '
            f'{state_dict.some(list(state))}, expected {KEY} among them'
        )
    with torch.device('meta'):  # no time and memory for initial values
        network = DepthAnythingV2(encoder_of(state[KEY], path), Facts.max_depth_of(path, max_depth))
    state_dict.fill(network, state, path)
    return network
