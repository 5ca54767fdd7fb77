# SPDX-License-Identifier: Apache-2.0
"""The pose of the robot when a picture was taken, from the odometry around it."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from depth_pcd_ros.geometry import transform
from depth_pcd_ros.sync.readings import JUMP_BACK, KEPT

MAX_GAP = 0.5  # [s] between two readings that tell what was between them
MAX_AHEAD = 0.1  # [s] that a picture may be newer than the newest reading


class OdometryReading(NamedTuple):
    """An Odometry, or a transform of /tf: odom_from_base at a time."""

    stamp_ns: int
    frame_id: str
    child_frame_id: str
    odom_from_base: tuple[float, ...]  # x y z [m], qx qy qz qw


class Odometry:
    """The readings of an odometry by their stamps; safe to use from several threads.

    Args:
        patience: how long a picture waits for the first reading newer than itself [s]; so that
            a recording always gives the same.
    """

    def __init__(self, patience: float = 0.0) -> None:
        self._patience = patience
        self._readings: list[OdometryReading] = []  # by stamp
        self._changed = threading.Condition()
        self._vain = False  # the last wait was, and nothing has come since

    def add(self, reading: OdometryReading) -> None:
        """Remember a reading; where time has jumped back, those before go."""
        with self._changed:
            kept = self._readings
            if kept and kept[-1].stamp_ns - reading.stamp_ns > JUMP_BACK * 1e9:
                kept.clear()
            bisect.insort(kept, reading, key=_stamp)
            del kept[:-KEPT]
            self._vain = False
            self._changed.notify_all()

    def complete(self, stamp_ns: int) -> bool:
        """Return whether there is a reading at this time or after it."""
        return bool(self._readings) and self._readings[-1].stamp_ns >= stamp_ns

    def find(self, stamp_ns: int) -> OdometryReading | None:
        """Interpolate between the readings around a time; None where they are too far from it.

        A picture that is a little newer than the newest reading has moved on as between the last
        two.
        """
        with self._changed:
            if self._patience and not self._vain:
                self._vain = not self._changed.wait_for(
                    lambda: self.complete(stamp_ns), self._patience
                )
            after = bisect.bisect_left(self._readings, stamp_ns, key=_stamp)
            if after < len(self._readings) and self._readings[after].stamp_ns == stamp_ns:
                return self._readings[after]
            if not after:
                return None
            if after == len(self._readings):
                if after < 2 or stamp_ns - self._readings[-1].stamp_ns > MAX_AHEAD * 1e9:
                    return None
                after -= 1
            before, then = self._readings[after - 1], self._readings[after]
        if then.stamp_ns - before.stamp_ns > MAX_GAP * 1e9:
            return None
        share = (stamp_ns - before.stamp_ns) / (then.stamp_ns - before.stamp_ns)
        moved = interpolate(before.odom_from_base, then.odom_from_base, share)
        return OdometryReading(stamp_ns, then.frame_id, then.child_frame_id, moved)


def interpolate(a: Sequence[float], b: Sequence[float], share: float) -> tuple[float, ...]:
    """Return the transform that is `share` of the way from a to b, beyond b above 1.

    The position lies on a straight line; the rotation turns evenly about one axis (slerp).
    """
    place = np.array(a[:3]) + share * (np.array(b[:3]) - np.array(a[:3]))
    p, q = np.array(a[3:]), np.array(b[3:])
    p, q = p / np.linalg.norm(p), q / np.linalg.norm(q)
    if p @ q < 0.0:  # the same rotation, the shorter way round
        q = -q
    angle = float(np.arccos(min(p @ q, 1.0)))
    if angle < 1e-6:
        turned = p + share * (q - p)
    else:
        turned = (np.sin((1.0 - share) * angle) * p + np.sin(share * angle) * q) / np.sin(angle)
    turned /= np.linalg.norm(turned)
    return (*place.tolist(), *turned.tolist())


def odom_from_camera(
    reading: OdometryReading, optical_from_base: Sequence[float]
) -> tuple[float, ...]:
    """Return where the camera was; `optical_from_base` is the place of the child frame in it.

    Raises:
        ValueError: a quaternion is not of length 1.
    """
    return transform.compose(reading.odom_from_base, transform.invert(optical_from_base))


def _stamp(reading: OdometryReading) -> int:
    return reading.stamp_ns
