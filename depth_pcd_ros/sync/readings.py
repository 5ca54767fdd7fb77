# SPDX-License-Identifier: Apache-2.0
"""Keep the readings of a sensor and find the one that belongs to a picture."""

from __future__ import annotations

import bisect
import math
import operator
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

# Most points of a reading that are kept, evenly spread: enough for any fit.
MAX_POINTS = 20_000
# Readings at most; clouds. While a picture waits for a slow network, readings go on to come, some
# hundred a second.
KEPT, KEPT_CLOUDS = 2**16, 2000
JUMP_BACK = 1.0  # [s] by which a stamp is earlier than the last one: a recording begins again

stamp_of = operator.attrgetter('stamp_ns')
R = TypeVar('R')  # has a stamp_ns


@dataclass(frozen=True, eq=False)
class PointsReading:
    """Points with a known position, (N, 3) [m], in the frame `frame_id`."""

    stamp_ns: int
    frame_id: str
    xyz: npt.NDArray[Any]

    def __post_init__(self) -> None:
        """Thin out what is more than needed."""
        step = -(-len(self.xyz) // MAX_POINTS)
        if step > 1:
            object.__setattr__(self, 'xyz', np.ascontiguousarray(self.xyz[::step]))


@dataclass(frozen=True)
class RangeReading:
    """A distance along a beam, as in a sensor_msgs/Range; field_of_view in radians."""

    stamp_ns: int
    frame_id: str
    distance: float  # [m]
    minimum: float  # [m]
    maximum: float  # [m]
    field_of_view: float  # [rad]


@dataclass(frozen=True)
class BrokenReading:
    """A message that says nothing, and why."""

    stamp_ns: int
    frame_id: str
    problem: str


Reading = PointsReading | RangeReading | BrokenReading


@dataclass(frozen=True)
class Header:
    """The header of a picture."""

    stamp_ns: int = 0  # when it was taken
    frame_id: str = ''  # its optical frame
    sequence: str = ''  # pictures of another one have nothing to do with those before

    def __post_init__(self) -> None:
        """Take a frame of ROS 1, with a slash, for the same without."""
        object.__setattr__(self, 'frame_id', self.frame_id.removeprefix('/'))


@dataclass(frozen=True, eq=False)
class Evidence:
    """The readings of sensors for a picture."""

    # the newest of the `scale_source` that is not newer than the picture; None where there is none
    reading: Reading | None = None
    # its place (x y z [m], qx qy qz qw), where that was looked up
    optical_from_sensor: tuple[float, ...] | None = None
    # where the picture was taken from, by the odometry; None where it does not say
    odom_from_camera: tuple[float, ...] | None = None
    no_odometry: str = ''  # why it does not


NO_HEADER, NO_EVIDENCE = Header(), Evidence()


class StampedReadings(Generic[R]):
    """Readings by their stamps, through jumps back of time; safe to use from several threads.

    Args:
        patience: how long a picture waits for the first reading newer than itself, which tells
            that no more of the older ones are on their way [s].
    """

    def __init__(self, patience: float = 0.0) -> None:
        self._patience = patience
        self._readings: list[R] = []  # by stamp
        self._next: list[R] = []  # those after time has jumped back, for pictures after that
        self._last_ns: int | None = None  # stamp of the last picture
        self._changed = threading.Condition()
        self._vain = False  # the last wait was, and nothing has come since

    def __len__(self) -> int:
        return len(self._readings) + len(self._next)

    def add(self, reading: R) -> None:
        """Remember a reading."""
        with self._changed:
            if self._next or jumps_back(self._readings, reading):
                if jumps_back(self._next, reading):  # once more
                    self._readings, self._next = self._next, []
                self._insert(self._next, reading)
            else:
                self._insert(self._readings, reading)
            self._vain = False
            self._changed.notify_all()

    def complete(self, stamp_ns: int) -> bool:
        """Return whether no reading of use for a picture can still come."""
        newest = stamp_of(self._readings[-1]) if self._readings else -math.inf
        return bool(newest >= stamp_ns or self._next)

    def _of(self, stamp_ns: int) -> list[R]:
        """Return the readings for the next picture; to be called with `_changed`."""
        if self._begins_anew(stamp_ns):
            self._readings, self._next = self._next, []
        self._last_ns = stamp_ns
        if self._patience and not self._vain:
            self._vain = not self._changed.wait_for(lambda: self.complete(stamp_ns), self._patience)
        return self._readings

    def _begins_anew(self, stamp_ns: int) -> bool:
        """Return whether time has jumped back for the pictures, too, or for the sensor alone."""
        if self._last_ns is not None and self._last_ns - stamp_ns > JUMP_BACK * 1e9:
            return True
        if not self._next:
            return False
        behind = [stamp_ns - stamp_of(one) for one in (*self._readings[:1], *self._readings[-1:])]
        # the old readings are of no use: all newer than the picture, or too old
        useless = not behind or behind[0] < 0 or behind[-1] > JUMP_BACK * 1e9
        return self._last_ns is None or useless

    def _insert(self, kept: list[R], reading: R) -> None:
        bisect.insort(kept, reading, key=stamp_of)


class Readings(StampedReadings[Reading]):
    """The readings of one sensor.

    Which one a picture gets depends on stamps alone, so that a recording always gives the same.

    Args:
        patience: as `StampedReadings`.
        span: readings older than the newest by more than this are forgotten [s].
    """

    def __init__(self, patience: float = 0.0, span: float = float('inf')) -> None:
        super().__init__(patience)
        self._span_ns = span * 1e9

    def find(self, stamp_ns: int) -> Reading | None:
        """Find the newest reading that is not newer than a stamp; older ones are forgotten."""
        with self._changed:
            kept = self._of(stamp_ns)
            after = bisect.bisect_right(kept, stamp_ns, key=stamp_of)
            if not after:
                return None
            del kept[: after - 1]
            return kept[0]

    def _insert(self, kept: list[Reading], reading: Reading) -> None:
        super()._insert(kept, reading)
        outdated = bisect.bisect_left(kept, kept[-1].stamp_ns - self._span_ns, key=stamp_of)
        most = KEPT_CLOUDS if isinstance(reading, PointsReading) else KEPT
        del kept[: max(outdated, len(kept) - most)]


def jumps_back(kept: Sequence[Any], reading: Any) -> bool:
    """Return whether the stamp of a reading is before those that are kept, as after a jump."""
    return bool(kept) and kept[-1].stamp_ns - reading.stamp_ns > JUMP_BACK * 1e9
