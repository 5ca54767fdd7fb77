# SPDX-License-Identifier: Apache-2.0
"""Recognise the files of a recording by their names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from depth_pcd_ros.files.order import by_number

METADATA = 'metadata.yaml'
ENDINGS = ('.mcap', '.db3')
PACKED = '.zstd'  # a file that was compressed as a whole
_PART = re.compile(r'(?P<name>.+)_(?P<number>\d+)(\.mcap|\.db3)(\.zstd)?')


def is_recording_folder(folder: Path) -> bool:
    """Return whether a folder is one recording: it has metadata.yaml, or else only parts of one."""
    if os.path.isfile(folder / METADATA):
        return True
    try:
        names = [name for name in os.listdir(folder) if not name.startswith('.')]
    except OSError:
        return False
    parts = [match for name in names if (match := _PART.fullmatch(name))]
    return len(parts) == len(names) > 1 and len({part['name'] for part in parts}) == 1


def parts_in(folder: Path) -> list[Path]:
    """List the files of a recording that is a folder, name_2 before name_10."""
    endings = (*ENDINGS, *(ending + PACKED for ending in ENDINGS))
    return sorted((file for file in folder.iterdir() if file.name.endswith(endings)), key=by_number)
