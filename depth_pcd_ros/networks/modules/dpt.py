# SPDX-License-Identifier: Apache-2.0
"""The head DPT (arXiv:2103.13413), as the Depth Anything networks use it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from depth_pcd_ros.networks.modules.dinov2 import PATCH, Encoder


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode='bilinear', align_corners=True)


class _ResidualUnit(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class _Fusion(nn.Module):
    """Adds a finer layer to the coarser result, and enlarges it."""

    def __init__(self, features: int, adds: bool = True) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        if adds:
            self.resConfUnit1 = _ResidualUnit(features)
        self.resConfUnit2 = _ResidualUnit(features)

    def forward(self, x: Tensor | None, layer: Tensor, size: tuple[int, int]) -> Tensor:
        # The coarsest layer has nothing to be added to.
        x = layer if x is None else x + self.resConfUnit1(layer)
        return self.out_conv(_resize(self.resConfUnit2(x), size))


class DptHead(nn.Module):
    """DPT: the tokens of four blocks, as pictures of four sizes, fused from coarse to fine.

    Args:
        encoder: what the tokens come from.
        branches: the names of what is made of the result, one map each.
        unused: whether the coarsest layer has a resConfUnit1, which has nothing to do.
    """

    def __init__(
        self, encoder: Encoder, branches: tuple[str, ...] = ('output_conv2',), unused: bool = True
    ) -> None:
        super().__init__()
        features, channels = encoder.features, encoder.channels
        self.projects = nn.ModuleList(nn.Conv2d(encoder.width, n, 1) for n in channels)
        self.resize_layers = nn.ModuleList(
            (
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            )
        )
        self.scratch = nn.ModuleDict()
        for i, n in enumerate(channels, start=1):
            self.scratch[f'layer{i}_rn'] = nn.Conv2d(n, features, 3, padding=1, bias=False)
            self.scratch[f'refinenet{i}'] = _Fusion(features, adds=unused or i < 4)
        self.scratch['output_conv1'] = nn.Conv2d(features, features // 2, 3, padding=1)
        self.branches = branches
        for branch in branches:
            self.scratch[branch] = nn.Sequential(
                nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1)
            )

    def forward(self, taps: list[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        """Four times (N, rows * columns, width) to (N, h, w) float32 of each branch."""
        rows, columns = grid
        layers = []
        for i, tokens in enumerate(taps):
            # to a picture of patches, (N, width, rows, columns)
            patches = tokens.transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)
            layer = self.resize_layers[i](self.projects[i](patches))
            layers.append(self.scratch[f'layer{i + 1}_rn'](layer))
        sizes = [(8 * rows, 8 * columns), *(layer.shape[2:] for layer in layers[:3])]
        x: Tensor | None = None
        for i in (3, 2, 1, 0):
            x = self.scratch[f'refinenet{i + 1}'](x, layers[i], sizes[i])
        x = _resize(self.scratch['output_conv1'](x), (PATCH * rows, PATCH * columns))
        return [self.scratch[branch](x)[:, 0].float() for branch in self.branches]
