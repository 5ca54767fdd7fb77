# SPDX-License-Identifier: Apache-2.0
"""The path from uint8 pictures to depth in torch, all of it on the device of the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pcd_ros.networks.family import Family
from depth_pcd_ros.networks.preprocess import cubic_taps, scale_and_shift


class DevicePath(nn.Module):
    """A network with the resizing before and behind it.

    What is sent is one byte for each value of the picture, not four for each at the network (at
    VGA, 0.9 MB instead of 4.3). It runs the same on a CPU, where it is tested against what engines
    on the host do.

    Args:
        family: how pictures enter it.
        network: on its device, in its precision.
    """

    def __init__(self, family: Family, network: nn.Module) -> None:
        super().__init__()
        # The convolutions of the head are faster so on a GPU; its tokens come like that anyway.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        like = next(network.parameters())
        self._dtype = like.dtype
        scale, shift = scale_and_shift(family.mean, family.std)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer('scale', torch.from_numpy(scale).to(like.device).view(3, 1, 1))
        self.register_buffer('shift', torch.from_numpy(shift).to(like.device).view(3, 1, 1))

    def taps(self, picture: tuple[int, int], size: tuple[int, int]) -> list[Tensor]:
        """Return what `forward` needs to resize pictures of (H, W) to `size`: rows, then columns.

        For each, the four that a new one is mixed of, (4, n) int32, and their shares (4, n).
        """
        return [
            torch.from_numpy(array.T.copy()).to(self.scale.device)
            for new, old in zip(size, picture, strict=True)
            for array in cubic_taps(new, old)
        ]

    def forward(self, rgb: Tensor, taps: list[Tensor], result: tuple[int, int]) -> Tensor:
        """Estimate depth.

        Args:
            rgb: (N, h', w', 3) uint8, RGB.
            taps: of their size, see `taps`.
            result: height and width of what is returned [px].

        Returns:
            (N, C, *result) float32: what the network gives.
        """
        rows, row_shares, columns, column_shares = taps
        x = rgb.permute(0, 3, 1, 2)
        # F.interpolate computes positions otherwise than cv2: millimetres for large pictures.
        x = _mix(x, 3, columns, column_shares)
        x = _mix(x, 2, rows, row_shares[..., None])
        x = torch.addcmul(self.shift, x, self.scale)
        x = x.to(self._dtype, memory_format=torch.channels_last)
        maps = self.network(x).reshape(len(rgb), -1, *x.shape[2:]).float()
        if maps.shape[2:] == result:
            return maps
        return F.interpolate(maps, result, mode='bilinear', align_corners=True)


def _mix(x: Tensor, dim: int, taps: Tensor, shares: Tensor) -> Tensor:
    """Resize one dimension: the sum of four of its places for each new one.

    Summed in place, so that no more than two pictures of the new size are there at a time.
    """
    mixed = x.index_select(dim, taps[0]) * shares[0]
    for at, share in zip(taps[1:], shares[1:], strict=True):
        mixed.addcmul_(x.index_select(dim, at), share)
    return mixed
