# SPDX-License-Identifier: Apache-2.0
"""What a person is told about a conversion."""

from __future__ import annotations

import sys
from collections import Counter

from tqdm import tqdm

from depth_pcd_ros.convert.steps import Failure
from depth_pcd_ros.errors import DepthPcdError, FrameError


class Report:
    """Tells a person what happens, each thing once, beside a progress bar on stderr."""

    def __init__(self) -> None:
        self.done = 0
        self.skipped = 0
        self._failures: Counter[tuple[str, str]] = Counter()
        self._said: set[str] = set()
        self._bar: tqdm[None] | None = None

    @property
    def failed(self) -> int:
        """How many failures there were."""
        return sum(self._failures.values())

    def start(self, total: int) -> None:
        """Show the progress bar."""
        self._bar = tqdm(total=total, unit='picture', desc='convert', mininterval=0.5)

    def advance(self, pictures: int) -> None:
        """Move the progress bar."""
        if self._bar is not None:
            self._bar.update(pictures)

    def say(self, sentence: str) -> None:
        """Print a sentence, once."""
        if sentence not in self._said:
            self._said.add(sentence)
            tqdm.write(f'depth-pcd convert: {sentence}', file=sys.stderr)

    def failure(self, failure: Failure) -> None:
        """Tell why something failed; of many failures of a kind in one input, the first."""
        error = failure.error
        cause = error.cause if isinstance(error, FrameError) else type(error).__name__
        self._failures[failure.label, cause] += 1
        known = isinstance(error, (DepthPcdError, OSError))
        reason = ' '.join(str(error).split())
        if self._failures[failure.label, cause] == 1:
            self.say(f'{failure.label}: {reason if known else f"{cause}: {reason}"}')

    def finish(self) -> None:
        """Remove the progress bar and sum up."""
        if self._bar is not None:
            self._bar.close()
        for (label, cause), count in self._failures.items():
            if count > 1:
                self.say(f'{label}: {count} times {cause}')
        parts = [f'{self.done} converted']
        if self.skipped:
            parts.append(f'{self.skipped} there already')
        if self.failed:
            parts.append(f'{self.failed} failed')
        self.say(', '.join(parts))
