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
    DOUBLE,
    RAYS,
    RGB,
    inner,
    kernel,
    readonly,
    writable,
)
from depth_pcd_ros.motion.pose import Pose

Floats = npt.NDArray[np.float32]
Colours = npt.NDArray[Any]  # of `kernels.RGB`

SHORT_SIDE = 120  # of the grid [px]; the corrections are as smooth as what the network sees
SMALLEST = 8  # side of a grid that can be compared [px]
FLAT = 0.3  # spread of the log depth around a place above which it is at an edge
AROUND = (5, 5)  # pixels of the grid whose mean is compared
# Log ratio of the depths above which they are not of the same thing: where the colour is the same,
# and where it is another one, that is, COLOUR or more apart in a channel, of 255.
SAME_COLOUR_GATE, OTHER_COLOUR_GATE, COLOUR = 1.0, 0.1, 11.0
MAX_COLOUR = 30.0  # difference of colour above which it is another thing, whatever its depth
MAX_JUMP = 0.3  # log ratio of the common scale above which the view is another one
AGREES = 0.4  # log ratio of a pixel that agrees on the view
MIN_AGREEMENT = 0.3  # share of the pixels that must agree, or the view is another one
MIN_SEEN = 0.1  # share of the pixels that must have been in the picture before
# What moves along the view differs little from one picture to the next, but always to one side.
# Running means of the log ratio and of its square, by the share LATEST, tell it from noise: of
# noise, the square of the mean is a small share of the mean square, and never near ONE_SIDED.
LATEST, ONE_SIDED = 0.12, 0.5
NOISE = 0.01  # log ratio that is always noise
# What stands still leans by less than USUAL times the median, or less than LEAST_LEAN: a median,
# since what moves may fill a third of the picture.
USUAL, LEAST_LEAN = 2.3, 0.003
NEWTON_STEPS = 2  # from a pixel's own place to where its ray is: motions are small


class Stabilizer:
    """Mixes the depth of each picture with that of those before."""

    def __init__(self) -> None:
        self._camera: Camera | None = None
        self._grid: Camera  # of every n-th pixel of that
        self._log_mean: Floats = np.empty((0, 0), np.float32)  # log m
        self._count: Floats = np.empty((0, 0), np.float32)  # pictures that have agreed so far
        self._colours: Colours = np.empty((0, 0), RGB)
        self._lean: Floats = np.empty((0, 0), np.float32)  # running mean of the log ratio
        self._square: Floats = np.empty((0, 0), np.float32)  # and of its square
        self._pictures = 0  # of this view so far

    @property
    def agreed(self) -> Floats:
        """Pictures that agree on the last one's depth, itself included, by pixel of the grid."""
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
        same = self._camera == camera
        if not same:
            self._camera, self._grid = camera, camera.strided(n)
        z = depth[::n, ::n].copy()
        colours = _colours(rgb, z.shape)
        common = None
        count, lean, square = np.ones_like(z), np.zeros_like(z), np.zeros_like(z)
        if same and before_from_now is not None and min(z.shape) >= SMALLEST:
            ratio, seen, gate = np.full_like(z, np.nan), np.zeros_like(z), np.zeros_like(z)
            motion = np.column_stack([*before_from_now]).astype(np.float32, order='C')
            _compare(
                *(z, *self._grid.ray_maps, colours, self._log_mean, self._count, self._lean),
                *(self._square, self._colours, motion, ratio, seen, gate, lean, square),
            )
            common = _common(ratio, seen)
        if common is None:
            self._pictures = 0
            count[:], lean[:], square[:] = 1.0, 0.0, 0.0
        else:
            ratio -= np.float32(common)
            lean, square = _means(ratio, lean, square, max(LATEST, 1.0 / self._pictures))
            usual = max(USUAL * float(np.median(np.abs(lean[::2, ::2]))), LEAST_LEAN)
            correction = common * min(weight, self._pictures / (self._pictures + 1.0))
            factor = np.empty_like(z)
            _mix(ratio, seen, gate, lean, square, usual, correction, weight, factor, count)
            z *= factor
            depth *= factor if n == 1 else cv2.resize(factor, depth.shape[::-1])
        self._pictures += 1
        self._count, self._colours, self._lean, self._square = count, colours, lean, square
        with np.errstate(invalid='ignore', divide='ignore'):
            self._log_mean = np.log(z)
        return common is not None


