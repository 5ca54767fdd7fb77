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
        anew: forget what is there, once there is something to take its place.

    Raises:
        OSError: the folder cannot be read.
    """

    def __init__(self, folder: Path, *, anew: bool) -> None:
        self._path = folder / NAME
        self._rows: dict[str, dict[str, Row]] = {}  # by setting and frame
        self._asked: dict[str, Row] = {}  # what `ask` was given, by setting
        self._unwritten: dict[str, Row] = {}  # of that, what is not in the file yet
        self._mode = 'wb' if anew else 'ab'
        if anew or not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                row = json.loads(line)
                setting = row.pop('setting')
                if 'parameters' in row:
                    options, parameters = str(row['options']), dict(row['parameters'])
                    self._asked[setting] = {'options': options, 'parameters': parameters}
                else:
                    self._rows.setdefault(setting, {})[row['frame']] = row
            # cut short by a full disk or a crash, or whatever else that has left
            except (ValueError, TypeError, KeyError, AttributeError):
                continue

    def ask(self, setting: str, options: str, parameters: Mapping[str, Any]) -> None:
        """Note what a setting is; it is kept with its first frame.

        Args:
            setting: as `identify` names it.
            options: as `identify` names all that the figures depend on beside the setting.
            parameters: of the setting.
        """
        asked = {'options': options, 'parameters': dict(parameters)}
        if setting not in self._asked:
            self._unwritten[setting] = asked
        self._asked[setting] = asked

    def asked(self, options: str) -> dict[str, dict[str, Any]]:
        """Return the parameters of the settings that were measured with these options."""
        return {
            setting: asked['parameters']
            for setting, asked in self._asked.items()
            if asked['options'] == options
        }

    def has(self, setting: str, frame: str) -> bool:
        """Return whether a frame is measured with this setting, as `identify` names it."""
        return frame in self._rows.get(setting, {})

    def add(self, setting: str, row: Row) -> None:
        """Keep what was measured of the frame `row['frame']`.

        Raises:
            OSError: it cannot be written.
        """
        lines = [self._unwritten[setting], row] if setting in self._unwritten else [row]
        with self._path.open(self._mode) as file:
            for line in lines:
                # the newline comes first, so that a line cut short spoils no other
                file.write(b'\n' + json.dumps({'setting': setting, **line}).encode())
        self._mode = 'ab'
        self._unwritten.pop(setting, None)
        self._rows.setdefault(setting, {})[row['frame']] = row

    def of(self, setting: str) -> list[Row]:
        """Return all frames of a setting, in the order of their input and number."""
        return sorted(self._rows.get(setting, {}).values(), key=lambda r: (r['input'], r['number']))
