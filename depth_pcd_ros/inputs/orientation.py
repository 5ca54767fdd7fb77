# SPDX-License-Identifier: Apache-2.0
"""Turn a photo upright as its EXIF says, and its calibration with it."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.calibration import Calibration, CameraError
from depth_pcd_ros.geometry.distortion import canonical

Matrix = tuple[tuple[int, int], tuple[int, int]]

# EXIF's Orientation to the matrix that takes directions in the stored picture (right, down) to
# those in the upright one. Source: CIPA DC-008 (Exif 2.32), tag 274.
_MATRICES = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, -1), (1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, 1), (-1, 0)),
}


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn a picture, (H, W, 3), upright; one with an unknown orientation stays as it is."""
    (right, _), (_, down) = _turned(orientation)
    if _swaps(orientation):
        (_, right), (down, _) = _turned(orientation)
        pixels = pixels.transpose(1, 0, 2)
    return pixels[::down, ::right]


def is_turned(orientation: int) -> bool:
    """Return whether the upright picture differs from the stored one."""
    return _turned(orientation) != _MATRICES[1]


def mirrored(upright_from_stored: Matrix) -> int:
    """EXIF's orientation of a matrix that mirrors, 0 of another."""
    (a, b), (c, d) = upright_from_stored
    found = (number for number, matrix in _MATRICES.items() if matrix == upright_from_stored)
    return next(found, 0) if a * d < b * c else 0


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return width and height of the upright picture [px]."""
    return (size[1], size[0]) if _swaps(orientation) else size


def upright_calibration(calibration: Calibration, orientation: int) -> Calibration:
    """Return the calibration of the upright picture, from that of the stored one.

    With A the turn of the camera's axes and M that of the pixels, a point A X has the pixel
    M K X = (M K A^T) (A X). The tangential coefficients t = (p2, p1) of plumb_bob act as
    t r^2 + 2 x (t x), and those of the thin prism as vectors on r^2 and r^4, so both turn with A.

    Raises:
        CameraError: as `Calibration.of_image`, or `bad_distortion` for a lens with a tilted sensor.
    """
    image = calibration.of_image()
    a = np.array(_turned(orientation), float)  # upright from stored, 2x2
    last = np.array([image.width - 1, image.height - 1])
    turn, move = np.eye(3), np.eye(3)
    turn[:2, :2] = move[:2, :2] = a
    move[:2, 2] = -np.minimum(a, 0.0) @ last
    k, r = (np.array(m).reshape(3, 3) for m in (image.k, image.r))
    p, t = np.array(image.p).reshape(3, 4)[:, :3], np.array(image.p)[3::4]
    p = np.column_stack([move @ p @ turn.T, turn @ t])
    width, height = upright_size((image.width, image.height), orientation)
    return dataclasses.replace(
        image,
        width=width,
        height=height,
        k=tuple((move @ k @ turn.T).ravel().tolist()),
        r=tuple((turn @ r @ turn.T).ravel().tolist()),
        p=tuple(p.ravel().tolist()),
        d=_turned_distortion(image, a),
    )


def _turned_distortion(image: Calibration, a: npt.NDArray[np.float64]) -> tuple[float, ...]:
    polynomial = canonical(image.distortion_model) in ('plumb_bob', 'rational_polynomial')
    if not polynomial or len(image.d) < 4:
        return image.d
    d = np.array(image.d)
    if d[12:].any() and not np.array_equal(a, np.eye(2)):
        raise CameraError(
            'bad_distortion',
            f'the tilt {d[12:].tolist()} of the sensor cannot be turned with the photo: turn the '
            'photo itself upright and calibrate for that',
        )
    d[[3, 2]] = a @ d[[3, 2]]
    if len(d) >= 12:
        d[[8, 10]] = a @ d[[8, 10]]
        d[[9, 11]] = a @ d[[9, 11]]
    return tuple(d.tolist())


def _turned(orientation: int) -> Matrix:
    return _MATRICES.get(orientation, _MATRICES[1])


def _swaps(orientation: int) -> bool:
    return _turned(orientation)[0][0] == 0
