# SPDX-License-Identifier: Apache-2.0
"""Inputs of the stages: a rendered room, its calibration, and the depth of a fake network."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from depth_pcd_ros.engine.host import HostEngine
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.geometry.calibration import Calibration
from scenes import EVALUATION_SEEDS
from scenes.edges import blurred
from scenes.furniture import make_room
from scenes.render import render
from scenes.views import make_view
from test.support.fake_engine import FakeFamily

SIZES = ((640, 480), (1920, 1080))
NETWORK_SIDE = 518  # [px]


class Scene(NamedTuple):
    """A picture (H, W, 3) uint8, its depth as a network blurs it (H, W) m, and its camera."""

    rgb: np.ndarray
    depth: np.ndarray
    k: tuple[float, ...]

    def calibration(self, **lens: object) -> Calibration:
        """Return the numbers of its CameraInfo."""
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


class StoredNetwork(HostEngine):
    """An engine on the CPU around a network that takes no time and gives a stored depth."""

    def __init__(self, depth: np.ndarray) -> None:
        network = FakeFamily(Path(), 20.0)
        super().__init__('stored', network, 'cpu', 'fp32')
        self._small = upsample(depth, network.network_size(*depth.shape))[None, None]

    def _infer(self, x: np.ndarray) -> np.ndarray:
        return self._small

    def _free(self) -> None:
        """Nothing."""
