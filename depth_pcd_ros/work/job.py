# SPDX-License-Identifier: Apache-2.0
"""A job, and its steps, which pass from reading to inference to writing."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from depth_pcd_ros import frame
from depth_pcd_ros.frame import Frame, Points


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was read, and what saves its result."""

    label: str
    picture: frame.Picture
    save: Callable[[Frame, Points], None]
    is_result: bool = True  # whether it counts by itself, not as a part of a recording
    camera: str = ''  # of several: each has the state of a pipeline of its own


@dataclasses.dataclass(frozen=True)
class Write:
    """Something that is written, in the order of the pictures."""

    label: str
    run: Callable[[], None]
    pictures: int = 0  # how many are finished with it
    results: int = 0  # how many results, as a person counts them, are complete then


@dataclasses.dataclass(frozen=True)
class Failure:
    """A picture (or an input) that gives nothing, and why."""

    label: str
    error: Exception
    pictures: int = 1
    camera: str = ''


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A picture (or an input) that is left out, because its results are there already."""

    label: str
    pictures: int = 1


Outcome = Write | Failure | Skipped
Step = Picture | Outcome


def where(label: str, camera: str) -> str:
    """Name an input for a person, and the camera in it where it has several."""
    return f'{label}, {camera}' if camera else label


class Job(abc.ABC):
    """The work on one input.

    Attributes:
        label: the input, for messages.
        is_recording: whether it becomes a recording.
    """

    is_recording = False

    def __init__(self, label: str) -> None:
        self.label = label

    def pictures(self) -> int:
        """Return how many pictures there are, at least roughly."""
        return 1

    def picture_size(self) -> tuple[int, int] | None:
        """Return width and height of its first picture [px]; None where there is no telling."""
        return None

    def existing(self) -> list[Path]:
        """Return what is there already of what this writes."""
        return []

    @abc.abstractmethod
    def steps(self, resume: bool) -> Iterator[Step]:
        """Read the input; with `resume`, only that whose results are not there."""

    def close(self) -> None:  # noqa: B027, most leave nothing behind
        """Remove what was left half written."""
