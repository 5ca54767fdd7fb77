# SPDX-License-Identifier: Apache-2.0
"""The engine that stands for a network in tests and benchmarks whose subject is another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from depth_pcd_ros.engine import Engine
from depth_pcd_ros.engine.upsample import upsample
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.networks.family import Family

Depth = Callable[[np.ndarray], np.ndarray]


class FakeFamily(Family):
    """A network that enters pictures as Depth Anything V2 does, and cannot be loaded."""

    name = 'fake'
    own_input_size = 518

    @classmethod
    def max_depth_of(cls, path, max_depth):
        """As given."""
        return max_depth

    def load(self):
        """There is none."""
        raise NotImplementedError


class SkyFamily(FakeFamily):
    """One that knows the sky, and where depth has no end."""

    knows_sky = True

    @classmethod
    def max_depth_of(cls, path, max_depth):
        """As given, or nowhere."""
        return max_depth or np.inf

    def metres(self, maps, camera):
        """NaN for sky."""
        depth = super().metres(maps, camera)
        depth[maps[1] > 0] = np.nan
        return depth


class FakeEngine(Engine):
    """Gives the depth that it was made with; with a family that knows the sky, NaN is sky.

    Args:
        depth: of every picture [m]: a number, (H, W), or what makes one of a picture (H, W, 3).
        max_depth: depth at which it ends [m].
        model: its name.
        network: its family.
    """

    def __init__(
        self,
        depth: float | np.ndarray | Depth = 2.0,
        max_depth: float = 20.0,
        model: str = 'fake',
        network: Family | None = None,
    ) -> None:
        super().__init__(model, network or FakeFamily(Path(), max_depth), 'fake', 'fp32')
        self.depth = depth

    def _run(self, pictures, size, result):
        of = self.depth if callable(self.depth) else lambda _: self.depth
        out = np.zeros((len(pictures), 1 + self.network.knows_sky, *pictures[0].shape[:2]))
        for rgb, maps in zip(pictures, out, strict=True):
            maps[0] = of(rgb)
            if self.network.knows_sky:
                maps[1] = np.isnan(maps[0])
                maps[0] = np.nan_to_num(maps[0], nan=1.0)
        out = out.astype(np.float32)
        if result == out.shape[2:]:
            return out
        resized = [upsample(one, result) for maps in out for one in maps]
        return np.stack(resized).reshape(*out.shape[:2], *result)

    def _free(self):
        """Nothing."""


def seen(rgb):
    """A picture with a camera of its size, as `Engine.infer` takes them."""
    height, width = (*rgb.shape, 1)[:2]
    camera = Camera(width or 1, height or 1, 500.0, 500.0, width / 2, height / 2)
    return rgb, camera


def all_seen(pictures):
    """Pictures with their cameras, as `Engine.infer_batch` takes them."""
    return pictures, [seen(rgb)[1] for rgb in pictures]


def check_own_output(made, rgb):
    """What is not resized, in memory of its own: enlarged, it is the depth of the picture."""
    size = made.network.network_size(*rgb.shape[:2])
    depth = made.infer(*seen(rgb), size)
    kept = depth.copy()
    assert depth.shape == size
    np.testing.assert_allclose(upsample(depth, rgb.shape[:2]), made.infer(*seen(rgb)), rtol=1e-5)
    made.infer(*seen(rgb[::-1]), size)
    np.testing.assert_array_equal(depth, kept)
