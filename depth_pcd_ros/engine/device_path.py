# SPDX-License-Identifier: Apache-2.0
"""From uint8 pictures to their depth in nothing but torch, all of it where the network is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pcd_ros.engine.preprocess import MEAN, STD, cubic_taps
from depth_pcd_ros.networks.demo import DemoNetwork
from depth_pcd_ros.networks.depth_anything_v2 import DepthAnythingV2


class DevicePath(nn.Module):
    """A network with the resizing before and behind it.

    On a GPU that is a third of the bytes to be sent, and work that costs it nothing. It runs the
    same on a CPU, where it is tested against `preprocess` and `upsample`.

    Args:
        network: on its device, in its precision.
    """

    def __init__(self, network: DepthAnythingV2 | DemoNetwork) -> None:
        super().__init__()
        # The convolutions of the head are faster so on a GPU; its tokens come like that anyway.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        like = next(network.parameters())
        self._dtype = like.dtype
        scale, shift = (
            like.new_tensor(values, dtype=torch.float32).view(3, 1, 1)
            for values in (1 / (255 * STD), -MEAN / STD)
        )
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer('scale', scale)
        self.register_buffer('shift', shift)

    def taps(self, picture: tuple[int, int], size: tuple[int, int]) -> list[Tensor]:
        """What `forward` needs to resize pictures of (H, W) to `size`: rows, then columns.

        For each, the four that a new one is mixed of, (4, n) int32, and their shares (4, n).
        """
        return [
            torch.from_numpy(array.T.copy()).to(self.scale.device)
            for new, old in zip(size, picture, strict=True)
            for array in cubic_taps(new, old)
        ]

    def forward(self, rgb: Tensor, taps: list[Tensor]) -> Tensor:
        """Estimate depth.

        Args:
            rgb: (N, H, W, 3) uint8, RGB.
            taps: of their size, see `taps`.

        Returns:
            (N, H, W) float32 m.
        """
        rows, row_shares, columns, column_shares = taps
        x = rgb.permute(0, 3, 1, 2)
        # F.interpolate computes positions otherwise than cv2: millimetres for large pictures.
        x = _mix(x, 3, columns, column_shares)
        x = _mix(x, 2, rows, row_shares[..., None])
        x = torch.addcmul(self.shift, x, self.scale)
        x = x.to(self._dtype, memory_format=torch.channels_last)
        depth = self.network(x)[:, None].float()
        return F.interpolate(depth, rgb.shape[1:3], mode='bilinear', align_corners=True)[:, 0]


def _mix(x: Tensor, dim: int, taps: Tensor, shares: Tensor) -> Tensor:
    """Resize one dimension: the sum of four of its places for each new one."""
    parts = [x.index_select(dim, at) * share for at, share in zip(taps, shares, strict=True)]
    return parts[0] + parts[1] + (parts[2] + parts[3])
