# SPDX-License-Identifier: Apache-2.0
"""Rectification: the raw image of a calibrated camera as an ideal lens would show it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.camera import Camera, Mask, mask, visible_share

MIN_SHOWN = 0.2  # share of the rectified pixels; P of a wide lens shows far beyond the picture
# How far outside the outermost pixel centres a rectified pixel may look [px]: for rounding.
BORDER_TOLERANCE = 0.01
# image_rect, image_rect_color, image_rect/compressed, rect/image: as image_proc and drivers name it
_NAMES = re.compile(r'[/_]rect(ified)?([/_]|$)')


@dataclass(frozen=True, eq=False)
class Rectification:
    """The map from the raw image of a calibration to its rectified one."""

    camera: Camera  # the model of the rectified image
    # the raw pixel that each rectified pixel shows, (H, W) float32
    source_u: npt.NDArray[np.float32]
    source_v: npt.NDArray[np.float32]
    # mask of the rectified pixels that the raw image shows, (H, W), 255 or 0; None where it shows
    # all
    visible: Mask | None

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> Rectification:
        """Compute the maps from K, D, R and P (K where P is all zero).

        A raw ROI gives a rectified image of the same window, as in image_proc.

        Raises:
            CameraError: as `Camera.from_calibration` and `Calibration.rotation`.
        """
        raw = Camera.from_calibration(calibration)
        camera = Camera.from_calibration(calibration.rectified(), rectified=True)
        rectified_from_raw = calibration.rotation()
        last = np.array([raw.width - 1, raw.height - 1]) + BORDER_TOLERANCE
        # Where there is no source: so far outside that remap does not even blend in the border.
        source = np.full((2, camera.height, camera.width), -2.0, np.float32)
        visible = np.empty((camera.height, camera.width), np.bool_)
        for rows, pixels in camera.pixels():
            rays = camera.unproject(pixels)  # HxWx2
            rays = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)  # HxWx3
            shown = raw.project(rays @ rectified_from_raw)  # the transpose, from the right
            visible[rows] = np.all((shown >= -BORDER_TOLERANCE) & (shown <= last), axis=-1)
            np.copyto(source[:, rows], np.moveaxis(shown, -1, 0), 'same_kind', where=visible[rows])
        source.setflags(write=False)
        return cls(camera, source[0], source[1], mask(visible))

    def advice(self) -> str:
        """Say what is probably wrong where it shows hardly anything; '' where it does."""
        share = visible_share(self.visible)
        if share >= MIN_SHOWN:
            return ''
        return (
            f'{share:.0%} of the rectified picture show anything of the raw one: R and P are '
            'probably not those of this camera'
        )

    def rectify(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Rectify an image, (H, W) or (H, W, C), bilinearly; black where there is no source."""
        rectified = cv2.remap(image, self.source_u, self.source_v, cv2.INTER_LINEAR)
        return np.asarray(rectified, np.uint8)


def is_called_rectified(topic: str) -> bool:
    """Return whether the name of an image topic says that its images are rectified."""
    return bool(_NAMES.search(topic))


def rectified_advice(topic: str, rectified: bool) -> str:
    """Say what is probably wrong where images of such a topic are not taken as rectified."""
    if rectified or not is_called_rectified(topic):
        return ''
    return (
        f'images called {topic} are mostly rectified, but rectified is false: K and D are used, '
        'not P'
    )
