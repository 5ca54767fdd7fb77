# SPDX-License-Identifier: Apache-2.0
"""The family Depth Anything V2, metric (arXiv:2406.09414): what is known without its network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from depth_pcd_ros.networks.family import CheckpointError, Family, check_max_depth

if TYPE_CHECKING:
    import torch

    from depth_pcd_ros.geometry.camera import Camera


class DataSet(NamedTuple):
    """The facts that a metric network inherits from its training data."""

    max_depth: float  # depth at which the network's output ends [m]
    # focal length of the pictures as they entered the network, at the short side 518 [px]
    focal_train: float


# By the word that official file names carry. Hypersim: 1024x768 at a focal length of 886.81 px
# (github.com/apple/ml-hypersim). Virtual KITTI 2: 1242x375 at 725.0087 px (its intrinsic.txt).
# Depth ranges: the README of DepthAnything/Depth-Anything-V2, metric_depth/.
DATA_SETS = {
    'metric_hypersim': DataSet(max_depth=20.0, focal_train=886.81 * 518 / 768),
    'metric_vkitti': DataSet(max_depth=80.0, focal_train=725.0087 * 518 / 375),
}


def data_set_of(path: Path) -> DataSet | None:
    """Return the data set that the name of a checkpoint tells, or None."""
    return next((known for word, known in DATA_SETS.items() if word in path.name), None)


class DepthAnythingV2(Family):
    """Depth Anything V2 with its metric head, trained for one data set."""

    name = 'depth_anything_v2'
    own_input_size = 518

    @classmethod
    def max_depth_of(cls, path: Path, max_depth: float) -> float:
        """Return the depth at which a checkpoint's output ends [m].

        The keys of a metric and of a relative-depth checkpoint are the same, so the name of the
        file or the caller has to tell.

        Raises:
            CheckpointError: neither tells, or `max_depth` is not a depth.
        """
        check_max_depth(max_depth)
        if max_depth:
            return max_depth
        data_set = data_set_of(path)
        if data_set is None:
            raise CheckpointError(
                f'{path.name} does not tell whether it gives metric depth: its name has none of '
                f'{", ".join(DATA_SETS)}, and relative-depth checkpoints (depth_anything_v2_vits'
                '.pth and the like) have the same keys. Use a metric checkpoint, or, if this is '
                'one, set max_depth to the depth in metres that it was trained with'
            )
        return data_set.max_depth

    def factor(self, camera: Camera) -> float:
        """Return 1, or with `focal_correction` the ratio of the focal lengths, f_net / f_train."""
        data_set = data_set_of(self.path)
        if not self.focal_correction or data_set is None:
            return 1.0
        focal_net = camera.fy * self.input_size / min(camera.width, camera.height)
        return focal_net / data_set.focal_train

    def load(self) -> torch.nn.Module:
        """Load the network; see `Family.load`."""
        from depth_pcd_ros.networks.modules import depth_anything_v2

        return depth_anything_v2.load(self.path, self.max_depth)
