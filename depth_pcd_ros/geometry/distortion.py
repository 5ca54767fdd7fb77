# SPDX-License-Identifier: Apache-2.0
"""Lens distortion on the plane z = 1: ideal to distorted coordinates (`distort`) and back.

Every model has a limit: the ideal radius up to which its distorted radius grows. Beyond it the
polynomial folds back, so that one pixel would have several rays and points far outside the view
would land in the image. Both directions answer NaN there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial

from depth_pcd_ros.geometry.calibration import CameraError

Array = npt.NDArray[Any]  # float64

# Rays steeper than this (89.94 degrees) count as having no z = 1 representation: float32, which
# clouds are made of, resolves no finer than 1e-4 there.
MAX_RADIUS = 1e3
# Residual of an inverse, on z = 1: 1e-5 px at a focal length of 10 000 px.
TOLERANCE = 1e-9
MAX_ITERATIONS = 20
TABLE_SIZE = 4096


class Lens(Protocol):
    """Both directions take and give coordinates on z = 1 in arrays of one shape (n,)."""

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Distort ideal coordinates; NaN beyond the limit of the model."""

    def undistort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Undistort distorted coordinates; NaN where the model has no inverse."""


def canonical(model: str) -> str:
    """Return sensor_msgs' own name of a distortion model, whatever its spelling."""
    name = re.sub('[^a-z0-9]+', '_', model.lower()).strip('_')
    return ALIASES.get(name, name)


def lens(model: str, d: tuple[float, ...]) -> Lens | None:
    """Make the lens of a CameraInfo's distortion_model and d; None where it does not distort.

    Zeros at the end of d mean nothing: drivers send more numbers than the model has. An empty d is
    no distortion in any model that is known. All zeros are none in the polynomial models, and in
    unknown ones but those of wide lenses; in the equidistant model they are the ideal fisheye lens,
    as in cv2.fisheye.

    Raises:
        CameraError: `unknown_distortion_model`, `bad_distortion` (an impossible number of
            coefficients, or coefficients too large to compute with).
    """
    name = canonical(model)
    if name not in LENSES:
        if not any(d) and not WIDE.search(name):
            return None
        hint = " (OpenCV's fisheye model is called equidistant)" if name == 'fisheye' else ''
        raise CameraError(
            'unknown_distortion_model',
            f'distortion_model {model!r} is unknown, but D is {list(d)}; {", ".join(LENSES)} are '
            f'supported{hint}; {IGNORE}',
        )
    make, lengths = LENSES[name]
    count = max((n for n in lengths if n <= len(d)), default=0)
    if any(d[count:]) or (d and not count and make is EquidistantLens):
        raise CameraError(
            'bad_distortion',
            f'D has {len(d)} coefficients, {model} takes {" or ".join(map(str, lengths))}: '
            f'{list(d)}; {IGNORE}',
        )
    d = d[:count]
    if not d or (make is PolynomialLens and not any(d)):
        return None
    with np.errstate(all='ignore'):
        return make(d)


