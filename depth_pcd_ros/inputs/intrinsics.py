# SPDX-License-Identifier: Apache-2.0
"""Find the intrinsics of a file's pictures, and fit them to their size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.geometry.calibration import Calibration, CameraError, pinhole
from depth_pcd_ros.inputs.orientation import is_turned, upright_calibration, upright_size
from depth_pcd_ros.inputs.photos import PhotoHeader

# Diagonal of the 36 mm x 24 mm film that a 35 mm equivalent focal length is for.
# Source: CIPA DCG-001, Guideline for Noting Digital Camera Specifications in Catalogs.
FILM_DIAGONAL = math.hypot(36.0, 24.0)  # [mm]
# From fisheye to the longest zoom; some cameras write 1 or 65535 for unknown.
MIN_35MM, MAX_35MM = 5.0, 5000.0  # [mm]
SENSORS, SHAPE_TOLERANCE = (4.0 / 3.0, 3.0 / 2.0), 0.03  # of phones, of cameras: long by short
# Aspect ratios that differ by more are not taken for one that was rounded to whole pixels.
MAX_ROUNDING = 0.005
COMMAND_LINE = (
    '--camera-info FILE (a calibration); --fx, --fy, --cx and --cy [px]; --hfov DEG; or --f35 MM'
)
WAYS = (
    f'{COMMAND_LINE}; a photo may have its focal length in its EXIF, a recording has a CameraInfo '
    'topic'
)
NONE = 'no intrinsics'

Say = Callable[[str], None]


class IntrinsicsError(DepthPcdError):
    """The intrinsics given cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Intrinsics:
    """The intrinsics of the command line: at most one of these.

    Attributes:
        calibration: numbers for one size; width and height are zero where no size was given.
        origin: the option that they come from, for messages.
        hfov: horizontal field of view [deg], 0 where not given; for pictures whose EXIF has none.
        f35: 35 mm equivalent of the focal length [mm], 0 where not given; for the same.
        forced: hfov and f35 go before EXIF.
        upright: numbers that fit a picture both as it is stored and as it is shown, as that of a
            phone held upside down, are for what is shown. Otherwise they are the sensor's.
    """

    calibration: Calibration | None = None
    origin: str = ''
    hfov: float = 0.0
    f35: float = 0.0
    forced: bool = False
    upright: bool = False

    @property
    def given(self) -> bool:
        """Return whether the command line has intrinsics."""
        return self.calibration is not None or max(self.hfov, self.f35) > 0.0

    @property
    def lacks_size(self) -> bool:
        """Return whether the numbers are for a size that was not given."""
        return self.calibration is not None and not self.calibration.width

    def with_size(self, size: tuple[int, int], why: str) -> Intrinsics:
        """Return the same for upright pictures of this size [px], and why it is this."""
        if self.calibration is None:
            return self
        calibration = dataclasses.replace(self.calibration, width=size[0], height=size[1])
        return dataclasses.replace(
            self, calibration=calibration, origin=f'{self.origin} ({why})', upright=True
        )

    def fitted(self, picture: PhotoHeader, say: Say) -> Calibration:
        """Return the calibration of an upright picture.

        Args:
            picture: its size, orientation and EXIF focal length.
            say: gets whatever was not given for just this size.

        Raises:
            CameraError: `no_intrinsics`; `size_mismatch` for another aspect ratio; or as
                `upright_calibration`.
        """
        if self.lacks_size:
            return self.with_size(picture.size, 'as the size of the picture').fitted(picture, say)
        if self.calibration is not None:
            return self._scaled(self.calibration, picture, say)
        if picture.is_panorama and not self.forced:
            raise CameraError(
                'no_intrinsics',
                'it is a panorama, as its metadata say, and no picture of one lens: convert the '
                'photos that it is made of (--force-intrinsics with --hfov or --f35 takes it for '
                'one)',
            )
        fx, fy, how = focal_of_exif(picture)
        if self.given and (self.forced or not fx):
            fx, fy, how = self._focal(picture)
        elif not fx:
            raise CameraError('no_intrinsics', f'{how}: give {WAYS}')
        elif self.given:
            given = f'--hfov {self.hfov:g}' if self.hfov else f'--f35 {self.f35:g}'
            say(f'{given} is for pictures without a focal length in EXIF; all: --force-intrinsics')
        width, height = picture.size
        focal = f'fx = fy = {fx:.1f}' if fx == fy else f'fx = {fx:.1f}, fy = {fy:.1f}'
        say(f'{how}, which is {focal} px at {width}x{height}; principal point in the middle')
        return pinhole(fx, fy, (width - 1) / 2.0, (height - 1) / 2.0, picture.size)

    def _focal(self, picture: PhotoHeader) -> tuple[float, float, str]:
        """Return fx and fy [px] by `hfov` or `f35`, and how."""
        width, height = picture.size
        aspect = picture.pixel_aspect
        if self.hfov:
            fx = width / 2.0 / math.tan(math.radians(self.hfov) / 2.0)
            how = f'--hfov {self.hfov:g} across the upright picture'
            if height > width:
                how += ', which is taller than wide (--f35 does not depend on that)'
            return fx, fx * aspect, how
        fy = by_35mm(self.f35, (width * aspect, height))
        return fy / aspect, fy, f'--f35 {self.f35:g} along the diagonal of the picture'

    def _scaled(self, calibration: Calibration, picture: PhotoHeader, say: Say) -> Calibration:
        size, given = picture.size, (calibration.width, calibration.height)
        fits = _same_shape(given, size)
        stored = is_turned(picture.orientation) and _same_shape(
            given, upright_size(size, picture.orientation)
        )
        if stored and not (fits and self.upright):
            calibration = upright_calibration(calibration, picture.orientation)
            say(f'{self.origin} is turned upright with the photo (EXIF orientation)')
        elif not fits:
            raise CameraError(
                'size_mismatch',
                f'the picture is {size[0]}x{size[1]}, but {self.origin} is for '
                f'{calibration.width}x{calibration.height}, another aspect ratio',
            )
        if (calibration.width, calibration.height) != size:
            say(
                f'{self.origin} is for {calibration.width}x{calibration.height} and scaled to '
                f'{size[0]}x{size[1]}'
            )
            calibration = resized(calibration, size)
        if advice := calibration.size_advice():
            say(f'{self.origin}: {advice}')
        return calibration


