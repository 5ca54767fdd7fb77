# SPDX-License-Identifier: Apache-2.0
"""Read photos, upright and as RGB, and what their EXIF says about the lens."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from depth_pcd_ros.inputs.orientation import upright, upright_size
from depth_pcd_ros.messages.compressed import (
    decoded,
    is_deep_grey,
    picture_kind,
    rgb_from_picture,
)
from depth_pcd_ros.messages.encodings import ImageError, Rgb, to_rgb

# Exif 2.32 (CIPA DC-008): the first tag, the directory of the others, and these.
_ORIENTATION, _EXIF, _FOCAL_LENGTH, _FOCAL_LENGTH_35MM = 0x0112, 0x8769, 0x920A, 0xA405
_PIXELS = (0xA002, 0xA003)
_DIGITAL_ZOOM = 0xA404
_FOCAL_PLANE, _FOCAL_PLANE_UNIT = (0xA20E, 0xA20F), 0xA210
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # [mm]; the last two are in use, but not in Exif
_SENSOR_WIDTHS = (1.0, 100.0)  # [mm] that there are
_WIDTH, _HEIGHT = 256, 257  # TIFF 6.0
_CUSTOM_RENDERED, _APPLES_PANORAMA = 0xA401, 6  # the value is not in Exif
# How phones and 360 degree cameras mark a panorama, in the first bytes of a file.
# Source: https://developers.google.com/streetview/spherical-metadata.
_GPANO, _START_BYTES = b'GPano:ProjectionType', 2**20
# How HEIF files of still pictures begin, after a length of 4 bytes. Source: ISO/IEC 23008-12.
_HEIF = (b'ftypheic', b'ftypheix', b'ftypheim', b'ftypheis', b'ftypmif1')


# Pillow raises any of these for damaged files.
_DAMAGED = (OSError, ValueError, TypeError, SyntaxError, RuntimeError)
# Pillow would not even tell the orientation of a phone's 200 megapixels. OpenCV has its own limit.
Image.MAX_IMAGE_PIXELS = None


class PhotoHeader(NamedTuple):
    """The size and lens of a photo, without its pixels."""

    size: tuple[int, int]  # width and height of the upright photo [px]
    orientation: int = 1  # EXIF's, 1 for a photo that is stored upright
    # 35 mm equivalent of the focal length [mm], as EXIF has it; 0 where unknown
    focal_35mm: float = 0.0
    focal_mm: float = 0.0  # the focal length itself [mm], 0 where unknown
    # fx and fy [px] by the resolution of the focal plane, (0, 0) where unknown
    focal_px: tuple[float, float] = (0.0, 0.0)
    pixel_aspect: float = 1.0  # width of a pixel, as a share of its height
    digital_zoom: float = 1.0  # how much was cut off and enlarged, 1 for nothing
    is_panorama: bool = False  # put together of several, or of all around
    may_be_depth: bool = False  # grey of 16 bits in a PNG


def read_header(path: Path) -> PhotoHeader | None:
    """Read the size and EXIF of a photo; None where that cannot be done."""
    try:
        with path.open('rb') as file:
            return _header(file)
    except OSError:
        return None


def _header(file: IO[bytes]) -> PhotoHeader | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that the EXIF is damaged
            with _opened(file) as photo:
                exif, stored = photo.getexif(), photo.size
                is_tiff = isinstance(photo, TiffImageFile)
                if is_tiff:  # newer Pillows turn the size, older ones do not
                    stored = photo.tag_v2[_WIDTH], photo.tag_v2[_HEIGHT]
            orientation = int(_number(exif.get(_ORIENTATION)))
            stored = int(stored[0]), int(stored[1])
            more = exif.get_ifd(_EXIF)
        file.seek(0)
        start = file.read(_START_BYTES)
        return PhotoHeader(
            size=upright_size(stored, orientation),
            orientation=1 if is_tiff else orientation,  # OpenCV turns a TIFF
            focal_35mm=_number(more.get(_FOCAL_LENGTH_35MM)),
            focal_mm=_number(more.get(_FOCAL_LENGTH)),
            focal_px=_by_focal_plane(more, stored, orientation),
            digital_zoom=max(_number(more.get(_DIGITAL_ZOOM)), 1.0),
            is_panorama=_GPANO in start or _number(more.get(_CUSTOM_RENDERED)) == _APPLES_PANORAMA,
            may_be_depth=is_deep_grey(start),
        )
    except (ImageError, *_DAMAGED):
        return None


def read_photo(path: Path) -> tuple[Rgb, PhotoHeader]:
    """Read a photo of any depth and colour model.

    Returns:
        The upright photo, (H, W, 3) uint8, RGB, and what its header says.

    Raises:
        ImageError: `unknown_input`, `empty_image`, `corrupt_picture`, `no_heif`.
        OSError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as err:
        raise ImageError('unknown_input', 'no such file') from err
    if not data:
        raise ImageError('empty_image', 'the file is empty')
    kind = picture_kind(data)  # whatever the name says
    if kind:
        rgb = rgb_from_picture(data, kind)
    else:
        rgb = _decode_heif(data) if _is_heif(data) else to_rgb(decoded(data), 'bgr8')
    header = _header(io.BytesIO(data)) or PhotoHeader((rgb.shape[1], rgb.shape[0]))
    rgb = upright(rgb, header.orientation)
    return rgb, header._replace(size=(rgb.shape[1], rgb.shape[0]))