class PolynomialLens:
    """plumb_bob and rational_polynomial: radial, tangential, thin prism and tilt terms.

    d is k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]].
    Source: https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html, "Detailed Description".
    """

    def __init__(self, d: tuple[float, ...]) -> None:
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tau_x, tau_y = (*d, *(0.0,) * (14 - len(d)))
        numerator = Polynomial([1.0, k1, k2, k3])  # in s = r^2
        denominator = Polynomial([1.0, k4, k5, k6])
        # d/dr (r N / D) has the sign of N D + 2 s (N' D - N D').
        slope = numerator * denominator + Polynomial([0.0, 2.0]) * (
            numerator.deriv() * denominator - numerator * denominator.deriv()
        )
        self._radial = (k1, k2, k3, k4, k5, k6)
        self._tangential = (p1, p2)
        self._prism = (s1, s2, s3, s4)
        self._tilt = _tilt(tau_x, tau_y)
        self._untilt = np.linalg.inv(self._tilt)
        self._max_s = min(_first_root(slope), _first_root(denominator), MAX_RADIUS**2)
        # Nodes that are uniform in the angle: wide lenses need them near the axis, too.
        angles = np.linspace(0.0, np.arctan(np.sqrt(self._max_s)), TABLE_SIZE + 1)[:-1]
        self._radii = np.tan(angles)
        self._distorted_radii = self._radii * self._factor(self._radii**2)[0]
        if not np.all(np.diff(self._distorted_radii) > 0.0):
            raise CameraError('bad_distortion', f'D is too large to compute with: {list(d)}')

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Distort ideal coordinates; NaN beyond the limit of the model."""
        with np.errstate(all='ignore'):
            xd, yd, _, inside = self._without_tilt(x, y)
            xd, yd = _homography(self._tilt, xd, yd)
            return np.where(inside, xd, np.nan), np.where(inside, yd, np.nan)

    def undistort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Undistort distorted coordinates; NaN where the model has no inverse.

        Newton's method in both coordinates, from the inverse of the radial terms alone, which a
        table over the growing branch gives. A step that leaves the domain is halved, so that it
        cannot end on another branch, and an answer is kept only if it leads back.
        """
        with np.errstate(all='ignore'):
            target_x, target_y = _homography(self._untilt, x, y)
            distorted_radius = np.hypot(target_x, target_y)
            radius = np.interp(distorted_radius, self._distorted_radii, self._radii)
            scale = np.where(distorted_radius > 0.0, radius / distorted_radius, 1.0)
            u, v = target_x * scale, target_y * scale
            last_u, last_v = np.zeros_like(u), np.zeros_like(v)  # the last point inside
            todo = np.arange(u.size)
            for _ in range(MAX_ITERATIONS):
                u0, v0 = u[todo], v[todo]
                ud, vd, (a, b, c, d), inside = self._without_tilt(u0, v0)
                error_x, error_y = ud - target_x[todo], vd - target_y[todo]
                det = a * d - b * c
                step_x = np.where(inside, (d * error_x - b * error_y) / det, 0.5 * (u0 - last_u))
                step_y = np.where(inside, (a * error_y - c * error_x) / det, 0.5 * (v0 - last_v))
                u[todo] -= step_x
                v[todo] -= step_y
                # NaN compares false: what went astray is not followed further.
                going = np.abs(step_x) + np.abs(step_y) > 1e-3 * TOLERANCE
                last_u = np.where(inside, u0, last_u)[going]
                last_v = np.where(inside, v0, last_v)[going]
                todo = todo[going]
                if not todo.size:
                    break
            xd, yd = self.distort(u, v)
            found = _close(xd, x) & _close(yd, y)
            return np.where(found, u, np.nan), np.where(found, v, np.nan)

    def _factor(self, s: Array) -> tuple[Array, Array]:
        """Return the radial factor f(s) = N(s) / D(s) and its derivative by s = r^2."""
        k1, k2, k3, k4, k5, k6 = self._radial
        factor = 1.0 + s * (k1 + s * (k2 + s * k3))
        slope = k1 + s * (2.0 * k2 + s * 3.0 * k3)
        if k4 or k5 or k6:
            denominator = 1.0 + s * (k4 + s * (k5 + s * k6))
            factor = factor / denominator
            slope = (slope - factor * (k4 + s * (2.0 * k5 + s * 3.0 * k6))) / denominator
        return factor, slope

    def _without_tilt(
        self, x: Array, y: Array
    ) -> tuple[Array, Array, tuple[Array, Array, Array, Array], npt.NDArray[np.bool_]]:
        """Apply all terms but the tilt; return their Jacobian and what is in the domain, too."""
        p1, p2 = self._tangential
        s1, s2, s3, s4 = self._prism
        xx, xy, yy = x * x, x * y, y * y
        s = xx + yy
        factor, slope = self._factor(s)
        twice_slope = 2.0 * slope
        xd = x * factor + 2.0 * p1 * xy + p2 * (s + 2.0 * xx)
        yd = y * factor + p1 * (s + 2.0 * yy) + 2.0 * p2 * xy
        a = factor + xx * twice_slope + 2.0 * p1 * y + 6.0 * p2 * x
        b = c = xy * twice_slope + 2.0 * (p1 * x + p2 * y)
        d = factor + yy * twice_slope + 6.0 * p1 * y + 2.0 * p2 * x
        if any(self._prism):
            slope_x, slope_y = 2.0 * s1 + 4.0 * s2 * s, 2.0 * s3 + 4.0 * s4 * s
            xd += s * (s1 + s2 * s)
            yd += s * (s3 + s4 * s)
            a, b, c, d = a + slope_x * x, b + slope_x * y, c + slope_y * x, d + slope_y * y
        # Where the determinant is negative the image is folded over.
        return xd, yd, (a, b, c, d), (s < self._max_s) & (a * d > b * c)


