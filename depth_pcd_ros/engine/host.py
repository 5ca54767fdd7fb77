# SPDX-License-Identifier: Apache-2.0
"""Engines whose network takes and gives arrays in the host's memory. No torch."""

from __future__ import annotations

import abc

import numpy as np

from depth_pcd_ros.engine.base import Engine, Floats, Pictures, Size
from depth_pcd_ros.engine.upsample import upsample


class HostEngine(Engine):
    """An engine for which the CPU prepares the pictures and enlarges the depth."""

    _input = np.empty((0, 3, 0, 0), np.float32)  # written over for each picture

    def _run(self, pictures: Pictures, size: Size, result: Size) -> Floats:
        if self._input.shape != (len(pictures), 3, *size):
            self._input = np.empty((len(pictures), 3, *size), np.float32)
        for rgb, entering in zip(pictures, self._input, strict=True):
            self.network.enter(rgb, entering)
        small = self._infer(self._input)
        if result == size:
            return small.copy()
        out = np.empty((*small.shape[:2], *result), np.float32)
        for of_picture, enlarged in zip(small, out, strict=True):
            for one, large in zip(of_picture, enlarged, strict=True):
                upsample(np.ascontiguousarray(one), result, large)
        return out

    @abc.abstractmethod
    def _infer(self, x: Floats) -> Floats:
        """Run the network: (N, 3, h, w), normalised, to (N, C, h, w), both float32."""
