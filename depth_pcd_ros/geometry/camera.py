# SPDX-License-Identifier: Apache-2.0
"""Camera models: from pixels to rays and back, and rectification. No ROS needed.

    >>> from depth_pcd_ros.geometry.camera import Camera
    >>> camera = Camera(640, 480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
    >>> camera.project([[0.5, 0.0, 2.0]])
    array([[450.75, 239.5 ]])

Everything is in the camera's optical frame (REP 103): x right, y down, z forward. The centre of
pixel (u, v) is at the integers.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration, CameraError, check_stride
from depth_pcd_ros.geometry.distortion import Lens, lens

__all__ = ['Calibration', 'Camera', 'CameraError', 'Rectification']

Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

# Pixels at a time: what is computed on the way stays in the processor's cache.
BLOCK_PIXELS = 16384
# How far outside the outermost pixel centres a rectified pixel may look [px]: for rounding.
BORDER_TOLERANCE = 0.01


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
        lens(self.distortion_model, self.d)  # refuses what it does not know

    @classmethod
    def from_calibration(cls, calibration: Calibration, *, rectified: bool = False) -> Camera:
        """The camera of the images that a CameraInfo comes with: ROI and binning are applied.

        Args:
            calibration: the numbers of the CameraInfo.
            rectified: the images are rectified: P's left 3x3 and no distortion, instead of K and D.

        Raises:
            CameraError: as `Calibration.of_image` and the constructor, or `camera_not_calibrated`.
        """
        return _camera(calibration, rectified)

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
        """The same camera with an ideal lens."""
        return replace(self, distortion_model='', d=())

    def strided(self, n: int) -> Camera:
        """The camera of every n-th pixel (0, n, 2n, ...) in both directions.

        Pixel (u, v) of it is pixel (n u, n v) of this one, so the focal lengths and the principal
        point are divided by n, and the size is rounded up.

        Raises:
            ValueError: n below 1.
        """
        check_stride(n)
        return replace(
            self,
            width=-(-self.width // n),
            height=-(-self.height // n),
            fx=self.fx / n,
            fy=self.fy / n,
            cx=self.cx / n,
            cy=self.cy / n,
        )

    def project(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Pixels of points; NaN for z <= 0 and beyond what the lens model covers.

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
        """Rays of pixels, as points on the plane z = 1; NaN where the lens model has no inverse.

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
        return np.stack(np.broadcast_arrays(*self.ray_maps), axis=-1)

    @property
    def ray_maps(self) -> Planes:
        """The rays as planes x / z and y / z that broadcast to (H, W); computed once per camera.

        With an ideal lens x depends on the column only and y on the row: (1, W) and (H, 1). That
        saves reading two maps for each frame, and computing them for each zoom. Read-only.
        """
        return _planes(self)[0]

    @property
    def visible(self) -> npt.NDArray[np.uint8] | None:
        """Mask of the pixels that have a ray, (H, W), 255 or 0; None where all have one."""
        return _planes(self)[1]

    @property
    def distorts(self) -> bool:
        """Whether the lens is not an ideal one."""
        return self._lens is not None

    @property
    def _lens(self) -> Lens | None:
        return lens(self.distortion_model, self.d)


@dataclass(frozen=True, eq=False)
class Rectification:
    """What turns the raw image of a calibration into its rectified one.

    Attributes:
        camera: the model of the rectified image.
        source_u, source_v: the raw pixel that each rectified pixel shows, (H, W) float32.
        visible: mask of the rectified pixels that the raw image shows, (H, W), 255 or 0; None
            where it shows all.
    """

    camera: Camera
    source_u: npt.NDArray[np.float32]
    source_v: npt.NDArray[np.float32]
    visible: npt.NDArray[np.uint8] | None

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> Rectification:
        """Made once per calibration, from K, D, R and P (K where P is all zero).

        A raw ROI gives a rectified image of the same window, as in image_proc.

        Raises:
            CameraError: as `Camera.from_calibration` and `Calibration.rotation`.
        """
        return _rectification(calibration)

    def rectify(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Rectify an image, (H, W) or (H, W, C), bilinearly; black where there is no source."""
        rectified = cv2.remap(image, self.source_u, self.source_v, cv2.INTER_LINEAR)
        return np.asarray(rectified, np.uint8)


# A zoom lens has another camera for every frame, so only a few are kept.
@functools.lru_cache(maxsize=4)
def _camera(calibration: Calibration, rectified: bool) -> Camera:
    image = calibration.of_image()
    matrix = 'P' if rectified else 'K'
    m = image.p if rectified else image.k
    if not any(m):
        raise CameraError(
            'camera_not_calibrated', f'{matrix} is all zero: the camera is not calibrated'
        )
    if rectified:
        return Camera(image.width, image.height, m[0], m[5], m[2], m[6])
    lens_model = (image.distortion_model, image.d)
    return Camera(image.width, image.height, m[0], m[4], m[2], m[5], *lens_model)


@functools.lru_cache(maxsize=4)
def _planes(camera: Camera) -> tuple[Planes, npt.NDArray[np.uint8] | None]:
    """The rays, and the mask of the pixels that have one."""
    if not camera.distorts:
        x = (np.arange(camera.width) - camera.cx) / camera.fx
        y = (np.arange(camera.height) - camera.cy) / camera.fy
        return (_read_only(x[None]), _read_only(y[:, None])), None
    planes = np.empty((2, camera.height, camera.width), np.float32)
    for rows in _blocks(camera):
        planes[:, rows] = np.moveaxis(camera.unproject(_pixels(camera, rows)), -1, 0)
    return (_read_only(planes[0]), _read_only(planes[1])), _mask(np.isfinite(planes[0]))


def _read_only(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    values = np.ascontiguousarray(values, np.float32)
    values.setflags(write=False)
    return values


@functools.lru_cache(maxsize=2)
def _rectification(calibration: Calibration) -> Rectification:
    raw = Camera.from_calibration(calibration)
    camera = Camera.from_calibration(calibration.rectified(), rectified=True)
    rectified_from_raw = calibration.rotation()
    last = np.array([raw.width - 1, raw.height - 1]) + BORDER_TOLERANCE
    # Where there is no source: so far outside that remap does not even blend in the border.
    source = np.full((2, camera.height, camera.width), -2.0, np.float32)
    visible = np.empty((camera.height, camera.width), np.bool_)
    for rows in _blocks(camera):
        rays = camera.unproject(_pixels(camera, rows))  # HxWx2
        rays = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)  # HxWx3
        pixels = raw.project(rays @ rectified_from_raw)  # the transpose, from the right
        visible[rows] = np.all((pixels >= -BORDER_TOLERANCE) & (pixels <= last), axis=-1)
        np.copyto(source[:, rows], np.moveaxis(pixels, -1, 0), 'same_kind', where=visible[rows])
    source.setflags(write=False)
    return Rectification(camera, source[0], source[1], _mask(visible))


def _blocks(camera: Camera) -> list[slice]:
    step = max(1, BLOCK_PIXELS // camera.width)
    return [slice(top, top + step) for top in range(0, camera.height, step)]


def _pixels(camera: Camera, rows: slice) -> npt.NDArray[np.float64]:
    """(u, v) of every pixel of some rows, (rows, W, 2)."""
    v, u = np.mgrid[rows.start : min(rows.stop, camera.height), 0 : camera.width]
    return np.stack([u, v], axis=-1).astype(np.float64)


def _mask(visible: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8] | None:
    if visible.all():
        return None
    mask = np.where(visible, np.uint8(255), np.uint8(0))
    mask.setflags(write=False)
    return mask
