# SPDX-License-Identifier: Apache-2.0
"""Count how often the scale could not be measured, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from depth_pcd_ros.scale.tracker import ScaleState


class Held:
    """Counts pictures, and those that tell nothing by their cause; of each, the first reason."""

    def __init__(self) -> None:
        self._total = 0
        self._counts: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}

    def add(self, cause: str = '', reason: str = '') -> None:
        """Count a picture; without a cause, one that has told the scale."""
        self._total += 1
        if cause:
            self._counts[cause] += 1
            self._reasons.setdefault(cause, reason)

    def add_state(self, state: ScaleState | None) -> None:
        """Count a picture by what was done to its scale; None: nothing was asked for."""
        if state is not None:
            self.add(state.cause, state.reason)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield in words how many pictures of all tell nothing, and why, most first."""
        for cause, count in self._counts.most_common():
            yield f'{count} of {self._total} pictures', f'{cause}: {self._reasons[cause]}'
