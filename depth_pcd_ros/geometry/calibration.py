# SPDX-License-Identifier: Apache-2.0
"""The numbers of a sensor_msgs/CameraInfo, and what ROI, binning and stride make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import FrameError

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class CameraError(FrameError):
    """The numbers of a camera cannot be used, or do not belong to the image."""


@dataclass(frozen=True)
class Calibration:
    """The numbers of one CameraInfo, for the full resolution unless `roi` or binning say otherwise.

    Nothing is checked here: what is wrong raises a `CameraError` when a camera is made of it.
    Source: https://docs.ros.org/en/rolling/p/sensor_msgs/msg/CameraInfo.html.
    """

    width: int  # [px]
    height: int  # [px]
    k: tuple[float, ...]  # 3x3, row-major: the raw image [px]
    distortion_model: str = ''
    d: tuple[float, ...] = ()
    r: tuple[float, ...] = IDENTITY  # 3x3, row-major: rectified from raw
    p: tuple[float, ...] = (0.0,) * 12  # 3x4, row-major: the rectified image [px]
    binning_x: int = 0  # 0 is 1
    binning_y: int = 0  # 0 is 1
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)  # x_offset, y_offset, width, height [px]
    do_rectify: bool = False  # of the ROI; carried along, see `of_image`

    def of_image(self) -> Calibration:
        """Return the camera at the size of its images: ROI and binning applied to K and P.

        c' = (c - offset) / binning and f' = f / binning, as in image_geometry's
        PinholeCameraModel, the reference for CameraInfo: no half pixel is added for the centre of
        a binned pixel, what binning leaves over of a row or a column is no pixel, and P is moved by
        the raw ROI whatever `do_rectify` says.

        Raises:
            CameraError: `bad_camera_size`, `bad_calibration` (a non-finite number), `bad_roi`,
                `bad_binning`.
        """
        self._check_finite()
        if self.width <= 0 or self.height <= 0:
            raise CameraError(
                'bad_camera_size', f'CameraInfo has no size: {self.width}x{self.height}'
            )
        x, y, width, height = self._window()
        binning_x, binning_y = max(self.binning_x, 1), max(self.binning_y, 1)
        if binning_x > width or binning_y > height:
            raise CameraError(
                'bad_binning',
                f'binning {binning_x}x{binning_y} leaves nothing of the image of {width}x{height}',
            )
        return replace(
            self,
            width=width // binning_x,
            height=height // binning_y,
            k=_shifted_scaled(self.k, (x, y), (binning_x, binning_y)),
            p=_shifted_scaled(self.p, (x, y), (binning_x, binning_y)),
            binning_x=0,
            binning_y=0,
            roi=(0, 0, 0, 0),
            do_rectify=False,
        )

    def strided(self, n: int) -> Calibration:
        """Return the camera of every n-th pixel in both directions; see `Camera.strided`.

        K and P are scaled, because readers of depth/camera_info use them as they are.

        Raises:
            CameraError: as `of_image`.
            ValueError: n below 1.
        """
        check_stride(n)
        image = self.of_image()
        return replace(
            image,
            width=-(-image.width // n),
            height=-(-image.height // n),
            k=_shifted_scaled(image.k, (0, 0), (n, n)),
            p=_shifted_scaled(image.p, (0, 0), (n, n)),
        )

    def rectified(self) -> Calibration:
        """Return the camera of the rectified image: no D, and for K P's left 3x3 (K if P is zero).

        Raises:
            CameraError: as `of_image`.
        """
        image = self.of_image()
        k = image.k
        p = image.p if any(image.p) else (*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0)
        return replace(
            image,
            distortion_model='plumb_bob',
            d=(0.0,) * 5,
            k=(*p[0:3], *p[4:7], *p[8:11]),
            r=IDENTITY,
            p=p,
        )

    def rotation(self) -> npt.NDArray[np.float64]:
        """Return R as a matrix, (3, 3); all zero, as some drivers leave it, is the identity.

        Raises:
            CameraError: `bad_rotation`.
        """
        matrix = np.array(self.r).reshape(3, 3) if any(self.r) else np.eye(3)
        if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) or np.linalg.det(matrix) < 0.0:
            raise CameraError('bad_rotation', f'R is not a rotation: {list(self.r)}')
        return matrix

    def without_distortion(self) -> Calibration:
        """Return the same camera with an ideal lens, whatever its model."""
        return replace(self, distortion_model='', d=())

    def _check_finite(self) -> None:
        for name in ('k', 'd', 'r', 'p'):
            numbers = getattr(self, name)
            if not all(map(math.isfinite, numbers)):
                raise CameraError(
                    'bad_calibration', f'{name.upper()} is not finite: {list(numbers)}'
                )

    def _window(self) -> tuple[int, int, int, int]:
        """Return the ROI in full-resolution pixels: x_offset, y_offset, width, height."""
        if not any(self.roi):
            return 0, 0, self.width, self.height
        x, y, width, height = self.roi
        if (
            min(x, y) < 0
            or min(width, height) <= 0
            or x + width > self.width
            or y + height > self.height
        ):
            raise CameraError(
                'bad_roi',
                f'ROI {width}x{height} at ({x}, {y}) is empty or outside the sensor of '
                f'{self.width}x{self.height}',
            )
        return self.roi


def check_stride(n: int) -> None:
    """Refuse a stride below 1 with a ValueError."""
    if n < 1:
        raise ValueError(f'stride is {n}, must be 1 or more')


def _shifted_scaled(
    matrix: tuple[float, ...], offset: tuple[int, int], divisor: tuple[int, int]
) -> tuple[float, ...]:
    """Return K or P of the image that starts at `offset` and has every `divisor`-th pixel."""
    m = np.array(matrix).reshape(3, -1)  # (3, 3) or (3, 4)
    if m.any():  # all zero means not calibrated and stays so
        m[:2, 2] -= offset
        m[:2] /= np.array(divisor).reshape(2, 1)
    return tuple(m.ravel().tolist())