class EquidistantLens:
    """Fisheye: theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8).

    Source: https://docs.opencv.org/4.x/db/d58/group__calib3d__fisheye.html; Kannala and Brandt, "A
    generic camera model and calibration method", 2006.
    """

    def __init__(self, d: tuple[float, ...]) -> None:
        self._growth = Polynomial([1.0, *d])  # theta_d / theta, in theta^2
        self._slope = Polynomial(self._growth.coef * (1.0, 3.0, 5.0, 7.0, 9.0))  # in theta^2
        self._max_theta = min(np.sqrt(_first_root(self._slope)), np.arctan(MAX_RADIUS))
        self._table = np.linspace(0.0, self._max_theta, TABLE_SIZE)
        self._table_d = self._table * self._growth(self._table**2)
        if not np.all(np.diff(self._table_d) > 0.0):
            raise CameraError('bad_distortion', f'D is too large to compute with: {list(d)}')

    def distort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Distort ideal coordinates; NaN beyond the limit of the model."""
        with np.errstate(all='ignore'):
            radius = np.hypot(x, y)
            theta = np.arctan(radius)
            scale = np.where(radius > 0.0, theta * self._growth(theta**2) / radius, 1.0)
            scale = np.where(theta < self._max_theta, scale, np.nan)
            return x * scale, y * scale

    def undistort(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Undistort distorted coordinates; NaN where the model has no inverse.

        Newton's method from a table over the growing branch; kept only if it leads back.
        """
        with np.errstate(all='ignore'):
            theta_d = np.hypot(x, y)
            theta = np.interp(theta_d, self._table_d, self._table, right=np.nan)
            for _ in range(MAX_ITERATIONS):
                squared = theta * theta
                step = (theta * self._growth(squared) - theta_d) / self._slope(squared)
                theta = np.clip(theta - step, 0.0, self._max_theta)
                if not np.any(np.abs(step) > 1e-3 * TOLERANCE):
                    break
            found = (theta < self._max_theta) & _close(theta * self._growth(theta**2), theta_d)
            scale = np.where(theta_d > 0.0, np.tan(theta) / theta_d, 1.0)
            scale = np.where(found, scale, np.nan)
            return x * scale, y * scale


# The names of sensor_msgs/distortion_models.hpp and their possible numbers of coefficients, in any
# spelling of them. Other names, such as fisheye, stand for different models in different drivers.
LENSES: dict[str, tuple[Callable[[tuple[float, ...]], Lens], tuple[int, ...]]] = {
    'plumb_bob': (PolynomialLens, (4, 5)),
    'rational_polynomial': (PolynomialLens, (4, 5, 8, 12, 14)),
    'equidistant': (EquidistantLens, (4,)),
}
# Kalibr's and EuRoC's names of the first, Kalibr's, librealsense's, COLMAP's, Isaac Sim's and
# ORB-SLAM's of the last.
ALIASES = {
    'radtan': 'plumb_bob',
    'radial_tangential': 'plumb_bob',
    'equi': 'equidistant',
    'kannala_brandt4': 'equidistant',
    'opencv_fisheye': 'equidistant',
    'opencvfisheye': 'equidistant',
    'kannalabrandt8': 'equidistant',
}
# Models of lenses that are wide with all their coefficients zero. The others (None, pinhole, Brown
# Conrady) are ideal lenses then; what the coefficients would mean is not known here.
WIDE = re.compile(
    'fish|theta|kannala|kb4|spher|omni|mei|unified|eucm|ocam|fov|atan|equi|^ds$|'
    'cylind|pano|stereogr|orthogr'
)
IGNORE = 'distortion: ignore takes the lens for an ideal one'


def _close(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    return np.abs(a - b) <= TOLERANCE * (1.0 + np.abs(b))


def _first_root(polynomial: Polynomial) -> float:
    """Return the smallest positive root of a polynomial that is 1 at 0, or inf."""
    if not np.isfinite(polynomial.coef).all():
        raise CameraError('bad_distortion', 'D is too large to compute with')
    # With its coefficients reversed it has the reciprocals for roots, and 1 for the highest
    # coefficient: well conditioned where those of the lens nearly vanish.
    reciprocals = np.roots(polynomial.coef)
    # A double root, where it only touches zero, comes out as a complex pair and does not count.
    real = reciprocals.real[reciprocals.imag == 0.0]
    return float(1.0 / np.max(real, initial=0.0))


def _tilt(tau_x: float, tau_y: float) -> Array:
    """Return the homography (3, 3) of a tilted sensor, as OpenCV's computeTiltProjectionMatrix."""
    cos_x, sin_x, cos_y, sin_y = np.cos(tau_x), np.sin(tau_x), np.cos(tau_y), np.sin(tau_y)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cos_x, sin_x], [0.0, -sin_x, cos_x]])
    about_y = np.array([[cos_y, 0.0, -sin_y], [0.0, 1.0, 0.0], [sin_y, 0.0, cos_y]])
    r = about_y @ about_x
    onto_z = np.array([[r[2, 2], 0.0, -r[0, 2]], [0.0, r[2, 2], -r[1, 2]], [0.0, 0.0, 1.0]])
    return onto_z @ r


def _homography(h: Array, x: Array, y: Array) -> tuple[Any, Any]:
    if np.array_equal(h, np.eye(3)):
        return x, y
    w = h[2, 0] * x + h[2, 1] * y + h[2, 2]
    return (
        (h[0, 0] * x + h[0, 1] * y + h[0, 2]) / w,
        (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / w,
    )
