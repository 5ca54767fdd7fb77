# SPDX-License-Identifier: Apache-2.0
"""The pose of the robot when a picture was taken, from the odometry around it."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from depth_pcd_ros.geometry import transform
from depth_pcd_ros.sync.readings import KEPT, StampedReadings, stamp_of

MAX_GAP = 0.5  # [s] between two readings that tell what was between them
MAX_AHEAD = 0.1  # [s] that a picture may be newer than the newest reading
MIN_APART = 0.05  # [s] between two readings that tell how the robot moves on after them
KEPT_LATEST = 2000  # readings at most, where no picture waits for the network


class OdometryReading(NamedTuple):
    """An Odometry, or a transform of /tf: odom_from_base at a time."""

    stamp_ns: int
    frame_id: str
    child_frame_id: str
    odom_from_base: tuple[float, ...]  # x y z [m], qx qy qz qw


class Odometry(StampedReadings[OdometryReading]):
    """The readings of an odometry; so that a recording always gives the same, by stamps alone."""

    def find(self, stamp_ns: int) -> OdometryReading | None:
        """Interpolate between the readings around a time; None where they are too far from it.

        A picture that is a little newer than the newest reading has moved on as in the last
        `MIN_APART` seconds. What is older than a picture and its neighbours is forgotten.
        """
        with self._changed:
            kept = self._of(stamp_ns)
            oldest = stamp_ns - round((MAX_GAP + MAX_AHEAD) * 1e9)
            del kept[: bisect.bisect_left(kept, oldest, key=stamp_of)]
            after = bisect.bisect_left(kept, stamp_ns, key=stamp_of)
            if after < len(kept) and kept[after].stamp_ns == stamp_ns:
                return kept[after]
            if not after:
                return None
            if after < len(kept):
                before, then = kept[after - 1], kept[after]
            else:
                then = kept[-1]
                earlier = then.stamp_ns - round(MIN_APART * 1e9)
                first = bisect.bisect_right(kept, earlier, key=stamp_of)
                if not first or stamp_ns - then.stamp_ns > MAX_AHEAD * 1e9:
                    return None
                before = kept[first - 1]
        if then.stamp_ns - before.stamp_ns > MAX_GAP * 1e9:
            return None
        share = (stamp_ns - before.stamp_ns) / (then.stamp_ns - before.stamp_ns)
        moved = interpolate(before.odom_from_base, then.odom_from_base, share)
        return OdometryReading(stamp_ns, then.frame_id, then.child_frame_id, moved)

    def _insert(self, kept: list[OdometryReading], reading: OdometryReading) -> None:
        """Remember it; of two of one stamp, the later one."""
        at = bisect.bisect_left(kept, reading.stamp_ns, key=stamp_of)
        same = at < len(kept) and kept[at].stamp_ns == reading.stamp_ns
        kept[at : at + same] = [reading]
        del kept[: -KEPT if self._patience else -KEPT_LATEST]


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
    reading: OdometryReading | None,
    camera: str,
    optical_from_base: Sequence[float] | None,
    find: Callable[[str, str], Sequence[float] | None],
) -> tuple[tuple[float, ...] | None, str]:
    """Return where a picture was taken from, or why that is not known.

    Args:
        reading: at its time; None: there is none.
        camera: its optical frame.
        optical_from_base: place of the odometry's child frame in it; None: to be looked up.
        find: looks up the place of the second of two frames in the first.

    Raises:
        ValueError: a quaternion is not of length 1.
    """
    if reading is None:
        return None, 'the odometry has nothing around the picture'
    camera, base = camera.removeprefix('/'), reading.child_frame_id
    if optical_from_base is None and base == camera:
        return reading.odom_from_base, ''
    place = find(camera, base) if optical_from_base is None else optical_from_base
    if place is None:
        return None, (
            f'the odometry is that of frame {base!r}, the picture in {camera!r}: '
            'odometry_transform is not set, and no transform connects them'
        )
    return transform.compose(reading.odom_from_base, transform.invert(place)), ''