def _colours(rgb: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> Colours:
    """Return the mean colour around each pixel: a place may be off by a pixel or two."""
    small = cv2.resize(rgb, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(small, AROUND)).view(RGB)[..., 0]


def _common(ratio: Floats, seen: Floats) -> float | None:
    """Return the log ratio that the pixels have in common; None where the view is another one."""
    sample = ratio[::2, ::2]
    known = sample[np.isfinite(sample)]
    inside = np.count_nonzero(seen[::2, ::2])
    if inside < MIN_SEEN * sample.size or len(known) < MIN_AGREEMENT * inside:
        return None
    common = float(np.median(known))
    agree = np.count_nonzero(np.abs(known - common) < AGREES)
    if abs(common) > MAX_JUMP or agree < MIN_AGREEMENT * inside:
        return None
    return common


def _means(ratio: Floats, lean: Floats, square: Floats, latest: float) -> tuple[Floats, Floats]:
    """Return the running means of the log ratio and of its square, and of these those around."""
    own = np.nan_to_num(ratio, nan=0.0)
    np.clip(own, -AGREES, AGREES, out=own)
    share = np.float32(latest)
    lean = cv2.blur(lean + share * (own - lean), AROUND)
    square = cv2.blur(square + share * (own * own - square), AROUND)
    return np.asarray(lean), np.asarray(square)


@inner
def _place(x: Floats, y: Floats, a: float, b: float, u: float, v: float) -> tuple[float, float]:
    """Return the pixel whose ray is (a, b), looked for from (u, v) on by Newton's steps.

    The rays of the pixels around tell the slope, whatever the lens.
    """
    height, width = x.shape
    for _ in range(NEWTON_STEPS):
        i = min(max(int(u + 0.5), 1), width - 2)
        j = min(max(int(v + 0.5), 1), height - 2)
        xu, xv = (x[j, i + 1] - x[j, i - 1]) / 2, (x[j + 1, i] - x[j - 1, i]) / 2
        yu, yv = (y[j, i + 1] - y[j, i - 1]) / 2, (y[j + 1, i] - y[j - 1, i]) / 2
        determinant = xu * yv - xv * yu
        dx, dy = a - x[j, i], b - y[j, i]
        u = i + (yv * dx - xv * dy) / determinant
        v = j + (xu * dy - yu * dx) / determinant
    return u, v


@kernel(
    DEPTH, RAYS, RAYS, COLOURS, DEPTH, DEPTH, DEPTH,
    DEPTH, COLOURS, readonly('float32', 2), *[writable('float32', 2)] * 5,
)  # fmt: skip
def _compare(
    z: Floats, x: Floats, y: Floats, colours: Colours,
    log_mean: Floats, count_before: Floats, lean_before: Floats, square_before: Floats,
    colours_before: Colours, motion: Floats,
    ratio: Floats, seen: Floats, gate: Floats, lean: Floats, square: Floats,
) -> None:  # fmt: skip
    """Write the log ratio of the depth before to the depth now where both show the same thing.

    `seen` becomes the number of pictures that the depth before rests on, 0 outside of it; the
    ratio stays NaN where the place was outside, at an edge, or of another colour. `gate` is how
    far the ratio may be off. `lean` and `square` are carried along.
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
            seen[v, u] = count_before[jj, ii]
            lean[v, u], square[v, u] = lean_before[jj, ii], square_before[jj, ii]
            if not max(max(m00, m01), max(m10, m11)) - min(min(m00, m01), min(m10, m11)) < FLAT:
                continue
            now, then = colours[v, u], colours_before[jj, ii]
            red, green, blue = float(now.r) - then.r, float(now.g) - then.g, float(now.b) - then.b
            apart = max(abs(red), max(abs(green), abs(blue)))
            if apart > MAX_COLOUR:
                continue
            same = 1.0 / (1.0 + (apart / COLOUR) ** 4)
            gate[v, u] = OTHER_COLOUR_GATE + (SAME_COLOUR_GATE - OTHER_COLOUR_GATE) * same
            fu, fv = s - i, t - j
            mean = (1 - fv) * ((1 - fu) * m00 + fu * m01) + fv * ((1 - fu) * m10 + fu * m11)
            ratio[v, u] = mean - np.log(c)


@kernel(
    DEPTH, DEPTH, DEPTH, DEPTH, DEPTH,
    DOUBLE, DOUBLE, DOUBLE, writable('float32', 2), writable('float32', 2),
)  # fmt: skip
def _mix(
    ratio: Floats, seen: Floats, gate: Floats, lean: Floats, square: Floats,
    usual: float, common: float, weight: float, factor: Floats, count: Floats,
) -> None:  # fmt: skip
    """Write the factor on each depth, and the number of pictures that its mean rests on."""
    height, width = ratio.shape
    for v in range(height):
        for u in range(width):
            own, correction = ratio[v, u], common
            if abs(own) < gate[v, u]:
                n = seen[v, u]
                one_sided = lean[v, u] ** 2 / (square[v, u] + NOISE**2) / ONE_SIDED
                share = 1.0 - (own / gate[v, u]) ** 4  # falls to 0 at the gate
                share /= 1.0 + (one_sided * lean[v, u] / usual) ** 4
                correction += min(weight, n / (n + 1.0)) * share * own
                count[v, u] = 1.0 + share * n
            factor[v, u] = np.exp(correction)
