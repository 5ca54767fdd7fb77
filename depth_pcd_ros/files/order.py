# SPDX-License-Identifier: Apache-2.0
"""The order of files that are a sequence."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

_PIECES = re.compile(r'([^0-9]*)(?:([0-9]+)(?:\.([0-9]+))?)?')


def by_number(path: PurePath) -> tuple[Any, ...]:
    """Return a key for sorting: 9.jpg comes before 10.jpg, and 1.25.jpg before 1.5.jpg.

    What has a point, as names that are stamps, is a decimal number.
    """
    pieces = [
        [(text, int(whole or 0), fraction) for text, whole, fraction in _PIECES.findall(part)]
        for part in path.parts
    ]
    return (*pieces, str(path))
