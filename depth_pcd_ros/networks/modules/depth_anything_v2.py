# SPDX-License-Identifier: Apache-2.0
"""The network of Depth Anything V2, metric, by the official state-dict keys, and its loader.

A DINOv2 vision transformer (arXiv:2304.07193) and a DPT head (arXiv:2103.13413), as put together
in arXiv:2406.09414 and in the metric_depth/ part of github.com/DepthAnything/Depth-Anything-V2.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pcd_ros.networks.depth_anything_v2 import DepthAnythingV2 as Facts
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.networks.modules import state_dict

PATCH = 14  # side of a patch [px]
GRID = 37  # side of the grid of learned position embeddings: 518 px / 14


class Encoder(NamedTuple):
    """The numbers in which the published sizes differ."""

    width: int
    blocks: int
    heads: int
    taps: tuple[int, ...]  # the blocks whose output enters the head
    features: int
    channels: tuple[int, ...]


ENCODERS = {
    'vits': Encoder(384, 12, 6, (2, 5, 8, 11), 64, (48, 96, 192, 384)),
    'vitb': Encoder(768, 12, 12, (2, 5, 8, 11), 128, (96, 192, 384, 768)),
    'vitl': Encoder(1024, 24, 16, (4, 11, 17, 23), 256, (256, 512, 1024, 1024)),
}


class DepthAnythingV2(nn.Module):
    """The network: normalised pictures in, metres out.

    Args:
        encoder: `vits`, `vitb` or `vitl`.
        max_depth: depth at which the output ends [m].
    """

    def __init__(self, encoder: str, max_depth: float) -> None:
        super().__init__()
        self.max_depth = max_depth
        self.pretrained = _VisionTransformer(ENCODERS[encoder])
        self.depth_head = _Head(ENCODERS[encoder])

    def forward(self, x: Tensor) -> Tensor:
        """Estimate depth.

        Args:
            x: (N, 3, h, w) RGB, normalised with ImageNet's mean and deviation; h and w are
                multiples of 14.

        Returns:
            (N, h, w) depth along z [m], float32 whatever the precision of the weights.
        """
        height, width = x.shape[-2:]
        if isinstance(height, int) and (height % PATCH or width % PATCH):
            raise ValueError(f'the input is {height}x{width} px, expected multiples of {PATCH}')
        grid = (height // PATCH, width // PATCH)
        logits = self.depth_head(self.pretrained(x, grid), grid)  # (N, 1, h, w)
        return torch.sigmoid(logits.float()).squeeze(1) * self.max_depth

    def constants(self) -> list[Tensor]:
        """What is kept of the sizes that came: a recorded run reads it where it is."""
        return list(self.pretrained._positions.values())


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:  # (N, tokens, width)
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, tokens, width / heads) each
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads)
        self.ls1 = _LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential()
        self.mlp.add_module('fc1', nn.Linear(width, 4 * width))
        self.mlp.add_module('act', nn.GELU())
        self.mlp.add_module('fc2', nn.Linear(4 * width, width))
        self.ls2 = _LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _VisionTransformer(nn.Module):
    """DINOv2: a picture to the tokens of four of its blocks."""

    CACHED_SIZES = 8

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.width
        self.taps = encoder.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, width))
        # Only DINOv2's own training uses it, but it is part of every official checkpoint.
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = nn.ModuleDict({'proj': nn.Conv2d(3, width, PATCH, stride=PATCH)})
        self.blocks = nn.ModuleList(_Block(width, encoder.heads) for _ in range(encoder.blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # By grid, device and type, oldest first.
        self._positions: dict[tuple[object, ...], Tensor] = {}
        hook = self.register_load_state_dict_post_hook
        hook(lambda *_: self._positions.clear())  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """(N, 3, h, w) to the normalised patch tokens of each tap, (N, rows * columns, width)."""
        x = self.patch_embed['proj'](x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        x = x + self.positions(grid)
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                taps.append(self.norm(x)[:, 1:])  # the head does not use the class token
        return taps

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embedding of the class token and of a grid of patches, (1, 1 + patches, C)."""
        if not isinstance(grid[0], int):  # a tensor while it is traced, which leaves sizes open
            return self._interpolated_positions(grid)
        key = (grid, self.pos_embed.device, self.pos_embed.dtype)
        if key not in self._positions:
            if len(self._positions) >= self.CACHED_SIZES:
                del self._positions[next(iter(self._positions))]
            self._positions[key] = self._interpolated_positions(grid)
        return self._positions[key]

    @torch.no_grad()
    def _interpolated_positions(self, grid: tuple[int, int]) -> Tensor:
        embedding = self.pos_embed.float()
        rows, columns = grid
        # The official network, and so its training, samples a grid of another size with an offset
        # of 0.1, and that of its own size as it is.
        own = torch.as_tensor((rows == GRID) & (columns == GRID))
        offset = torch.where(own, 0.0, 0.1).to(embedding.device)
        down, across = (_cubic_weights(side, (side + offset) / GRID) for side in grid)
        patches = embedding[0, 1:].reshape(GRID, GRID, -1)
        patches = torch.einsum('rg,ghc,vh->rvc', down, patches, across).flatten(0, 1)[None]
        return torch.cat((embedding[:, :1], patches), dim=1).to(self.pos_embed.dtype)


