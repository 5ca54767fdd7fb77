# SPDX-License-Identifier: Apache-2.0
"""Read photos, upright and as RGB, and what their EXIF says about the lens."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from depth_pcd_ros.inputs.orientation import upright, upright_size
from depth_pcd_ros.messages.compressed import picture_kind, rgb_from_picture
from depth_pcd_ros.messages.encodings import ImageError, Rgb, to_rgb

# Exif 2.32 (CIPA DC-008): tags and the directory that has the second.
_ORIENTATION, _EXIF, _FOCAL_LENGTH_35MM = 0x0112, 0x8769, 0xA405
_WIDTH, _HEIGHT = 256, 257  # TIFF 6.0
# How HEIF files of still pictures begin, after a length of 4 bytes. Source: ISO/IEC 23008-12.
_HEIF = (b'ftypheic', b'ftypheix', b'ftypheim', b'ftypheis', b'ftypmif1')


# Pillow raises any of these for damaged files.
_DAMAGED = (OSError, ValueError, TypeError, SyntaxError, RuntimeError)
# Pillow would not even tell the orientation of a phone's 200 megapixels. OpenCV has its own limit.
Image.MAX_IMAGE_PIXELS = None


class PhotoHeader(NamedTuple):
    """What is known of a photo without its pixels.

    Attributes:
        size: width and height of the upright photo [px].
        orientation: EXIF's, 1 for a photo that is stored upright.
        focal_35mm: 35 mm equivalent of the focal length [mm], 0 where unknown.
    """

    size: tuple[int, int]
    orientation: int = 1
    focal_35mm: float = 0.0


def read_header(path: Path) -> PhotoHeader | None:
    """Read the size and EXIF of a photo; None where that cannot be done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that the EXIF is damaged
            with path.open('rb') as file, _opened(file) as photo:
                exif, stored = photo.getexif(), photo.size
                is_tiff = isinstance(photo, TiffImageFile)
                if is_tiff:  # newer Pillows turn the size, older ones do not
                    stored = photo.tag_v2[_WIDTH], photo.tag_v2[_HEIGHT]
            orientation = int(exif.get(_ORIENTATION, 1))
            size = upright_size((int(stored[0]), int(stored[1])), orientation)
            focal = float(exif.get_ifd(_EXIF).get(_FOCAL_LENGTH_35MM, 0) or 0)
        return PhotoHeader(size, 1 if is_tiff else orientation, focal)  # OpenCV turns a TIFF
    except (ImageError, *_DAMAGED):
        return None


def read_photo(path: Path) -> tuple[Rgb, PhotoHeader]:
    """Read a photo of any depth and colour model.

    Returns:
        The upright photo, (H, W, 3) uint8, RGB, and what its header says.

    Raises:
        ImageError: `empty_image`, `corrupt_picture`, `no_heif`.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    if not data:
        raise ImageError('empty_image', 'the file is empty')
    kind = picture_kind(data)  # whatever the name says
    if kind:
        rgb = rgb_from_picture(data, kind)
    else:
        rgb = _decode_heif(data) if _is_heif(data) else _decode(data)
    header = read_header(path) or PhotoHeader((rgb.shape[1], rgb.shape[0]))
    rgb = upright(rgb, header.orientation)
    return rgb, header._replace(size=(rgb.shape[1], rgb.shape[0]))


def _decode(data: bytes) -> Rgb:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:  # for one, a size beyond OpenCV's limit
        raise ImageError('corrupt_picture', f'OpenCV cannot decode it: {err}') from err
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise ImageError('corrupt_picture', 'OpenCV cannot decode it as a picture of 8 or 16 bits')
    return to_rgb(np.asarray(picture), 'bgr8')


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
