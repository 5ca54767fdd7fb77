# SPDX-License-Identifier: Apache-2.0
"""Engines whose network takes and gives arrays in the host's memory. No torch."""

from __future__ import annotations

import abc
import logging
import time
from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np

from depth_pcd_ros.engine.base import Engine, Floats, Pictures, Size
from depth_pcd_ros.engine.upsample import upsample

log = logging.getLogger(__name__)


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


class SizedEngine(HostEngine):
    """An engine that makes something for each size at the network, and keeps those used last.

    Attributes:
        makes: what it does to the network for a size, for the log.
    """

    makes: ClassVar[str]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._made: OrderedDict[Size, Any] = OrderedDict()

    def _discard(self) -> None:
        self._made.clear()

    def _free(self) -> None:
        self._made.clear()

    def _of_size(self, size: Size) -> Any:
        """Return what runs the network for pictures of `size` at it."""
        if size in self._made:
            self._made.move_to_end(size)
            return self._made[size]
        while len(self._made) >= self.sizes:  # before, so that the memory is free again
            self._made.popitem(last=False)
        start = time.perf_counter()
        self._made[size] = self._make(size)
        log.info(
            '%s the network for pictures of %dx%d on %s in %.1f s',
            *(self.makes, size[1], size[0], self.device, time.perf_counter() - start),
        )
        return self._made[size]

    @abc.abstractmethod
    def _make(self, size: Size) -> Any:
        """Make what runs the network for pictures of `size` at it."""
