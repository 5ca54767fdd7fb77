# SPDX-License-Identifier: Apache-2.0
"""A measurement of one frame: true depth = scale x depth + shift."""

from __future__ import annotations

from dataclasses import dataclass

from depth_pcd_ros.errors import CauseError

SATURATED = 0.95  # of the depth at which the network's output ends: what is deeper tells nothing


@dataclass(frozen=True)
class Measurement:
    """A measurement of one frame.

    Attributes:
        scale: factor on the depth.
        shift: added to the scaled depth [m].
        inliers: how many points agree with it.
    """

    scale: float
    shift: float
    inliers: int


class ScaleError(CauseError):
    """Why a frame gives no measurement: the last good scale is held."""
