# SPDX-License-Identifier: Apache-2.0
"""Write a file as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that has its name only once all is written.

    Until then it is `<name>.part`, which goes away if the writing fails. A file that is there is
    replaced; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + '.part')
    try:
        with half.open('wb') as file:
            yield file
        os.replace(half, path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
