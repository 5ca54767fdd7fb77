# SPDX-License-Identifier: Apache-2.0
"""One interface for all kinds of depth networks. No torch."""

from __future__ import annotations

import abc
import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.networks.preprocess import resize_normalised
from depth_pcd_ros.option import SettingsError

if TYPE_CHECKING:
    import torch

    from depth_pcd_ros.geometry.camera import Camera

Floats = npt.NDArray[np.float32]


class CheckpointError(DepthPcdError):
    """A checkpoint cannot be had or is not what it should be; the message says what is."""


class Family(abc.ABC):
    """A network of one kind: how a picture enters it, and what comes out of it in metres.

    Args:
        path: the file with its weights.
        max_depth: depth at which its output ends [m]; 0: the model's own.
        input_size: side of the picture at the network, as `network_size` reads it [px]; 0: the
            family's own.
        focal_correction: see the setting of this name.

    Attributes:
        name: what the table of families calls it.
        own_input_size: the `input_size` that it was trained at [px].
        patch: side of what the network sees as one [px]; both sides are multiples of it.
        input_size_step: what `input_size` is a multiple of [px].
        mean, std: of the channels of its training data, 0 to 1.
        has_attention: it is a transformer, with blocks whose attention may have to stay in fp32.
        knows_sky: it says which pixels are sky; those have no depth.
        uncorrected: why it takes no `focal_correction`; '' where it does.
        max_depth: depth at which the output ends, for a factor of 1 [m]; inf: nowhere.

    Raises:
        CheckpointError: see `max_depth_of`.
        SettingsError: an `input_size` that is no multiple of `input_size_step`, or a
            `focal_correction` that has no meaning here.
    """

    name: ClassVar[str]
    own_input_size: ClassVar[int]
    patch: ClassVar[int] = 14
    input_size_step: ClassVar[int] = 14
    # ImageNet's, which DINOv2 was trained with.
    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)
    has_attention: ClassVar[bool] = True
    knows_sky: ClassVar[bool] = False
    uncorrected: ClassVar[str] = ''

    def __init__(
        self,
        path: Path,
        max_depth: float = 0.0,
        input_size: int = 0,
        focal_correction: bool = False,
    ) -> None:
        self.path = path
        self.max_depth = self.max_depth_of(path, max_depth)
        self.input_size = input_size or self.own_input_size
        self.focal_correction = focal_correction
        if self.input_size < 0 or self.input_size % self.input_size_step:
            raise SettingsError(
                f'input_size is {input_size} px, expected 0 or a multiple of {self.input_size_step}'
            )
        if focal_correction and self.uncorrected:
            raise SettingsError(f'focal_correction is true, expected false: {self.uncorrected}')

    @classmethod
    @abc.abstractmethod
    def max_depth_of(cls, path: Path, max_depth: float) -> float:
        """Return the depth at which the output of a checkpoint ends [m]; 0 asks for its own.

        Raises:
            CheckpointError: nothing tells it, or it cannot be this one.
        """

    @classmethod
    def recognises(cls, keys: list[str], metadata: dict[str, str]) -> bool:
        """Return whether a file with these keys and this metadata is one of this family."""
        return False

    def load(self) -> torch.nn.Module:
        """Load the network in torch, in float32 on the CPU, ready for inference.

        The module of its name in `modules/` does it. It takes (N, 3, h, w) normalised pictures and
        gives (N, h, w) depth, or (N, C, h, w): the depth and what else `metres` reads.

        Raises:
            CheckpointError: the file is not one of this family; the message says what it is.
        """
        module = importlib.import_module(f'{__package__}.modules.{self.name}')
        network: torch.nn.Module = module.load(self.path)
        return network

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width [px] at which a picture enters the network.

        Depth Anything V2's rule: scaled to a short side of `input_size`, each side rounded to a
        multiple of the patch, halves to even. (Its official lower bound never acts where
        `input_size` is a multiple of the patch.)
        """
        scale = max(self.input_size / height, self.input_size / width)
        return (
            round(scale * height / self.patch) * self.patch,
            round(scale * width / self.patch) * self.patch,
        )

    def depth_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of the depth with `resolution: network`: never above the picture's."""
        size = self.network_size(height, width)
        return min(size[0], height), min(size[1], width)

    def reduced(self, rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Do what comes before the cubic resizing in floating point, (H, W, 3) uint8; here nothing.

        Args:
            rgb: (H, W, 3) uint8.
            size: `network_size` of it.
        """
        return rgb

    def enter(self, rgb: npt.NDArray[np.uint8], out: Floats) -> None:
        """Fill `out`, (3, h, w) float32 of `network_size`, with what enters the network."""
        size = (out.shape[1], out.shape[2])
        resize_normalised(self.reduced(rgb, size), self.mean, self.std, out)

    def factor(self, camera: Camera) -> float:
        """Return what the output is multiplied by, to be metres for pictures of this camera."""
        return 1.0

    def farthest(self, camera: Camera) -> float:
        """Return the depth at which the output ends for pictures of this camera [m], or inf."""
        return self.max_depth * self.factor(camera)

    def metres(self, maps: Floats, camera: Camera) -> Floats:
        """Turn what the network gave for a picture into depth.

        Args:
            maps: (C, H, W), resized to the picture; overwritten.
            camera: of the picture.

        Returns:
            (H, W) m along z, NaN where the network says that there is none.
        """
        factor = self.factor(camera)
        if factor != 1.0:
            maps[0] *= np.float32(factor)
        depth: Floats = maps[0]
        return depth


def check_max_depth(max_depth: float) -> None:
    """Raise CheckpointError unless `max_depth` is 0 or a depth."""
    if not math.isfinite(max_depth) or max_depth < 0:
        raise CheckpointError(f'max_depth is {max_depth} m, expected 0 or a positive depth')
