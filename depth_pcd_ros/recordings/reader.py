# SPDX-License-Identifier: Apache-2.0
"""Opens recordings of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rosbags.highlevel import AnyReader

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.recordings.store import STORE


class RecordingError(DepthPcdError):
    """A recording cannot be used as asked; the message says why."""


@contextmanager
def open_recording(path: Path) -> Iterator[AnyReader]:
    """Open a recording of any kind that rosbags reads.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        reader = AnyReader([path], default_typestore=STORE)
        reader.open()
    except Exception as err:  # damaged files raise whatever the damage leads to
        raise RecordingError(f'it cannot be read as a recording: {err}{_remedy(path)}') from err
    try:
        yield reader
    finally:
        reader.close()


def _remedy(path: Path) -> str:
    if path.suffix == '.bag':
        return '; where it was not closed, rosbag reindex mends it'
    if path.suffix == '.mcap' or any(path.glob('*.mcap')):
        return '; where it was not closed, mcap recover mends it'
    return ''
