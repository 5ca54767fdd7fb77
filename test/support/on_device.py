# SPDX-License-Identifier: Apache-2.0
"""The engine that stands for one whose depth stays on its device."""

import torch

from depth_pcd_ros.engine.device_depth import DeviceDepth, Lane

from .fake_engine import FakeEngine


class OnDevice(FakeEngine):
    """Leaves the depth on a device, as `CudaEngine` does."""

    lane = Lane('cpu')

    def estimate(self, pictures, cameras, size=None):
        """For each picture, a `DeviceDepth`."""
        lane = OnDevice.lane
        maps = self._maps_of(self._run, pictures, cameras, size)
        return [
            DeviceDepth(torch.tensor(one, device=lane.device), self.network, seen, lane)
            for one, seen in zip(maps, cameras, strict=True)
        ]
