# SPDX-License-Identifier: Apache-2.0
"""A record of the options that each file of an output folder was made with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from depth_pcd_ros.inputs.sources import InputsError

NAME = '.depth-pcd-convert'  # in the output folder
_LONGEST = 40  # characters of a value that is shown in a message


class Manifest:
    """Knows which options made which file, by a line for each, written before the file is.

    Whatever is interrupted, a file that is there was made with the options noted last.

    Jobs that write to one folder have a file each, so that none writes into another's.

    Args:
        folder: the output folder; it need not be there.
        options: those of this run, by the names that a person types, as JSON has them.
        job: the end of the name of this job's file; empty where there is just one.

    Raises:
        OSError: the manifest that is there cannot be read.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], job: str = '') -> None:
        self._folder = folder
        self._path = folder / (NAME + job)
        text = json.dumps(options, sort_keys=True)
        self._options: dict[str, Any] = json.loads(text)  # as they are read: lists, not tuples
        self._id = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._ids: dict[str, str] = {}  # of the options, by the name of the file
        self._known: dict[str, dict[str, Any]] = {}  # the options, by their id
        self._read(folder.glob(f'{NAME}*'))

    def difference(self, path: Path) -> str:
        """Say in which options the run that made this file differs; '' if in none, or unknown."""
        made = self._ids.get(self._name(path), self._id)
        if made == self._id:
            return ''
        return _difference(self._known.get(made, {}), self._options)

    def is_there(self, path: Path) -> bool:
        """Return whether this file exists."""
        return os.path.exists(path)  # not Path.exists, which raises where a name is too long

    def is_done(self, path: Path) -> bool:
        """Return whether this file exists and is not known to be of other options."""
        return self.is_there(path) and self._ids.get(self._name(path), self._id) == self._id

    def knows(self, path: Path) -> bool:
        """Whether a run of `convert` has made this."""
        return self._name(path) in self._ids

    def begin(self, path: Path) -> None:
        """Note that this file is made from here on; one that was not made so is removed.

        Raises:
            OSError: that cannot be done.
        """
        name = self._name(path)
        if self._ids.get(name) == self._id:
            return
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if self._id not in self._known:
            self._append({'options': self._options, 'id': self._id})
            self._known[self._id] = self._options
        self._append({'file': name, 'id': self._id, 'time': time.time_ns()})
        self._ids[name] = self._id

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _append(self, line: Mapping[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path.open('ab') as file:
            # the newline comes first, so that a line cut short spoils no other
            file.write(b'\n' + json.dumps(line, sort_keys=True).encode())

    def _read(self, paths: Iterable[Path]) -> None:
        files = []
        for line in (line for path in paths for line in path.read_bytes().splitlines()):
            try:
                content = json.loads(line)
                if 'options' in content:
                    self._known[content['id']] = dict(content['options'])
                else:
                    files.append((int(content.get('time', 0)), content['file'], content['id']))
            # cut short by a full disk or a crash, or whatever else that has left
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
        self._ids.update({name: made for _, name, made in sorted(files, key=lambda one: one[0])})


class StoreManifest(Manifest):
    """The manifest of a folder in an object store, where nothing can be appended to a file.

    So all results in a folder have the same options, which one file there holds.

    Args:
        folder: in a store, which is asked once what is in it.
        options: as those of `Manifest`.

    Raises:
        InputsError: the folder has results of other options, or its bucket is not there.
    """

    def __init__(self, folder: Any, options: Mapping[str, Any]) -> None:
        self._note = folder / NAME
        self._text = json.dumps(options, sort_keys=True)
        folder.fs.invalidate_cache()
        try:
            self._there = set(folder.fs.find(folder.path))
        except FileNotFoundError as err:  # the bucket: stores have no folders
            raise InputsError(f'{folder} cannot be written to: there is no such bucket') from err
        self._is_noted = self._note.path in self._there
        before = self._note.read_text('utf-8') if self._is_noted else self._text
        if before != self._text:
            raise InputsError(
                f'{folder} has results of other options: '
                f'{_difference(json.loads(before), json.loads(self._text))}; in a store, a folder '
                'has one set of options: give another one, or empty it'
            )

    def difference(self, path: Path) -> str:
        """Return '': all have the same options."""
        return ''

    def is_there(self, path: Any) -> bool:
        """See `Manifest`."""
        return path.path in self._there

    def is_done(self, path: Path) -> bool:
        """See `Manifest`."""
        return self.is_there(path)

    def begin(self, path: Path) -> None:
        """See `Manifest`."""
        if not self._is_noted:
            self._note.write_text(self._text, 'utf-8')
            self._is_noted = True


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**now, **then} if then.get(name) != now.get(name)]
    return ', '.join(f'{name} was {_shown(then, name)}, is {_shown(now, name)}' for name in names)


def _shown(options: Mapping[str, Any], name: str) -> str:
    text = json.dumps(options.get(name), sort_keys=True).strip('"')
    return text if len(text) <= _LONGEST else 'another one'
