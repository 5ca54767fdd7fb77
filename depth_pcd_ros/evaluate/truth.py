# SPDX-License-Identifier: Apache-2.0
"""The truth of one picture, brought into the pixels of the depth that is judged."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.evaluate.registration import register, register_points
from depth_pcd_ros.frame import Frame, Picture
from depth_pcd_ros.geometry import transform
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.geometry.rectification import is_called_rectified
from depth_pcd_ros.settings import Settings

Depth = npt.NDArray[np.float32]
Transform = Sequence[float]


class TruthError(FrameError):
    """A picture has no truth to compare it with; the message says why."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """The options about the truth."""

    topic: str = ''  # '': to be found by its type
    # that of its depth images; None: as the recording says
    calibration: Calibration | None = None
    unit: float | None = None  # metres of one unit; None: as the encoding says
    tolerance: float = 0.05  # the farthest that truth and picture may be apart [s]


@functools.lru_cache(2)  # asked for each frame, and its rays are worked out once
def depth_camera(calibration: Calibration, topic: str = '') -> Camera:
    """Return the camera of the depth images of a topic, rectified where its name says so.

    Raises:
        CameraError: there is no such camera.
    """
    if is_called_rectified(topic):
        return Camera.from_calibration(calibration.rectified(), rectified=True)
    return Camera.from_calibration(calibration)


@dataclasses.dataclass(frozen=True, eq=False)
class DepthTruth:
    """A depth image."""

    depth: Depth  # along z of its camera [m], (h, w), NaN where unknown
    camera: Camera | None = None  # the model of its pixels; None: they are those of the picture
    # the depth camera's place in the picture's optical frame, x y z [m] and qx qy qz qw; None: it
    # has that frame
    optical_from_depth: Transform | None = None

    def over(self, frame: Frame, picture: Picture, settings: Settings) -> Depth:
        """Compute the true depth of the frame's pixels, (H, W) [m], NaN where unknown.

        Raises:
            TruthError: `truth_size`, where the depth image is of another size than its camera.
        """
        camera = self.camera
        if camera is None:
            camera = Camera.from_calibration(picture.calibration, rectified=settings.rectified)
            if settings.distortion == 'ignore':
                camera = camera.without_distortion()
        size, expected = self.depth.shape[::-1], (camera.width, camera.height)
        if size != expected:
            whose = 'its CameraInfo' if self.camera else 'the picture'
            raise TruthError(
                'truth_size',
                f'the truth is {size[0]}x{size[1]}, {whose} {expected[0]}x{expected[1]}; a depth '
                'camera of its own needs its own CameraInfo: --truth-camera-info',
            )
        moved = _in_frame(self.optical_from_depth, frame, picture, settings)
        return register(self.depth, camera, frame.camera, moved)


@dataclasses.dataclass(frozen=True, eq=False)
class PointsTruth:
    """Points of a LiDAR, (N, 3) [m], in a frame whose place is known as that of `DepthTruth`."""

    xyz: npt.NDArray[Any]
    optical_from_sensor: Transform | None = None

    def over(self, frame: Frame, picture: Picture, settings: Settings) -> Depth:
        """See `DepthTruth.over`."""
        moved = _in_frame(self.optical_from_sensor, frame, picture, settings)
        return register_points(self.xyz, frame.camera, moved)


Truth = DepthTruth | PointsTruth


def _in_frame(
    moved: Transform | None, frame: Frame, picture: Picture, settings: Settings
) -> Transform | None:
    """Return the place in the frame's axes, which rectification may have turned."""
    if settings.distortion != 'rectify' or settings.rectified:
        return moved
    turn = transform.of_rotation(picture.calibration.rotation())
    if turn[6] == 1.0:
        return moved
    return turn if moved is None else transform.compose(turn, moved)
