# SPDX-License-Identifier: Apache-2.0
"""Triangulate corners from pictures and the motion of the camera between them."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.kernels import DOUBLE, INT, inner, kernel, readonly, writable
from depth_pcd_ros.motion.pose import Pose
from depth_pcd_ros.motion.tracks import Tracked
from depth_pcd_ros.scale.measurement import ScaleError
from depth_pcd_ros.scale.moving import MIN_POINTS, MovingPoints

Array = npt.NDArray[np.float64]

PICTURES = 15  # that a corner is triangulated from, at most
SPACING = 0.03  # m that the camera moves from one of them to the next
MIN_MOVE = 0.01  # m that it moves from one measurement to the next
MIN_PICTURES = 3
MIN_FOUND = 5  # corners in one picture
# Standard deviations, as shares of the depth: of one corner, and of what those of a picture share.
MAX_UNCERTAINTY, MAX_SHARED = 0.05, 0.08
# Pixels of the picture in which corners are followed: by which the rays to a corner may miss it,
# root mean square; noise of one that is followed through many pictures.
MAX_GAP, PIXEL_NOISE = 1.25, 0.25
# Error of the odometry from one picture to another, for which the views are moved: rad, m.
TURN_NOISE, STEP_NOISE = math.radians(0.3), 0.003
# Error of turns left after that; share of a turn by which a focal length or the odometry is off.
TURN_LEFT, TURN_SHARE = math.radians(0.05), 0.02
STEPS = 3  # of Gauss and Newton, for the corners
# Of these pixels, by which a corner may miss to count a quarter, as corners and poses are refined
# in turn: wide first, since poses jump.
TOLERANCES = (6.0, 2.5, 0.75)


class _View(NamedTuple):
    """A picture's pose and the corners in it."""

    pose: Pose
    ids: npt.NDArray[np.int64]  # ascending
    rays: Array  # (N, 2)


class Triangulation:
    """Remembers the corners of the last pictures, and the poses that these were taken from."""

    def __init__(self) -> None:
        self._views: deque[_View] = deque(maxlen=PICTURES)  # without the newest
        self._last: Pose | None = None  # of the last measurement

    def clear(self) -> None:
        """Forget all pictures."""
        self._views.clear()
        self._last = None

    def update(self, tracked: Tracked, camera: Camera, pose: Pose) -> MovingPoints:
        """Triangulate the corners of the next picture.

        Args:
            tracked: its corners.
            camera: its model.
            pose: where it was taken from, by the odometry.

        Raises:
            ScaleError: `no_motion`, `no_parallax` or `few_tracks`: there are not `MIN_POINTS`.
        """
        ids = np.concatenate([tracked.ids, tracked.fresh_ids])
        rays = camera.unproject(np.concatenate([tracked.now, tracked.fresh]))
        seen = np.isfinite(rays).all(axis=1)
        if len(ids) < MIN_POINTS:
            raise ScaleError(
                'few_tracks',
                f'{len(ids)} corners could be followed, expected {MIN_POINTS} or more',
            )
        moved = _distance(self._last, pose) if self._last else math.inf
        if moved < MIN_MOVE:
            raise ScaleError(
                'no_motion',
                f'the camera has moved by {moved:.3f} m, expected {MIN_MOVE} m or more',
            )
        self._last, newest = pose, _View(pose, ids[seen], rays[seen])
        views = [*self._views, newest]
        if not self._views or _distance(self._views[-1].pose, pose) >= SPACING:
            self._views.append(newest)
        if len(views) < MIN_PICTURES:
            raise ScaleError('no_motion', 'the camera has not moved far enough yet')
        points = _triangulate(views, (camera.fx + camera.fy) / 2 / tracked.pixel)
        if len(points.xyz) < MIN_FOUND:
            raise ScaleError(
                'no_parallax',
                f'{len(points.xyz)} corners of {len(ids)} tell their depth to '
                f'{MAX_UNCERTAINTY:.0%}, expected {MIN_FOUND} or more',
            )
        return points


def _distance(a: Pose, b: Pose) -> float:
    return float(np.linalg.norm(a.translation - b.translation))


