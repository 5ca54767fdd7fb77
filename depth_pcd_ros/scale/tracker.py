# SPDX-License-Identifier: Apache-2.0
"""Smooth and bound the measurements of the frames, and explain the correction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from depth_pcd_ros.scale.measurement import Measurement, ScaleError
from depth_pcd_ros.settings import Settings

# What rests on one distance is disbelieved when it differs by more than this ratio from what is
# held: the beam has met what the picture does not show, the plane is a table, or a wheel slips.
# Only if it says the same for as long as what is held has been measured is it believed: a second
# at least, and no longer than ten.
MAX_SURPRISE = 1.25
SAME = 1.1  # ratio within which surprises say the same
INSISTENCE = 1.0, 10.0  # [s]
ONE_DISTANCE = ('range', 'plane', 'motion')
# The values on depth/scale. No standard message is a stamped list of numbers, so the image's stamp
# is among them.
MESSAGE_FIELDS = ('scale', 'shift', 'inliers', 'held', 'age', 'sec', 'nanosec')


@dataclass(frozen=True)
class ScaleState:
    """The correction of one frame: true depth = scale x depth + shift."""

    scale: float = 1.0  # factor on the depth
    shift: float = 0.0  # added to the scaled depth [m]
    inliers: int = 0  # of the last good measurement
    # of the reading that was used, by the stamps [s]; NaN where there is none
    age: float = math.nan
    # why this frame's measurement was not taken and the last one holds; '' if it was
    reason: str = ''
    cause: str = ''  # stable snake_case name of that reason
    # since the last good measurement, by the stamps [s]; inf before the first
    held_for: float = math.inf

    def message_values(self, stamp: Any) -> list[float]:
        """Return the values of `MESSAGE_FIELDS`, for a frame with this stamp (of a header)."""
        values = (self.scale, self.shift, self.inliers, bool(self.cause), self.age)
        return [float(value) for value in (*values, stamp.sec, stamp.nanosec)]

    def frozen(self, timeout: float) -> bool:
        """Return whether the last good measurement is older than `timeout` [s], or never was.

        A robot that stands has no need of another one.
        """
        stands = self.cause == 'no_motion' and math.isfinite(self.held_for)
        return bool(self.cause) and self.held_for > timeout and not stands

    def apply(self, depth: float) -> float:
        """Correct a depth of the network [m], to the last bit as a depth map is."""
        return float(np.float32(depth) * np.float32(self.scale) + np.float32(self.shift))


class Tracker:
    """Smooths over time by the stamps of the frames, so that a recording always gives the same."""

    def __init__(self) -> None:
        self._first = True
        self._good_ns: int | None = None  # stamp of the last good measurement's frame
        self._since_ns = 0  # stamp of the first one that agrees with it
        self._good = Measurement(1.0, 0.0, 0)  # smoothed
        self._count = 0  # measurements in it
        self._applied = (1.0, 0.0)
        self._surprise = (0, 1.0)  # first stamp of those that say the same, and what

    def update(
        self, stamp_ns: int, measured: Measurement | ScaleError, settings: Settings
    ) -> ScaleState:
        """Take a measurement, or the reason why there is none, and return the correction."""
        if isinstance(measured, Measurement):
            try:
                self._check(stamp_ns, measured, settings)
            except ScaleError as err:
                measured = err
            else:
                self._smooth(stamp_ns, measured, settings.scale_smoothing)
        self._applied = self._next(math.inf if self._first else settings.scale_step)
        self._first = False
        bad = measured if isinstance(measured, ScaleError) else None
        return ScaleState(
            *self._applied,
            inliers=self._good.inliers,
            reason=str(bad) if bad else '',
            cause=bad.cause if bad else '',
            held_for=math.inf if self._good_ns is None else (stamp_ns - self._good_ns) * 1e-9,
        )

    def _check(self, stamp_ns: int, measured: Measurement, settings: Settings) -> None:
        low, high = settings.scale_bounds
        if not low <= measured.scale <= high:
            raise ScaleError(
                'out_of_bounds',
                f'the scale would be {measured.scale:.3g}, scale_bounds are {low:g} to {high:g}',
            )
        if not self._count or settings.scale_source not in ONE_DISTANCE:
            return
        if _ratio(measured.scale, self._good.scale) <= MAX_SURPRISE:
            self._surprise = (0, 1.0)
            return
        since, what = self._surprise
        if not since or stamp_ns < since or _ratio(measured.scale, what) > SAME:
            self._surprise = since, what = stamp_ns, measured.scale
        least, most = INSISTENCE
        known = ((self._good_ns or 0) - self._since_ns) * 1e-9
        if stamp_ns - since < min(max(known, least), most) * 1e9:
            raise ScaleError(
                'disagrees',
                f'the scale would be {measured.scale:.3g} all at once, it was '
                f'{self._good.scale:.3g}',
            )
        self._surprise = (0, 1.0)
        self._count = 0

    def _smooth(self, stamp_ns: int, new: Measurement, smoothing: float) -> None:
        """Average the first measurements, then exponentially over `smoothing` seconds."""
        weight = 1.0
        if self._count and self._good_ns is not None and smoothing:
            seconds = max(stamp_ns - self._good_ns, 0) * 1e-9
            weight = max(1.0 / (self._count + 1), 1.0 - math.exp(-seconds / smoothing))
        good = self._good
        self._good = Measurement(
            good.scale + weight * (new.scale - good.scale),
            good.shift + weight * (new.shift - good.shift),
            new.inliers,
        )
        if not self._count:
            self._since_ns = stamp_ns
        self._good_ns = stamp_ns
        self._count += 1

    def _next(self, step: float) -> tuple[float, float]:
        """Go from what was applied towards what is good, as far as one frame may."""
        scale, shift = self._applied
        by_scale, by_shift = self._good.scale - scale, self._good.shift - shift
        way = max(abs(by_scale) / scale, abs(by_shift))
        if way <= step:
            return self._good.scale, self._good.shift
        return scale + by_scale * step / way, shift + by_shift * step / way


def _ratio(a: float, b: float) -> float:
    return max(a / b, b / a)
