# SPDX-License-Identifier: Apache-2.0
"""The network of the bundled demo model, trained on the rooms of `scenes/`.

A small convolutional encoder and decoder. The distance of what stands on the floor follows from its
row in the picture, so the network sees two coordinate channels beside the colours. Plain 3x3
convolutions with batch norm are what a CPU runs fastest.
"""

import math
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from depth_pcd_ros.networks.demo import MAX_DEPTH, NETWORK
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.networks.modules import state_dict

MIN_DEPTH = 0.3  # m
STEM = 16
WIDTHS = (32, 64, 128, 256)  # channels at 1/4, 1/8, 1/16 and 1/32 of the input
BLOCKS = (1, 2, 2, 1)
CACHED_SIZES = 8


def _conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        return functional.relu(x + self.norm(self.second(self.first(x))))


class _Merge(nn.Module):
    """Brings a coarse map to the size of a finer one, and adds that."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, fine, 1)
        self.mix = _conv(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, C, h', w'), (N, F, h, w) -> (N, F, h, w)."""
        fine = fine + _resize(self.reduce(coarse), fine.shape[-2], fine.shape[-1])
        mixed: Tensor = self.mix(fine)
        return mixed


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    return functional.interpolate(x, (height, width), mode='bilinear', align_corners=False)


class DemoNetwork(nn.Module):
    """ImageNet-normalised RGB (N, 3, h, w) to depth (N, h, w) [m] along z, from 0.3 to 12 m."""

    fixed_size: tuple[int, int] | None = None  # of all pictures, while it is traced for that one

    def __init__(self) -> None:
        super().__init__()
        self._coordinates: dict[tuple[int, int, torch.device, torch.dtype], Tensor] = {}
        self.stem = _conv(5, STEM, 2)
        before = (STEM, *WIDTHS)
        self.stages = nn.ModuleList(
            nn.Sequential(
                _conv(before[i], WIDTHS[i], 2), *(_Residual(WIDTHS[i]) for _ in range(BLOCKS[i]))
            )
            for i in range(len(WIDTHS))
        )
        self.merges = nn.ModuleList(
            _Merge(before[i + 1], before[i]) for i in reversed(range(len(WIDTHS)))
        )
        self.head = nn.Conv2d(STEM, 1, 3, 1, 1)

    def coordinates(self, like: Tensor) -> Tensor:
        """(1, 2, h, w): column and row of each pixel, from -1 to 1 across the picture."""
        height, width = self.fixed_size or like.shape[-2:]
        if not isinstance(height, int):  # a tensor while it is traced, which leaves sizes open
            return _coordinates(height, width, like)
        key = (height, width, like.device, like.dtype)
        if key not in self._coordinates:
            if len(self._coordinates) >= CACHED_SIZES:
                del self._coordinates[next(iter(self._coordinates))]
            self._coordinates[key] = _coordinates(height, width, like)
        return self._coordinates[key]

    def constants(self) -> list[Tensor]:
        """Return what is kept of the sizes that came: a recorded run reads it where it is."""
        return list(self._coordinates.values())

    def log_depth(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) -> natural logarithm (N, h, w) of the depth in metres."""
        coordinates = self.coordinates(x).expand(x.shape[0], -1, -1, -1)
        maps = [self.stem(torch.cat([x, coordinates], 1))]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        y = maps.pop()
        for merge in self.merges:
            y = merge(y, maps.pop())
        y = _resize(self.head(y), x.shape[-2], x.shape[-1])[:, 0].float()
        low, high = math.log(MIN_DEPTH), math.log(MAX_DEPTH)
        # An overflow in half precision would be the greatest depth: 0 x infinity makes it NaN.
        return low + (high - low) * torch.sigmoid(y + 0.0 * y)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) ImageNet-normalised RGB -> (N, h, w) depth [m]."""
        return torch.exp(self.log_depth(x))


def _coordinates(height: int, width: int, like: Tensor) -> Tensor:
    u = (torch.arange(width, device=like.device) + 0.5) * (2 / width) - 1
    v = (torch.arange(height, device=like.device) + 0.5) * (2 / height) - 1
    grid = torch.stack([u[None].expand(height, width), v[:, None].expand(height, width)])
    return grid[None].to(like.dtype)


def load(path: str | Path) -> DemoNetwork:
    """Load the network from a safetensors file, without running any code in it, for inference.

    Raises:
        CheckpointError: no such file, not a safetensors file, or not the weights of this network;
            the message names the file and the keys.
    """
    path = Path(path)
    tensors = state_dict.read(path)
    with safe_open(path, 'pt') as file:
        name = (file.metadata() or {}).get('network')
    if name != NETWORK:
        raise CheckpointError(
            f'{path}: its metadata names the network {name!r}, expected {NETWORK!r}'
        )
    with torch.device('meta'):  # no time and memory for initial values
        network = DemoNetwork()
    state_dict.fill(network, tensors, path)
    return network
