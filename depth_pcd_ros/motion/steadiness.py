# SPDX-License-Identifier: Apache-2.0
"""The outcome of the temporal filter for one frame."""

from __future__ import annotations

from typing import NamedTuple


class Steadiness(NamedTuple):
    """The outcome of the temporal filter: whether the depth was mixed, and why not."""

    # what told how the camera has moved, `odometry` or `camera`; '' where nothing did
    motion: str = ''
    # stable snake_case name of the reason why the new depth stands alone; '' if it was mixed with
    # what was seen before
    cause: str = ''
    reason: str = ''  # the same for a person
