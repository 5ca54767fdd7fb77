# SPDX-License-Identifier: Apache-2.0
"""The network of Depth Anything 3, metric, by the official state-dict keys, and its loader.

DINOv2 and a DPT head with two branches, as put together in arXiv:2511.10647 and in
configs/da3metric-large.yaml of github.com/ByteDance-Seed/Depth-Anything-3.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from depth_pcd_ros.networks.depth_anything_3 import KEY, check_metric
from depth_pcd_ros.networks.modules import state_dict
from depth_pcd_ros.networks.modules.dinov2 import Encoder, VisionTransformer, encoder_of
from depth_pcd_ros.networks.modules.dpt import DptHead

PREFIX = 'model.'  # of the keys in the published file


class DepthAnything3(nn.Module):
    """The network: normalised pictures in, depth for a focal length of 300 px and sky out."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({'pretrained': VisionTransformer(encoder)})
        self.head = DptHead(encoder, ('output_conv2', 'sky_output_conv2'), unused=False)

    def forward(self, x: Tensor) -> Tensor:
        """Estimate depth and sky of pictures (N, 3, h, w), as `VisionTransformer` takes them.

        Returns:
            (N, 2, h, w) float32 whatever the precision of the weights: depth, to be multiplied by
            the focal length at the network / 300 px; and how much a pixel is sky, 0 or more.
        """
        logits, sky = self.head(*self.backbone['pretrained'](x))
        return torch.stack((torch.exp(logits), torch.relu(sky)), dim=1)

    def constants(self) -> list[Tensor]:
        """Return what is kept of the sizes that came: a recorded run reads it where it is."""
        encoder = self.backbone['pretrained']
        assert isinstance(encoder, VisionTransformer)
        return encoder.constants()


def load(path: str | Path) -> DepthAnything3:
    """Load a checkpoint, without running any code in it, in float32 on the CPU, for inference.

    Args:
        path: the published `model.safetensors`, or another file with the same keys, with or
            without their `model.`. Weights of any floating-point type are converted to float32.

    Raises:
        CheckpointError: no such file, not a checkpoint, one of the other networks of Depth
            Anything 3, or other keys or shapes than those of one of the `ENCODERS`.
    """
    path = Path(path)
    found = state_dict.read(path)
    check_metric(path, list(found))
    state = {key.removeprefix(PREFIX): value for key, value in found.items()}
    with torch.device('meta'):  # no time and memory for initial values
        network = DepthAnything3(encoder_of(state[KEY], path))
    state_dict.fill(network, state, path)
    return network
