# SPDX-License-Identifier: Apache-2.0
"""Read photos, upright and as RGB, and what their EXIF says about the lens."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from depth_pcd_ros.convert.orientation import upright, upright_size
from depth_pcd_ros.encodings import ImageError, Rgb, to_rgb
from depth_pcd_ros.pictures import rgb_from_picture

# Exif 2.32 (CIPA DC-008): tags and the directory that has the second.
_ORIENTATION, _EXIF, _FOCAL_LENGTH_35MM = 0x0112, 0x8769, 0xA405
# Their completeness is checked.
_CHECKED = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.jpe': 'jpeg', '.png': 'png', '.webp': 'webp'}


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
            warnings.simplefilter('ignore')  # that the EXIF is damaged, or the photo large
            with Image.open(path) as photo:
                exif, size = photo.getexif(), (int(photo.size[0]), int(photo.size[1]))
                is_tiff = photo.format == 'TIFF'
            orientation = 1 if is_tiff else int(exif.get(_ORIENTATION, 1))  # OpenCV turns a TIFF
            focal = float(exif.get_ifd(_EXIF).get(_FOCAL_LENGTH_35MM, 0) or 0)
        return PhotoHeader(upright_size(size, orientation), orientation, focal)
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):
        return None  # Pillow raises any of these for damaged files


def read_photo(path: Path) -> tuple[Rgb, PhotoHeader]:
    """Read a photo of any depth and colour model.

    Returns:
        The upright photo, (H, W, 3) uint8, RGB, and what its header says.

    Raises:
        ImageError: `empty_image`, `corrupt_picture`.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    if not data:
        raise ImageError('empty_image', 'the file is empty')
    codec = _CHECKED.get(path.suffix.lower())
    rgb = rgb_from_picture(data, codec) if codec else _decode(data)
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
