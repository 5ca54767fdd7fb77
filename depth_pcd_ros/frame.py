# SPDX-License-Identifier: Apache-2.0
"""What the stages make of one picture."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.scale.tracker import ScaleState

# x, y, z [m] and perhaps the packed colour, as `Pipeline.points` gives them.
Points = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Frame:
    """The result for one picture, all of one size and matching pixel for pixel.

    Attributes:
        rgb: the colours, (H, W, 3) uint8; rectified where that was asked for.
        depth: depth along z [m], (H, W) float32, NaN where invalid.
        valid_count: how many pixels have a depth.
        camera: the camera model of these pixels.
        calibration: the numbers of a CameraInfo that describes these pixels.
        max_range: depth up to which points are valid [m]; without the correction of their scale,
            so that it stays the same from frame to frame.
        network_time: what the network took [s].
        scale: how the depth was corrected; None without a `scale_source`.
    """

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    valid_count: int
    camera: Camera
    calibration: Calibration
    max_range: float
    network_time: float
    scale: ScaleState | None = None
