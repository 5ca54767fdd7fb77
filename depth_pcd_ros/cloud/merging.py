# SPDX-License-Identifier: Apache-2.0
"""One cloud of the newest points of several cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.geometry import transform

Floats = npt.NDArray[np.float32]


class _Newest(NamedTuple):
    stamp_ns: int
    points: Floats  # (N, 3 or 4), in the common frame


def valid_points_in(frame_from_optical: Sequence[float], points: Floats) -> Floats:
    """Return the valid ones of a camera's points in another frame.

    Args:
        frame_from_optical: x y z [m] qx qy qz qw.
        points: (..., 3 or 4) float32: x, y, z [m], NaN where invalid, and perhaps the colour.

    Returns:
        (N, 3 or 4) float32, in memory of its own.

    Raises:
        ValueError: the quaternion is not of length 1.
    """
    rotation, translation = transform.split(frame_from_optical)
    flat = points.reshape(-1, points.shape[-1])
    valid = flat[np.isfinite(flat[:, 2])]
    valid[:, :3] = valid[:, :3] @ rotation.T.astype(np.float32) + translation.astype(np.float32)
    return valid


class Merging:
    """Collects points in a common frame, and says when a merged cloud is due.

    That is when each camera whose points are recent has given new ones since the last merged cloud,
    or one of them has given new ones twice: so often as the fastest camera at most.
    """

    def __init__(self) -> None:
        self._newest: dict[str, _Newest] = {}
        self._fresh: set[str] = set()  # those with new points since the last merged cloud

    def add(
        self, camera: str, stamp_ns: int, points: Floats, *, timeout: float, now_ns: int
    ) -> tuple[int, list[Floats]] | None:
        """Take the points of a camera.

        Args:
            camera: its name.
            stamp_ns: of its picture.
            points: as `valid_points_in` returns them.
            timeout: how much older than the newest points others may be [s].
            now_ns: what the clock says; stamps that are ahead of it by more than `timeout` are
                not taken for the newest where there are others.

        Returns:
            The newest stamp and the points of each camera, (N, 4), or (N, 3) where one of them has
            no colours; None where it is not due.
        """
        before = self._newest.get(camera)
        if before is not None and stamp_ns < before.stamp_ns:  # a recording begins again
            self._newest.clear()
            self._fresh.clear()
        self._newest[camera] = _Newest(stamp_ns, points)
        span = int(timeout * 1e9)
        stamps = [one.stamp_ns for one in self._newest.values()]
        newest = max([stamp for stamp in stamps if stamp <= now_ns + span] or stamps)
        recent = {
            name: one for name, one in self._newest.items() if abs(newest - one.stamp_ns) <= span
        }
        if camera not in recent:
            return None
        due = camera in self._fresh
        self._fresh.add(camera)
        if not due and not recent.keys() <= self._fresh:
            return None
        self._fresh.clear()
        fields = min(one.points.shape[1] for one in recent.values())
        newest = max(one.stamp_ns for one in recent.values())
        return newest, [one.points[:, :fields] for one in recent.values()]
