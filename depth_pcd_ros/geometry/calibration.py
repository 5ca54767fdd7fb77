# SPDX-License-Identifier: Apache-2.0
"""The numbers of a sensor_msgs/CameraInfo, and what ROI, binning and stride make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import FrameError

# Of the width, or the height. A fisheye lens of 220 degrees has 0.26 and an ideal one of 168.6
# degrees has the least; a focal length in millimetres, or as a share of the width, is below.
MIN_FOCAL, MAX_FOCAL = 0.05, 1000.0
MAX_PIXEL_ASPECT = 5.0  # of one side of a pixel to the other; binning makes it 4
# Of the size that has its middle in the principal point to the size of the image, in both
# directions. Lenses are mounted better than that; 1.5 is a calibration of 1080p at 720p.
MAX_SIZE_RATIO = 1.4
MAX_SHIFT = 10.0  # of a rectified image's principal point beyond its border, in image sizes
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class CameraError(FrameError):
    """The numbers of a camera cannot be used, or do not belong to the image."""


@dataclass(frozen=True)
class Calibration:
    """The numbers of one CameraInfo, for the full resolution unless `roi` or binning say otherwise.

    Nothing is checked at first: what is wrong raises a `CameraError` when a camera is made of it.
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
    # `of_image` has applied a ROI: the principal point may be anywhere
    cropped: bool = field(default=False, compare=False)

    def intrinsics(self, *, rectified: bool = False) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy [px] of K, or of P for rectified images."""
        if rectified:
            return self.p[0], self.p[5], self.p[2], self.p[6]
        return self.k[0], self.k[4], self.k[2], self.k[5]

    def check(self, *, rectified: bool = False) -> None:
        """Refuse what no camera has, in K or, for rectified images, in P.

        The principal point of a raw image is inside it. That of a rectified one need not be: see
        stereo cameras that look past each other.

        Raises:
            CameraError: `camera_not_calibrated`, `bad_camera_size`, `bad_calibration` or
                `bad_intrinsics`.
        """
        matrix, other = ('P', 'K') if rectified else ('K', 'P')
        if not any(self.intrinsics(rectified=rectified)[:2]):
            hint = ''
            if any(self.intrinsics(rectified=not rectified)[:2]):
                hint = f'; {other} is not, which rectified: {str(not rectified).lower()} takes'
            raise CameraError(
                'camera_not_calibrated',
                f'{matrix} is all zero: the camera is not calibrated{hint}',
            )
        self._check_size()
        self._check_finite()
        fx, fy, cx, cy = self.intrinsics(rectified=rectified)
        size = f'an image of {self.width}x{self.height}'
        if fx <= 0.0 or fy <= 0.0:
            raise CameraError(
                'bad_intrinsics', f'fx = {fx:g} and fy = {fy:g} in {matrix} must be above zero'
            )
        if max(fx / fy, fy / fx) > MAX_PIXEL_ASPECT:
            raise CameraError(
                'bad_intrinsics',
                f'fx = {fx:g} and fy = {fy:g} in {matrix} are not of one lens: one is more than '
                f'{MAX_PIXEL_ASPECT:g} times the other',
            )
        if not MIN_FOCAL <= min(fx / self.width, fy / self.height) <= MAX_FOCAL:
            raise CameraError(
                'bad_intrinsics',
                f'fx = {fx:g} and fy = {fy:g} in {matrix} are no focal lengths of {size}: expected '
                f'{MIN_FOCAL:g} to {MAX_FOCAL:g} times its width and height, in pixels',
            )
        if self.cropped:
            return
        margin = MAX_SHIFT if rectified else 0.0
        for name, centre, length in (('cx', cx, self.width), ('cy', cy, self.height)):
            if centre == 0.0 or not -margin * length <= centre <= (1.0 + margin) * length:
                raise CameraError(
                    'bad_intrinsics',
                    f'{name} = {centre:g} in {matrix} is no principal point of {size}',
                )

    def size_advice(self, *, rectified: bool = False) -> str:
        """Say what is probably wrong where the principal point is far off in both directions.

        '' for a camera that `check` refuses, and for a ROI.
        """
        _, _, cx, cy = self.intrinsics(rectified=rectified)
        ratios = (2.0 * cx / (self.width or 1), 2.0 * cy / (self.height or 1))
        if self.cropped or not (
            min(ratios) > MAX_SIZE_RATIO or 0.0 < max(ratios) < 1.0 / MAX_SIZE_RATIO
        ):
            return ''
        matrix = 'P' if rectified else 'K'
        return (
            f'cx = {cx:g} and cy = {cy:g} in {matrix} are the middle of an image of about '
            f'{2.0 * cx:.0f}x{2.0 * cy:.0f}, not of {self.width}x{self.height}: the calibration is '
            'probably for another size, and the cloud wrong'
        )

    def image_size(self) -> str:
        """Return the size of its images in words, with what its ROI and binning make it from.

        Raises:
            CameraError: as `of_image`.
        """
        image = self.of_image()
        size, full = f'{image.width}x{image.height}', f'{self.width}x{self.height}'
        parts = []
        if image.cropped and not self.cropped:
            x, y, width, height = self.roi
            parts.append(f'ROI {width}x{height} at ({x}, {y})')
        if max(self.binning_x, self.binning_y) > 1:
            parts.append(f'binning {max(self.binning_x, 1)}x{max(self.binning_y, 1)}')
        return f'{size} ({" and ".join(parts)} of {full})' if parts else size

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
        self._check_size()
        self._check_finite()
        x, y, width, height = self._window()
        binning_x, binning_y = max(self.binning_x, 1), max(self.binning_y, 1)
        if binning_x > width or binning_y > height:
            raise CameraError(
                'bad_binning',
                f'binning {binning_x}x{binning_y} leaves nothing of the image of {width}x{height}',
            )
        apart = binning_x, binning_y
        return replace(
            self._spaced(width // binning_x, height // binning_y, apart, (x, y)),
            binning_x=0,
            binning_y=0,
            roi=(0, 0, 0, 0),
            do_rectify=False,
            cropped=self.cropped or (width, height) != (self.width, self.height),
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
        return image._spaced(-(-image.width // n), -(-image.height // n), (n, n))

    def resized(self, width: int, height: int) -> Calibration:
        """Return the camera of the image resized; see `Camera.resized`. K and P are scaled.

        Raises:
            CameraError: as `of_image`.
            ValueError: see `resizing`.
        """
        image = self.of_image()
        apart = resizing(image.width, width), resizing(image.height, height)
        return image._spaced(width, height, apart)

    def rectified(self) -> Calibration:
        """Return the camera of the rectified image: no D, and for K P's left 3x3 (K if P is zero).

        Raises:
            CameraError: as `of_image`.
        """
        image = self.of_image()
        k = image.k
        p = image.p
        if not any(image.intrinsics(rectified=True)[:2]):
            p = (*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0)
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
        with np.errstate(all='ignore'):  # whatever a driver sends
            orthogonal = np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3)
        if not orthogonal or np.linalg.det(matrix) < 0.0:
            raise CameraError('bad_rotation', f'R is not a rotation: {list(self.r)}')
        return matrix

    def without_distortion(self) -> Calibration:
        """Return the same camera with an ideal lens, whatever its model."""
        return replace(self, distortion_model='', d=())

    def _spaced(
        self,
        width: int,
        height: int,
        apart: tuple[float, float],
        offset: tuple[int, int] = (0, 0),
    ) -> Calibration:
        """Return that of the image that starts at `offset`, whose pixels are `apart`."""
        k, p = (_shifted_scaled(matrix, offset, apart) for matrix in (self.k, self.p))
        return replace(self, width=width, height=height, k=k, p=p)

    def _check_size(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise CameraError(
                'bad_camera_size', f'CameraInfo has no size: {self.width}x{self.height}'
            )

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


def resizing(old: int, new: int) -> float:
    """Return how many pixels of a side one of the resized side spans, the end pixels aligned.

    Raises:
        ValueError: a side of several pixels cannot become one of a single pixel, or the reverse.
    """
    if new == old:
        return 1.0
    if min(old, new) < 2:
        raise ValueError(f'a side of {old} px cannot become one of {new} px')
    return (old - 1) / (new - 1)


def pinhole(fx: float, fy: float, cx: float, cy: float, size: tuple[int, int]) -> Calibration:
    """Return the calibration of an ideal lens; fx, fy, cx, cy and size (width, height) in px."""
    return Calibration(
        width=size[0],
        height=size[1],
        k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
        p=(fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


def of_field_of_view(hfov: float, size: tuple[int, int]) -> Calibration:
    """Return an ideal lens with square pixels and its principal point in the middle.

    Args:
        hfov: horizontal field of view [deg].
        size: width and height of the image [px].
    """
    focal = size[0] / 2.0 / math.tan(math.radians(hfov) / 2.0)
    return pinhole(focal, focal, (size[0] - 1) / 2.0, (size[1] - 1) / 2.0, size)


def _shifted_scaled(
    matrix: tuple[float, ...], offset: tuple[int, int], divisor: tuple[float, float]
) -> tuple[float, ...]:
    """Return K or P of the image that starts at `offset`, whose pixels are `divisor` apart."""
    m = np.array(matrix).reshape(3, -1)  # (3, 3) or (3, 4)
    if m.any():  # all zero means not calibrated and stays so
        m[:2, 2] -= offset
        m[:2] /= np.array(divisor).reshape(2, 1)
    return tuple(m.ravel().tolist())
