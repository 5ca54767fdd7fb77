# SPDX-License-Identifier: Apache-2.0
"""What the engines have in common: checks before and after what each does in its own way."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.engine import Engine
from depth_pcd_ros.engine.checks import check_finite, check_pictures
from depth_pcd_ros.engine.preprocess import network_size


class BaseEngine(Engine):
    """A network on a device."""

    _closed = False

    def infer(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Estimate the depth of a picture; see `Engine.infer`.

        Raises:
            FrameError: `aspect_ratio` for a picture more than 20 times as long as wide,
                `network_not_finite` where the network gives NaN, `out_of_memory` where the device
                has no room; what is held in reserve is given back then.
        """
        return self.infer_batch([rgb])[0]

    def infer_batch(
        self, pictures: Sequence[npt.NDArray[np.uint8]]
    ) -> list[npt.NDArray[np.float32]]:
        """Estimate the depth of pictures of one size; see `Engine.infer_batch` and `infer`."""
        if self._closed:
            raise RuntimeError('the engine is closed')
        if not pictures:
            return []
        height, width = check_pictures(pictures)
        depth = self._depth(pictures, network_size(height, width, self.input_size))
        check_finite(depth, self.precision)
        return list(depth)

    def device_memory(self) -> int | None:
        """See `Engine.device_memory`."""
        return None

    def close(self) -> None:
        """Free the memory of the network."""
        if not self._closed:
            self._closed = True
            self._free()

    @abc.abstractmethod
    def _depth(
        self, pictures: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Run the network on pictures of one size, (H, W, 3) each, scaled to `size` for it.

        Returns:
            (N, H, W) m, in memory of its own.
        """

    @abc.abstractmethod
    def _free(self) -> None:
        """Let go of the network; called once."""