def _triangulate(views: list[_View], focal: float) -> MovingPoints:
    """Triangulate the corners of the last view from all of them.

    A corner is (a, b, 1) / r in the newest camera. In another one, which is at R, t from it, it is
    along R (a, b, 1) + r t; a, b, r and small changes of R and t are what makes the rays meet the
    corners.
    """
    newest, others = views[-1], views[:-1]
    observed: Array = np.full((len(others), len(newest.ids), 2), np.nan)  # VxNx2
    for i, view in enumerate(others):
        _, mine, its = np.intersect1d(newest.ids, view.ids, True, return_indices=True)
        observed[i, mine] = view.rays[its]
    long = np.isfinite(observed[..., 0]).sum(axis=0) >= MIN_PICTURES
    observed, rays = np.ascontiguousarray(observed[:, long]), newest.rays[long]
    ids = newest.ids[long]
    # newest_from_other, the other way round
    turn: Array = np.stack([v.pose.rotation.T @ newest.pose.rotation for v in others])  # Vx3x3
    step = np.stack(
        [v.pose.rotation.T @ (newest.pose.translation - v.pose.translation) for v in others]
    )  # Vx3
    state = np.column_stack([rays, np.zeros(len(rays))])  # a, b, r; Nx3
    gap, slack = np.empty(len(rays)), np.empty(len(rays))
    for i, pixels in enumerate(TOLERANCES):
        if i:
            turn, step = _moved(observed, turn, step, state, focal, pixels)
        _meet(rays, observed, turn, step, STEPS, pixels / focal, state, gap, slack)
    r = state[:, 2]
    with np.errstate(all='ignore'):
        uncertainty = np.sqrt(slack) * (PIXEL_NOISE / focal) / r
        shared = _shared(observed, turn, step, r)
        good = (r > 0.0) & (gap * focal < MAX_GAP)
        good &= (uncertainty < MAX_UNCERTAINTY) & (shared < MAX_SHARED)
        xyz = np.column_stack([state[:, :2], np.ones(len(state))]) / r[:, None]
    return MovingPoints(ids[good], xyz[good], uncertainty[good], shared[good])


def _shared(observed: Array, turn: Array, step: Array, r: Array) -> Array:
    """Return how far poses that are wrong put the depths off, as a share of them, (N,).

    It is the error of the turn, and of the step, by the step, each for the view of a corner that it
    harms least.
    """
    angle = np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0))  # V
    length = np.linalg.norm(step, axis=1)
    errors = np.stack([(TURN_LEFT + TURN_SHARE * angle) / length, STEP_NOISE / length])  # 2xV
    seen = np.isfinite(observed[..., 0])
    by_turn, by_step = np.where(seen, errors[..., None], np.inf).min(axis=1)
    return np.asarray(np.hypot(by_turn / r, by_step))


def _moved(
    observed: Array, turn: Array, step: Array, state: Array, focal: float, tolerance: float
) -> tuple[Array, Array]:
    """Move each view so that its rays meet the corners, as far as the odometry may be off."""
    trust = PIXEL_NOISE / focal / np.repeat([TURN_NOISE, STEP_NOISE], 3)
    h = np.zeros((len(turn), 6, 6)) + np.diag(trust**2)
    g = np.zeros((len(turn), 6))
    _moves(observed, turn, step, state, tolerance / focal, h, g)
    change = np.linalg.solve(h, g[..., None])  # Vx6x1: of the turn, of the step
    x, y, z = change[:, :3, 0].T
    o = np.zeros_like(x)
    skew = np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(-1, 3, 3)
    by = np.eye(3) + skew + skew @ skew / 2.0  # to the second order
    return np.asarray(by @ turn), np.asarray((by @ step[..., None] + change[:, 3:])[..., 0])


@inner
def _see(turn: Array, step: Array, a: float, b: float, r: float) -> tuple[float, float, float]:
    """Return where a view sees a corner, and its z over that in the newest picture."""
    x = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2] + r * step[0]
    y = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2] + r * step[1]
    z = max(turn[2, 0] * a + turn[2, 1] * b + turn[2, 2] + r * step[2], 1e-3)
    return x / z, y / z, z