def _cubic_weights(side: int, scale: Tensor) -> Tensor:
    """(side, GRID): how much of each place of the learned grid enters each of `side` places.

    What F.interpolate does with `bicubic` and a scale factor, written out so that it can be traced
    for any size: cubic convolution with a = -0.75, pixel centres, borders repeated.
    """
    at = (torch.arange(side, device=scale.device) + 0.5) / scale - 0.5
    # with the two repeated places at either end
    d = (at[:, None] - torch.arange(-2, GRID + 2, device=scale.device)).abs()
    near, far = (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3
    weights = torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))
    first, last = weights[:, :3].sum(1, True), weights[:, -3:].sum(1, True)
    return torch.cat((first, weights[:, 3:-3], last), dim=1)


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

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1 = _ResidualUnit(features)
        self.resConfUnit2 = _ResidualUnit(features)

    def forward(self, x: Tensor | None, layer: Tensor, size: tuple[int, int]) -> Tensor:
        # The coarsest layer has nothing to be added to: its resConfUnit1 is there but never used.
        x = layer if x is None else x + self.resConfUnit1(layer)
        return self.out_conv(_resize(self.resConfUnit2(x), size))


class _Head(nn.Module):
    """DPT: the tokens of four blocks, as pictures of four sizes, fused from coarse to fine."""

    def __init__(self, encoder: Encoder) -> None:
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
            self.scratch[f'refinenet{i}'] = _Fusion(features)
        self.scratch['output_conv1'] = nn.Conv2d(features, features // 2, 3, padding=1)
        self.scratch['output_conv2'] = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1)
        )

    def forward(self, taps: list[Tensor], grid: tuple[int, int]) -> Tensor:
        """Four times (N, rows * columns, width) to (N, 1, h, w) logits of depth / max_depth."""
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
        return self.scratch['output_conv2'](x)


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
    with torch.device('meta'):  # no time and memory for initial values
        network = DepthAnythingV2(_encoder_of(state, path), Facts.max_depth_of(path, max_depth))
    state_dict.check_fit(state, network.state_dict(), path)
    network.to_empty(device='cpu').load_state_dict(state)
    return network.eval().requires_grad_(False)


def _encoder_of(state: dict[str, Tensor], path: Path) -> str:
    widths = {encoder.width: name for name, encoder in ENCODERS.items()}
    key = 'pretrained.pos_embed'
    if key not in state:
        raise CheckpointError(
            f'{path} is not a Depth Anything V2 checkpoint: it has {state_dict.some(list(state))}, '
            f'expected {key} among them'
        )
    width = state[key].shape[-1] if state[key].ndim else 0
    if width not in widths:
        raise CheckpointError(
            f'{path} has an embedding width of {width}, expected '
            + ', '.join(f'{known} ({name})' for known, name in widths.items())
        )
    return widths[width]