def _by_focal_plane(
    exif: Mapping[int, Any], stored: tuple[int, int], orientation: int
) -> tuple[float, float]:
    """Return fx and fy [px] of the upright photo, (0, 0) where EXIF has not all that is needed."""
    resolutions = [_number(exif.get(tag)) for tag in _FOCAL_PLANE]
    unit = _UNITS.get(int(_number(exif.get(_FOCAL_PLANE_UNIT))), _UNITS[2])
    pixels = [_number(exif.get(tag)) or side for tag, side in zip(_PIXELS, stored, strict=True)]
    # EXIF has the size that a reduced photo had before
    scales = [side / old for side, old in zip(stored, pixels, strict=True)]
    if min(resolutions) == 0.0 or abs(scales[0] / scales[1] - 1.0) > 0.01:
        return 0.0, 0.0
    if not _SENSOR_WIDTHS[0] <= pixels[0] * unit / resolutions[0] <= _SENSOR_WIDTHS[1]:
        return 0.0, 0.0
    focal = _number(exif.get(_FOCAL_LENGTH))
    fx, fy = (focal * res / unit * scale for res, scale in zip(resolutions, scales, strict=True))
    if not 0.5 < fx / (fy or 1.0) < 2.0:  # pixels are not that far from square
        return 0.0, 0.0
    return (fx, fy) if upright_size((0, 1), orientation) == (0, 1) else (fy, fx)


def _number(value: Any) -> float:
    """Return a number of EXIF; 0 where there is none, as EXIF itself has it of unknown ones."""
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):  # also of 0/0
        return 0.0
    return number if 0.0 < number < math.inf else 0.0


def _decode_heif(data: bytes) -> Rgb:
    try:
        with _opened(io.BytesIO(data)) as photo:
            return np.asarray(photo.convert('RGB'), np.uint8)
    except ImageError:
        raise
    except _DAMAGED as err:
        raise ImageError('corrupt_picture', 'the HEIC is damaged or cut off') from err


def _opened(file: IO[bytes]) -> Image.Image:
    """Open a photo with Pillow; HEIF is upright then, whatever its EXIF says.

    Raises:
        ImageError: `no_heif` for HEIF, where pillow-heif is not installed.
    """
    if _is_heif(file.read(12)):
        try:
            from pillow_heif import register_heif_opener  # no other photo needs it
        except ImportError as err:
            raise ImageError(
                'no_heif',
                f'HEIC needs the Python package pillow-heif ({err}): pip install pillow-heif',
            ) from err
        register_heif_opener()
    file.seek(0)
    return Image.open(file)


def _is_heif(data: bytes) -> bool:
    return data[4:12] in _HEIF