def focal_of_exif(picture: PhotoHeader) -> tuple[float, float, str]:
    """Return fx and fy [px] and how they follow from EXIF; zeros and why not where they do not."""
    f35, mm = picture.focal_35mm, picture.focal_mm
    zoom = picture.digital_zoom  # some cameras write the focal length with it, some without
    doubt = f', perhaps without its digital zoom of {zoom:g}' if zoom > 1.0 else ''
    if MIN_35MM <= f35 <= MAX_35MM:
        focal = by_35mm(f35, picture.size)
        doubt = _cut_out(picture.size) + doubt
        return focal, focal, f'EXIF: 35 mm equivalent focal length {f35:g} mm{doubt}'
    if all(picture.focal_px):
        how = f'EXIF: focal length {mm:g} mm at the resolution of the focal plane'
        return *picture.focal_px, f'{how}{doubt}'
    if f35:
        expected = f'expected {MIN_35MM:g} to {MAX_35MM:g}'
        return 0.0, 0.0, f'EXIF has a 35 mm equivalent focal length of {f35:g} mm, {expected}'
    if mm:
        why = 'neither its 35 mm equivalent nor the resolution of the focal plane'
        return 0.0, 0.0, f'EXIF has the focal length, {mm:g} mm, but {why}'
    return 0.0, 0.0, NONE


def _cut_out(size: tuple[int, int]) -> str:
    """Say how far the focal length is off where a phone has cut a shape out of its sensor's.

    EXIF keeps that of the whole picture then, whose longer or shorter side is still there.
    """
    shape = max(size) / min(size)
    if any(abs(shape / sensor - 1.0) < SHAPE_TOLERANCE for sensor in SENSORS):
        return ''
    phone = SENSORS[0]
    kept = (phone, 1.0) if shape < phone else (shape, shape / phone)
    more = math.hypot(*kept) / math.hypot(shape, 1.0) - 1.0
    return f' ({100.0 * more:.0f} % more, if it is cut out of 4:3)'


def by_35mm(f35: float, size: tuple[float, float]) -> float:
    """Return the focal length [px] of a picture of square pixels, from its 35 mm equivalent."""
    return f35 * math.hypot(*size) / FILM_DIAGONAL


def resized(calibration: Calibration, size: tuple[int, int]) -> Calibration:
    """Return the calibration of the same picture resized to another width and height [px].

    Pixel centres are integers, so the edge of the picture is at -1/2 and c' = (c + 1/2) s - 1/2.
    """
    image = calibration.of_image()
    sx, sy = size[0] / image.width, size[1] / image.height
    scale = np.array([[sx, 0.0, (sx - 1.0) / 2.0], [0.0, sy, (sy - 1.0) / 2.0], [0.0, 0.0, 1.0]])
    k, p = np.array(image.k).reshape(3, 3), np.array(image.p).reshape(3, 4)
    return dataclasses.replace(
        image,
        width=size[0],
        height=size[1],
        k=tuple((scale @ k).ravel().tolist()),
        p=tuple((scale @ p).ravel().tolist()),
    )


def _same_shape(given: tuple[int, int], size: tuple[int, int]) -> bool:
    """Return whether one is the other resized, both sides rounded to whole pixels."""
    large, small = (given, size) if given[0] >= size[0] else (size, given)
    difference = abs(large[1] * small[0] - small[1] * large[0])
    return 2 * difference <= sum(large) and difference <= MAX_ROUNDING * large[1] * small[0]
