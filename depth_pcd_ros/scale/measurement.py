# SPDX-License-Identifier: Apache-2.0
"""A measurement of one frame: true depth = scale x depth + shift."""

from __future__ import annotations

from dataclasses import dataclass

from depth_pcd_ros.errors import CauseError

SATURATED = 0.95  # of the depth at which the network's output ends: what is deeper tells nothing


@dataclass(frozen=True)
class Measurement:
    """A measurement of one frame."""

    scale: float  # factor on the depth
    shift: float  # added to the scaled depth [m]
    inliers: int  # how many points agree with it


class ScaleError(CauseError):
    """A frame gives no measurement, so the last good scale is held; the message says why."""
