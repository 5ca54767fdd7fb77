# SPDX-License-Identifier: Apache-2.0
"""What passes from reading to inference to writing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from depth_pcd_ros.frame import Frame, Points
from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.messages.encodings import Rgb
from depth_pcd_ros.sync.readings import NO_EVIDENCE, Evidence


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was read, (H, W, 3) RGB, what saves its result, and what tells its scale."""

    label: str
    rgb: Rgb
    calibration: Calibration
    save: Callable[[Frame, Points], None]
    evidence: Evidence = NO_EVIDENCE


@dataclasses.dataclass(frozen=True)
class Write:
    """Something that is written, in the order of the pictures."""

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
class Skipped:
    """A picture (or an input) that is left out, because its results are there already."""

    label: str
    pictures: int = 1


Outcome = Write | Failure | Skipped
Step = Picture | Outcome
