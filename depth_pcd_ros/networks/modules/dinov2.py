# SPDX-License-Identifier: Apache-2.0
"""The vision transformer DINOv2 (arXiv:2304.07193), as the Depth Anything networks use it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pcd_ros.networks.family import CheckpointError

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


class VisionTransformer(nn.Module):
    """DINOv2: a picture to the tokens of four of its blocks.

    Args:
        encoder: its size.
        mask_token: the checkpoint has one. Only DINOv2's own training uses it.
    """

    CACHED_SIZES = 8
    fixed_size: tuple[int, int] | None = None  # of all pictures, while it is traced for that one

    def __init__(self, encoder: Encoder, mask_token: bool = False) -> None:
        super().__init__()
        width = encoder.width
        self.taps = encoder.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, width))
        if mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = nn.ModuleDict({'proj': nn.Conv2d(3, width, PATCH, stride=PATCH)})
        self.blocks = nn.ModuleList(_Block(width, encoder.heads) for _ in range(encoder.blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # By grid, device and type, oldest first.
        self._positions: dict[tuple[object, ...], Tensor] = {}
        hook = self.register_load_state_dict_post_hook
        hook(lambda *_: self._positions.clear())  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> tuple[list[Tensor], tuple[int, int]]:
        """Return the normalised patch tokens of each tap, and the grid that they form.

        Args:
            x: (N, 3, h, w) RGB, normalised with ImageNet's mean and deviation; h and w are
                multiples of 14.

        Returns:
            Four times (N, rows * columns, width), and (rows, columns).
        """
        height, width = self.fixed_size or x.shape[-2:]
        if isinstance(height, int) and (height % PATCH or width % PATCH):
            raise ValueError(f'the input is {height}x{width} px, expected multiples of {PATCH}')
        grid = (height // PATCH, width // PATCH)
        x = self.patch_embed['proj'](x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        x = x + self.positions(grid)
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                taps.append(self.norm(x)[:, 1:])  # the head does not use the class token
        return taps, grid

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

    def constants(self) -> list[Tensor]:
        """Return what is kept of the sizes that came: a recorded run reads it where it is."""
        return list(self._positions.values())

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


@torch.no_grad()
def fold_layer_scale(network: nn.Module) -> None:
    """Multiply the scale of each layer into the weights before it, for those who run it often."""
    for block in network.modules():
        if isinstance(block, _Block):
            for linear, scale in ((block.attn.proj, block.ls1), (block.mlp[-1], block.ls2)):
                linear.weight *= scale.gamma[:, None]  # type: ignore[misc, operator, index]
                linear.bias *= scale.gamma  # type: ignore[misc, operator]
                scale.gamma.fill_(1.0)  # a product with one, which run-times leave out


def in_precision(network: nn.Module, dtype: torch.dtype, fp32_attention: bool = False) -> nn.Module:
    """Convert the weights of a network in float32, in place, and with them its arithmetic.

    Args:
        network: any; it takes pictures of this type from now on.
        dtype: the type.
        fp32_attention: attention, and the normalisation before it, stays in float32.
    """
    blocks = [block for block in network.modules() if fp32_attention and isinstance(block, _Block)]
    stay = [p for block in blocks for m in (block.norm1, block.attn) for p in m.parameters()]
    weights = [parameter.data for parameter in stay]
    network.to(dtype)
    for parameter, data in zip(stay, weights, strict=True):
        parameter.data = data
    for block in blocks:
        block.norm1.register_forward_pre_hook(lambda _, given: (given[0].float(),))
        block.attn.register_forward_hook(lambda _, __, attended: attended.to(dtype))
    return network


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


def encoder_of(pos_embed: Tensor, path: Path) -> Encoder:
    """Return the published size whose position embedding has this width.

    Raises:
        CheckpointError: there is none; the message names the file, and which there are.
    """
    widths = {encoder.width: encoder for encoder in ENCODERS.values()}
    width = pos_embed.shape[-1] if pos_embed.ndim else 0
    if width not in widths:
        raise CheckpointError(
            f'{path} has an embedding width of {width}, expected '
            + ', '.join(f'{encoder.width} ({name})' for name, encoder in ENCODERS.items())
        )
    return widths[width]
