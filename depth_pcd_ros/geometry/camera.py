# SPDX-License-Identifier: Apache-2.0
"""The camera model: from pixels to rays and back. No ROS needed.

    >>> from depth_pcd_ros.geometry.camera import Camera
    >>> camera = Camera(640, 480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
    >>> camera.project([[0.5, 0.0, 2.0]])
    array([[450.75, 239.5 ]])

Everything is in the camera's optical frame (REP 103): x right, y down, z forward. The centre of
pixel (u, v) is at the integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration, CameraError, check_stride, resizing
from depth_pcd_ros.geometry.distortion import Lens, canonical, lens

Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
Mask = npt.NDArray[np.uint8]
Number = TypeVar('Number', np.float32, np.uint8)

MIN_VISIBLE = 0.5  # share of the pixels that have a ray; of a lens that fits its D nearly all have
# Pixels at a time, so that intermediate results stay in the processor's cache.
BLOCK_PIXELS = 16384


@dataclass(frozen=True)
class Camera:
    """The model of one image of fixed size.

    Attributes:
        width, height: size of the image [px].
        fx, fy, cx, cy: focal lengths and principal point [px].
        distortion_model: `plumb_bob`, `rational_polynomial`, `equidistant` or empty.
        d: the coefficients of that model.

    Raises:
        CameraError: `bad_camera_size`, `bad_intrinsics`, `bad_calibration`,
            `unknown_distortion_model` or `bad_distortion`.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ''
    d: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers."""
        object.__setattr__(self, 'd', tuple(self.d))
        if self.width <= 0 or self.height <= 0:
            raise CameraError(
                'bad_camera_size', f'the camera has no size: {self.width}x{self.height}'
            )
        intrinsics = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, (*intrinsics, *self.d))):
            raise CameraError(
                'bad_calibration',
                f'not finite: fx, fy, cx, cy = {intrinsics}, D = {list(self.d)}',
            )
        if self.fx <= 0.0 or self.fy <= 0.0:
            raise CameraError(
                'bad_intrinsics', f'fx = {self.fx:g} and fy = {self.fy:g} must be above zero'
            )
        _ = self._lens  # refuses what it does not know

    @classmethod
    def from_calibration(cls, calibration: Calibration, *, rectified: bool = False) -> Camera:
        """Make the camera of the images that a CameraInfo comes with: ROI and binning are applied.

        Args:
            calibration: the numbers of the CameraInfo.
            rectified: the images are rectified: P's left 3x3 and no distortion, instead of K and D.

        Raises:
            CameraError: as `Calibration.check`, `Calibration.of_image` and the constructor.
        """
        calibration.check(rectified=rectified)
        image = calibration.of_image()
        intrinsics = image.intrinsics(rectified=rectified)
        if rectified:
            return cls(image.width, image.height, *intrinsics)
        return cls(image.width, image.height, *intrinsics, image.distortion_model, image.d)

    def check_image_size(self, width: int, height: int) -> None:
        """Refuse an image of another size than the camera's; it is never stretched.

        Raises:
            CameraError: `size_mismatch`.
        """
        if (width, height) != (self.width, self.height):
            raise CameraError(
                'size_mismatch',
                f'image {width}x{height} but CameraInfo {self.width}x{self.height} '
                '(with its ROI and binning)',
            )

    def without_distortion(self) -> Camera:
        """Return the same camera with an ideal lens."""
        return replace(self, distortion_model='', d=())

    def strided(self, n: int) -> Camera:
        """Return the camera of every n-th pixel (0, n, 2n, ...) in both directions.

        Pixel (u, v) of it is pixel (n u, n v) of this one, so the focal lengths and the principal
        point are divided by n, and the size is rounded up.

        Raises:
            ValueError: n below 1.
        """
        check_stride(n)
        return self._spaced(-(-self.width // n), -(-self.height // n), n, n)

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the image resized so that the corner pixels stay where they are.

        Pixel (u, v) of it is pixel (u (W - 1) / (w - 1), v (H - 1) / (h - 1)) of this one: what
        torch calls align_corners. The lens is the same, for its distortion is that of rays.

        Raises:
            ValueError: see `resizing`.
        """
        x, y = resizing(self.width, width), resizing(self.height, height)
        return self._spaced(width, height, x, y)

    def project(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Project points to pixels; NaN for z <= 0 and beyond what the lens model covers.

        u = fx x' + cx and v = fy y' + cy, where (x', y') is (x / z, y / z) distorted.

        Args:
            points: (..., 3), any unit.

        Returns:
            (u, v) [px], (..., 2) float64; not limited to the image.
        """
        points = np.asarray(points, np.float64)
        with np.errstate(all='ignore'):
            z = np.where(points[..., 2] > 0.0, points[..., 2], np.nan)
            x, y = points[..., 0] / z, points[..., 1] / z
            if self._lens is not None:
                xd, yd = self._lens.distort(x.ravel(), y.ravel())
                x, y = xd.reshape(z.shape), yd.reshape(z.shape)
            return np.stack([self.fx * x + self.cx, self.fy * y + self.cy], axis=-1)

    def unproject(self, pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the rays of pixels, on the plane z = 1; NaN where the lens model has no inverse.

        Args:
            pixels: (u, v) [px], (..., 2).

        Returns:
            (x / z, y / z), (..., 2) float64.
        """
        pixels = np.asarray(pixels, np.float64)
        with np.errstate(all='ignore'):
            x = (pixels[..., 0] - self.cx) / self.fx
            y = (pixels[..., 1] - self.cy) / self.fy
            if self._lens is not None:
                xu, yu = self._lens.undistort(x.ravel(), y.ravel())
                x, y = xu.reshape(x.shape), yu.reshape(y.shape)
            return np.stack([x, y], axis=-1)

    @property
    def rays(self) -> npt.NDArray[np.float32]:
        """`unproject` of every pixel, (H, W, 2) float32: both `ray_maps` in one array."""
        return np.stack(self.ray_maps, axis=-1)

    @cached_property
    def ray_maps(self) -> Planes:
        """The rays as two maps, x / z and y / z, (H, W) float32 each, read-only.

        They are computed once and live as long as the camera. With an ideal lens x depends on the
        column only and y on the row: the maps are one row and one column, with a stride of zero.
        That saves reading two maps for each frame, and computing them for each zoom.
        """
        if not self.distorts:
            x = (np.arange(self.width) - self.cx) / self.fx
            y = (np.arange(self.height) - self.cy) / self.fy
            size = self.height, self.width
            return (
                np.broadcast_to(x.astype(np.float32), size),
                np.broadcast_to(y.astype(np.float32)[:, None], size),
            )
        maps = np.empty((2, self.height, self.width), np.float32)
        for rows, pixels in self.pixels():
            maps[:, rows] = np.moveaxis(self.unproject(pixels), -1, 0)
        return _read_only(maps[0]), _read_only(maps[1])

    @cached_property
    def visible(self) -> Mask | None:
        """Mask of the pixels that have a ray, (H, W), 255 or 0; None where all have one."""
        return mask(np.isfinite(self.ray_maps[0])) if self.distorts else None

    @property
    def distorts(self) -> bool:
        """Return whether the lens is not an ideal one."""
        return self._lens is not None

    def pixels(self) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
        """Yield blocks of rows with (u, v) of their pixels, (rows, W, 2)."""
        step = max(1, BLOCK_PIXELS // self.width)
        for top in range(0, self.height, step):
            rows = slice(top, min(top + step, self.height))
            v, u = np.mgrid[rows, 0 : self.width]
            yield rows, np.stack([u, v], axis=-1).astype(np.float64)

    def _spaced(self, width: int, height: int, x: float, y: float) -> Camera:
        """Return the camera of an image whose pixels are x and y of this one's apart."""
        fx, fy, cx, cy = self.fx / x, self.fy / y, self.cx / x, self.cy / y
        return replace(self, width=width, height=height, fx=fx, fy=fy, cx=cx, cy=cy)

    @cached_property
    def _lens(self) -> Lens | None:
        return lens(self.distortion_model, self.d)


def lens_advice(camera: Camera) -> str:
    """Say what is probably wrong where most pixels of a camera have no ray; '' where they have.

    '' also for a fisheye lens, which may leave the corners dark and see behind itself.
    """
    share = visible_share(camera.visible)
    if share >= MIN_VISIBLE or canonical(camera.distortion_model) == 'equidistant':
        return ''
    return (
        f'{1.0 - share:.0%} of the pixels have no ray with D = {list(camera.d)}: it is probably '
        'not that of this lens at this size'
    )


def mask(visible: npt.NDArray[np.bool_]) -> Mask | None:
    """Return a read-only mask, (H, W), 255 or 0; None where all is visible."""
    return None if visible.all() else _read_only(np.where(visible, np.uint8(255), np.uint8(0)))


def visible_share(visible: Mask | None) -> float:
    """Return the share of the pixels that a mask shows, from 0 to 1."""
    return 1.0 if visible is None else float(np.count_nonzero(visible) / visible.size)


def _read_only(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    values.setflags(write=False)
    return values
