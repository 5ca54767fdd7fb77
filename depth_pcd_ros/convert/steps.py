# SPDX-License-Identifier: Apache-2.0
"""What passes from reading to inference to writing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.frame import Frame
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.messages.encodings import Rgb
from depth_pcd_ros.sync.readings import NO_EVIDENCE, Evidence

# x, y, z [m] and perhaps the packed colour, as `Pipeline.points` gives them.
Points = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was read, (H, W, 3) RGB, what saves its result, and what tells its scale."""

    label: str
    rgb: Rgb
    calibration: Calibration
    save: Callable[[Frame, Points], None]
    evidence: Evidence = NO_EVIDENCE


@dataclasses.dataclass(frozen=True)
class Action:
    """Something that is done in the order of the pictures, where these are written."""

    label: str
    run: Callable[[], None]
    pictures: int = 0  # how many are finished with it


@dataclasses.dataclass(frozen=True)
class Failure:
    """A picture (or an input) that gives nothing, and why."""

    label: str
    error: Exception
    pictures: int = 1


@dataclasses.dataclass(frozen=True)
class Present:
    """A picture (or an input) whose results are there already."""

    label: str
    pictures: int = 1


Outcome = Action | Failure | Present
Step = Picture | Outcome
