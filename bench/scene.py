# SPDX-License-Identifier: Apache-2.0
"""What the stages are measured on: a rendered room, its calibration, and a fake network's depth."""

from typing import NamedTuple

import numpy as np

from depth_pcd_ros.engine.preprocess import Preprocessor, network_size
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.geometry.calibration import Calibration
from scenes import EVALUATION_SEEDS
from scenes.edges import blurred
from scenes.furniture import make_room
from scenes.render import render
from scenes.views import make_view

SIZES = ((640, 480), (1920, 1080))
NETWORK_SIDE = 518  # [px]


class Scene(NamedTuple):
    """A picture (H, W, 3) uint8, its depth as a network blurs it (H, W) m, and its camera."""

    rgb: np.ndarray
    depth: np.ndarray
    k: tuple[float, ...]

    def calibration(self, **lens: object) -> Calibration:
        """The numbers of its CameraInfo."""
        height, width = self.depth.shape
        return Calibration(width, height, self.k, **lens)


def make_scene(width: int, height: int) -> Scene:
    """Render a room."""
    room = make_room(EVALUATION_SEEDS[0])
    view = make_view(room, EVALUATION_SEEDS[0], width, height)
    shown = render(room, view)
    fx, fy, cx, cy = view.intrinsics()
    depth = blurred(shown.depth, NETWORK_SIDE).astype(np.float32)
    return Scene(shown.rgb, depth, (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0))


class FakeEngine:
    """Stands for a network: hands over a depth map that was made before.

    With `around` it does what an engine does before and after the network.
    """

    model, device, precision, focal_train = 'fake', 'cpu', 'fp32', None
    max_depth, input_size = 20.0, NETWORK_SIDE

    def __init__(self, depth: np.ndarray, around: bool = False) -> None:
        height, width = depth.shape
        self._size = network_size(height, width, NETWORK_SIDE)
        self._depth = depth
        self._small = upsample(depth, self._size)
        self._preprocess = Preprocessor()
        self._around = around
        self._out = np.empty_like(depth)

    def infer(self, rgb: np.ndarray) -> np.ndarray:
        """The depth map, in memory that the caller may change."""
        if self._around:
            self._preprocess(rgb, self._size)
            return upsample(self._small, self._depth.shape, self._out)
        np.copyto(self._out, self._depth)
        return self._out

    def close(self) -> None:
        """Nothing to free."""