@kernel(
    readonly('float64', 2), readonly('float64', 3), readonly('float64', 3), readonly('float64', 2),
    INT, DOUBLE, writable('float64', 2), writable('float64', 1), writable('float64', 1),
)  # fmt: skip
def _meet(
    rays: Array, observed: Array, turn: Array, step: Array, steps: int, tolerance: float,
    state: Array, gap: Array, slack: Array,
) -> None:  # fmt: skip
    """Take Gauss-Newton steps for each corner, weighted as Geman and McClure do."""
    for n in range(rays.shape[0]):
        a, b, r = state[n]
        for iteration in range(steps + 1):
            # the newest picture sees it, too: (a, b)
            h00, h11, h22, h01, h02, h12 = 1.0, 1.0, 1e-9, 0.0, 0.0, 0.0
            g0, g1, g2 = rays[n, 0] - a, rays[n, 1] - b, 0.0
            squares, count = 0.0, 0
            for v in range(observed.shape[0]):
                if np.isnan(observed[v, n, 0]):
                    continue
                x, y, z = _see(turn[v], step[v], a, b, r)
                ex, ey = observed[v, n, 0] - x, observed[v, n, 1] - y
                square = ex * ex + ey * ey
                squares += square
                count += 1
                w = 1.0
                if iteration or r > 0.0:
                    w = (1.0 / (1.0 + square / (tolerance * tolerance))) ** 2
                for k in range(2):
                    p, e = (x, ex) if k == 0 else (y, ey)
                    ja = (turn[v, k, 0] - p * turn[v, 2, 0]) / z
                    jb = (turn[v, k, 1] - p * turn[v, 2, 1]) / z
                    jr = (step[v, k] - p * step[v, 2]) / z
                    h00 += w * ja * ja
                    h01 += w * ja * jb
                    h02 += w * ja * jr
                    h11 += w * jb * jb
                    h12 += w * jb * jr
                    h22 += w * jr * jr
                    g0 += w * ja * e
                    g1 += w * jb * e
                    g2 += w * jr * e
            # r alone first: what a and b leave of it
            determinant = h00 * h11 - h01 * h01
            i00, i01, i11 = h11 / determinant, -h01 / determinant, h00 / determinant
            left = h22 - (h02 * (i00 * h02 + i01 * h12) + h12 * (i01 * h02 + i11 * h12))
            slack[n] = 1.0 / left
            gap[n] = math.sqrt(squares / max(count, 1))
            if iteration < steps:
                c0, c1 = i00 * g0 + i01 * g1, i01 * g0 + i11 * g1
                dr = (g2 - h02 * c0 - h12 * c1) / left
                r += dr
                g0 -= h02 * dr
                g1 -= h12 * dr
                a += i00 * g0 + i01 * g1
                b += i01 * g0 + i11 * g1
        state[n, 0], state[n, 1], state[n, 2] = a, b, r


@kernel(
    readonly('float64', 3), readonly('float64', 3), readonly('float64', 2), readonly('float64', 2),
    DOUBLE, writable('float64', 3), writable('float64', 2),
)  # fmt: skip
def _moves(
    observed: Array, turn: Array, step: Array, state: Array, tolerance: float, h: Array, g: Array
) -> None:
    """Sum up what turns and steps of each view would do to its misses: h x change = g."""
    jacobian = np.zeros((2, 6))
    for v in range(observed.shape[0]):
        for n in range(state.shape[0]):
            if np.isnan(observed[v, n, 0]):
                continue
            x, y, z = _see(turn[v], step[v], state[n, 0], state[n, 1], state[n, 2])
            ex, ey = observed[v, n, 0] - x, observed[v, n, 1] - y
            w = (1.0 / (1.0 + (ex * ex + ey * ey) / (tolerance * tolerance))) ** 2
            near = state[n, 2] / z
            jacobian[0, 0], jacobian[0, 1], jacobian[0, 2] = -x * y, 1.0 + x * x, -y
            jacobian[1, 0], jacobian[1, 1], jacobian[1, 2] = -1.0 - y * y, x * y, x
            jacobian[0, 3], jacobian[0, 5] = near, -x * near
            jacobian[1, 4], jacobian[1, 5] = near, -y * near
            for i in range(6):
                g[v, i] += w * (jacobian[0, i] * ex + jacobian[1, i] * ey)
                for j in range(6):
                    h[v, i, j] += w * (
                        jacobian[0, i] * jacobian[0, j] + jacobian[1, i] * jacobian[1, j]
                    )
