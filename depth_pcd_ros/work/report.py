# SPDX-License-Identifier: Apache-2.0
"""Progress, warnings and the summary of all jobs, for a person."""

from __future__ import annotations

import sys
from collections import Counter

from tqdm import tqdm

from depth_pcd_ros.errors import DepthPcdError, FrameError
from depth_pcd_ros.work.job import Failure, where

CONVERTED, IN_PART, THERE, FAILED = 'converted', 'in part', 'there already', 'failed'


class Report:
    """Tells a person what happens, each thing once, beside a progress bar on stderr.

    `converted` is what has become of an input that the sub-command is done with.
    """

    def __init__(self, command: str = 'convert', converted: str = CONVERTED) -> None:
        self._command = command
        self._converted = converted
        self._results: dict[str, Counter[str]] = {}  # of each input
        self._failures: Counter[tuple[str, str]] = Counter()  # by where and why
        self._said: set[str] = set()
        self._bar: tqdm[None] | None = None

    @property
    def failed(self) -> bool:
        """Return whether anything failed."""
        return bool(self._failures)

    def count(self, label: str, result: str, number: int = 1) -> None:
        """Count what came of an input: its `pictures`, `done` and `skipped`."""
        self._results.setdefault(label, Counter())[result] += number

    def start(self, total: int) -> None:
        """Show the progress bar."""
        self._bar = tqdm(total=total, unit='picture', desc=self._command, mininterval=0.5)

    def advance(self, pictures: int) -> None:
        """Move the progress bar."""
        if self._bar is not None:
            self._bar.update(pictures)

    def say(self, sentence: str) -> None:
        """Print a sentence, once."""
        if sentence not in self._said:
            self._said.add(sentence)
            tqdm.write(f'depth-pcd {self._command}: {sentence}', file=sys.stderr)

    def failure(self, failure: Failure) -> None:
        """Tell why something failed; of many failures of a kind in one input, the first."""
        error = failure.error
        cause = error.cause if isinstance(error, FrameError) else type(error).__name__
        known = isinstance(error, (DepthPcdError, OSError))
        reason = ' '.join(str(error).split())
        reason = reason if known else f'{cause}: {reason}'
        self.fail(failure.label, cause, reason, failure.camera)

    def fail(self, label: str, cause: str, reason: str, camera: str = '') -> None:
        """Count a failure by its cause, and tell the first of each."""
        place = where(label, camera)
        self._failures[place, cause] += 1
        self.count(label, 'failed')
        if self._failures[place, cause] == 1:
            self.say(f'{place}: {reason}')

    def finish(self) -> None:
        """Remove the progress bar and sum up."""
        if self._bar is not None:
            self._bar.close()
        for (place, cause), count in self._failures.items():
            if count > 1:
                self.say(f'{place}: {count} times {cause}')
        for label, results in self._results.items():
            if _summary(results) == IN_PART:
                total = results['pictures'] + results['skipped'] + results['failed']
                done = total - results['failed']
                self.say(f'{label}: {done} of {total} pictures are {self._converted}')
        summary = Counter(map(_summary, self._results.values()))
        parts = [f'{summary[CONVERTED]} {self._converted}']
        parts += [f'{summary[what]} {what}' for what in (IN_PART, THERE, FAILED) if summary[what]]
        self.say(', '.join(parts))


def _summary(results: Counter[str]) -> str:
    """Return the outcome of one input."""
    if results['failed']:
        return IN_PART if results['done'] or results['skipped'] else FAILED
    return THERE if results['skipped'] and not results['done'] else CONVERTED
