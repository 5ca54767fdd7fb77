# SPDX-License-Identifier: Apache-2.0
"""Measurements of each frame, kept in the output folder so that a run can resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = '.depth-pcd-evaluate'  # in the output folder

Row = dict[str, Any]


def identify(options: Mapping[str, Any]) -> str:
    """Make a short name for the options that a measurement depends on."""
    text = json.dumps(options, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Results:
    """A line of JSON for each frame and setting, written when it is measured.

    Args:
        folder: the output folder.
        anew: forget what is there.

    Raises:
        OSError: the folder cannot be read or written to.
    """

    def __init__(self, folder: Path, *, anew: bool) -> None:
        self._path = folder / NAME
        self._rows: dict[str, dict[str, Row]] = {}  # by setting and frame
        if anew:
            self._path.unlink(missing_ok=True)
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                row = json.loads(line)
                self._rows.setdefault(row.pop('setting'), {})[row['frame']] = row
            # cut short by a full disk or a crash, or whatever else that has left
            except (ValueError, TypeError, KeyError, AttributeError):
                continue

    def has(self, setting: str, frame: str) -> bool:
        """Return whether a frame is measured with this setting, as `identify` names it."""
        return frame in self._rows.get(setting, {})

    def add(self, setting: str, row: Row) -> None:
        """Keep what was measured of the frame `row['frame']`.

        Raises:
            OSError: it cannot be written.
        """
        with self._path.open('ab') as file:
            # the newline comes first, so that a line cut short spoils no other
            file.write(b'\n' + json.dumps({'setting': setting, **row}).encode())
        self._rows.setdefault(setting, {})[row['frame']] = row

    def of(self, setting: str) -> list[Row]:
        """Return all frames of a setting, in the order of their input and number."""
        return sorted(self._rows.get(setting, {}).values(), key=lambda r: (r['input'], r['number']))
