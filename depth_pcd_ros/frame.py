# SPDX-License-Identifier: Apache-2.0
"""A picture as it comes in, and the frame that the stages make of it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.motion.steadiness import Steadiness
from depth_pcd_ros.scale.tracker import ScaleState
from depth_pcd_ros.sync.readings import NO_EVIDENCE, NO_HEADER, Evidence, Header

if TYPE_CHECKING:
    from depth_pcd_ros.engine.device_depth import FilteredDepth


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A picture and its metadata.

    Attributes:
        rgb: (H, W, 3) uint8, RGB.
        calibration: the numbers of its CameraInfo.
        header: when it was taken, and in which frame.
        evidence: what sensors say about it.
    """

    rgb: npt.NDArray[np.uint8]
    calibration: Calibration
    header: Header = NO_HEADER
    evidence: Evidence = NO_EVIDENCE

    def advice(self) -> str:
        """Say what is probably wrong where it is black; '' where it is not. A sample is looked at.

        12 bits at the lower end of 16, as some drivers send them, are below `DARK` as 8.
        """
        brightest = int(self.rgb[::DARK, ::DARK].max())
        if brightest > DARK:
            return ''
        return (
            f'the picture is black, its brightest value {brightest} of 255: the lens is covered, '
            'it is night, or 16 bits have only the 10 or 12 of the sensor, not scaled'
        )


DARK = 16  # of 255, and pixels between two that are looked at
# x, y, z [m] and perhaps the packed colour, as `Pipeline.points` gives them.
Points = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Frame:
    """The result for one picture, all of one size and matching pixel for pixel.

    Attributes:
        rgb: the colours, (H, W, 3) uint8; rectified where that was asked for.
        source: its `depth`, or where it can be had on the device of the network.
        valid_count: how many pixels have a depth.
        camera: the camera model of these pixels.
        calibration: the numbers of a CameraInfo that describes these pixels.
        max_range: depth up to which points are valid [m]; without the correction of their scale,
            so that it stays the same from frame to frame.
        network_time: what the network took [s].
        scale: how the depth was corrected; None without a `scale_source`.
        sky: where the network sees sky, (H, W) bool; None where it does not know it.
        steadiness: how the depth was steadied; None without `temporal_filter`.
        confidence: how far each depth is to be believed, (H, W) float32 from 0 to 100; None where
            it was not asked for.
    """

    rgb: npt.NDArray[np.uint8]
    source: npt.NDArray[np.float32] | FilteredDepth
    valid_count: int
    camera: Camera
    calibration: Calibration
    max_range: float
    network_time: float
    scale: ScaleState | None = None
    sky: npt.NDArray[np.bool_] | None = None
    steadiness: Steadiness | None = None
    confidence: npt.NDArray[np.float32] | None = None

    @functools.cached_property
    def depth(self) -> npt.NDArray[np.float32]:
        """Depth along z [m], (H, W) float32, NaN where invalid."""
        return self.source if isinstance(self.source, np.ndarray) else self.source.numpy()

    @property
    def valid_fraction(self) -> float:
        """Share of the pixels that have a depth."""
        return self.valid_count / (self.camera.width * self.camera.height)
