# SPDX-License-Identifier: Apache-2.0
"""Depth that is steady: what was seen before, carried along by the motion of the camera.

Each pixel of a grid keeps a recursive mean of its log depth. A pixel of a new picture is carried
into the picture before, where the mean there says how much farther it was thought to be: that log
ratio, less what all pixels have in common, is mixed in with a weight that grows with the number of
pictures that agreed. The common ratio, a jump of the network's scale, is taken back alike.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import (
    COLOURS,
    DEPTH,
    FLOAT,
    RAYS,
    RGB,
    inner,
    kernel,
    readonly,
    writable,
)
from depth_pcd_ros.motion.pose import Pose

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[Any]

SHORT_SIDE = 240  # of the grid [px]; the corrections are as smooth as what the network sees
GATE = 0.4  # log ratio of the depths above which they are not of the same thing
FLAT = 0.15  # spread of the log depth around a place above which it is at an edge
AROUND = np.ones((5, 5), np.uint8)
COLOUR_GATE = 12  # difference in a channel, of 255, above which it is another thing
MAX_JUMP = 0.3  # log ratio of the common scale above which the view is another one
MIN_AGREEMENT = 0.3  # share of the pixels that must agree, or the view is another one
MIN_SEEN = 0.1  # share of the pixels that must have been in the picture before
NEWTON_STEPS = 2  # from a pixel's own place to where its ray is: motions are small


class Stabilizer:
    """Mixes the depth of each picture with that of those before."""

    def __init__(self) -> None:
        self._camera: Camera | None = None  # of the grid
        self._log_mean: Floats = np.empty((0, 0), np.float32)  # log m
        self._count: Floats = np.empty((0, 0), np.float32)  # pictures that have agreed so far
        # The colours around each pixel, as far as a place may be off by what the depth is.
        self._darkest: Values = np.empty((0, 0, 3), np.uint8)
        self._brightest: Values = self._darkest

    @property
    def agreed(self) -> Floats:
        """How many pictures agree on the last one's depth, itself included: the grid's pixels."""
        return self._count

    def update(
        self,
        depth: Floats,
        rgb: npt.NDArray[np.uint8],
        camera: Camera,
        before_from_now: Pose | None,
        weight: float,
    ) -> bool:
        """Steady the depth of the next picture, in place.

        Args:
            depth: (H, W) float32 m, NaN where there is none.
            rgb: the same pixels, (H, W, 3) uint8.
            camera: their model; another one than before begins anew.
            before_from_now: how the camera has moved; None begins anew.
            weight: most that what was seen before counts, 0 to below 1.

        Returns:
            Whether it was mixed; False where this picture is the first one of a new view.
        """
        n = max(1, round(min(depth.shape) / SHORT_SIDE))
        grid = camera.strided(n) if n > 1 else camera
        z = depth[::n, ::n].copy()
        small = np.ascontiguousarray(rgb if n == 1 else _reduced(rgb, z.shape))
        mixed = False
        count = np.ones_like(z)
        if self._camera == camera and before_from_now is not None:
            ratio, seen = np.full_like(z, np.nan), np.zeros_like(z)
            motion = np.column_stack([*before_from_now]).astype(np.float32, order='C')
            _compare(
                *(z, *grid.ray_maps, _pixels(small), self._log_mean, self._count),
                *(_pixels(self._darkest), _pixels(self._brightest), motion, ratio, seen),
            )
            common = _common(ratio, seen)
            if common is not None:
                factor = np.empty_like(z)
                _mix(ratio, seen, np.float32(common), np.float32(weight), factor, count)
                z *= factor
                depth *= factor if n == 1 else cv2.resize(factor, depth.shape[::-1])
                mixed = True
        self._camera, self._count = camera, count
        self._darkest, self._brightest = cv2.erode(small, AROUND), cv2.dilate(small, AROUND)
        with np.errstate(invalid='ignore', divide='ignore'):
            self._log_mean = np.log(z)
        return mixed


def _reduced(rgb: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(rgb, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _pixels(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    return rgb.view(RGB)[..., 0]


def _common(ratio: Floats, seen: Floats) -> float | None:
    """Return the log ratio that the pixels have in common; None where the view is another one."""
    sample = ratio[::2, ::2]
    known = sample[np.isfinite(sample)]
    inside = np.count_nonzero(seen[::2, ::2])
    if inside < MIN_SEEN * sample.size or len(known) < MIN_AGREEMENT * inside:
        return None
    common = float(np.median(known))
    agree = np.count_nonzero(np.abs(known - common) < GATE)
    if abs(common) > MAX_JUMP or agree < MIN_AGREEMENT * inside:
        return None
    return common


@inner
def _place(x: Values, y: Values, a: float, b: float, u: float, v: float) -> tuple[float, float]:
    """Return the pixel whose ray is (a, b), looked for from (u, v) on by Newton's steps.

    The rays of the pixels around tell the slope, whatever the lens.
    """
    height, width = x.shape
    for _ in range(NEWTON_STEPS):
        i = min(max(round(u), 1), width - 2)
        j = min(max(round(v), 1), height - 2)
        xu, xv = (x[j, i + 1] - x[j, i - 1]) / 2, (x[j + 1, i] - x[j - 1, i]) / 2
        yu, yv = (y[j, i + 1] - y[j, i - 1]) / 2, (y[j + 1, i] - y[j - 1, i]) / 2
        determinant = xu * yv - xv * yu
        dx, dy = a - x[j, i], b - y[j, i]
        u = i + (yv * dx - xv * dy) / determinant
        v = j + (xu * dy - yu * dx) / determinant
    return u, v


@kernel(
    DEPTH, RAYS, RAYS, COLOURS,
    DEPTH, DEPTH, COLOURS, COLOURS, readonly('float32', 2),
    writable('float32', 2), writable('float32', 2),
)  # fmt: skip
def _compare(
    z: Values, x: Values, y: Values, small: Values,
    log_mean: Values, count: Values, darkest: Values, brightest: Values, motion: Values,
    ratio: Values, seen: Values,
) -> None:  # fmt: skip
    """Write the log ratio of the depth before to the depth now where both show the same thing.

    `seen` becomes the number of pictures that the depth before rests on, 0 outside of it; the
    ratio stays NaN where the place was outside, at an edge, or of another colour.
    """
    height, width = z.shape
    for v in range(height):
        for u in range(width):
            p, q, r = z[v, u] * x[v, u], z[v, u] * y[v, u], z[v, u]
            c = motion[2, 0] * p + motion[2, 1] * q + motion[2, 2] * r + motion[2, 3]
            if not c > 0.0:
                continue
            a = (motion[0, 0] * p + motion[0, 1] * q + motion[0, 2] * r + motion[0, 3]) / c
            b = (motion[1, 0] * p + motion[1, 1] * q + motion[1, 2] * r + motion[1, 3]) / c
            s, t = _place(x, y, a, b, u, v)
            if not (0.0 <= s < width - 1 and 0.0 <= t < height - 1):
                continue
            i, j = int(s), int(t)
            m00, m01 = log_mean[j, i], log_mean[j, i + 1]
            m10, m11 = log_mean[j + 1, i], log_mean[j + 1, i + 1]
            ii, jj = int(s + 0.5), int(t + 0.5)
            seen[v, u] = count[jj, ii]
            if not max(max(m00, m01), max(m10, m11)) - min(min(m00, m01), min(m10, m11)) < FLAT:
                continue
            now, low, high = small[v, u], darkest[jj, ii], brightest[jj, ii]
            red, green, blue = float(now.r), float(now.g), float(now.b)
            below = max(low.r - red, max(low.g - green, low.b - blue))
            above = max(red - high.r, max(green - high.g, blue - high.b))
            if max(below, above) > COLOUR_GATE:
                continue
            fu, fv = s - i, t - j
            mean = (1 - fv) * ((1 - fu) * m00 + fu * m01) + fv * ((1 - fu) * m10 + fu * m11)
            ratio[v, u] = mean - np.log(c)


@kernel(DEPTH, DEPTH, FLOAT, FLOAT, writable('float32', 2), writable('float32', 2))
def _mix(
    ratio: Values, seen: Values, common: Any, weight: Any, factor: Values, count: Values
) -> None:
    """Write the factor on each depth, and the number of pictures that its mean rests on."""
    height, width = ratio.shape
    for v in range(height):
        for u in range(width):
            own = ratio[v, u] - common
            correction = weight * common
            if abs(own) < GATE:
                n = seen[v, u]
                share = 1.0 - (own / GATE) ** 4  # falls to 0 at the gate
                correction += min(weight, n / (n + 1.0)) * share * own
                count[v, u] = 1.0 + share * n
            factor[v, u] = np.exp(correction)
