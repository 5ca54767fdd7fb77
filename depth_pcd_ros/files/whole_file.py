# SPDX-License-Identifier: Apache-2.0
"""Write a file as a whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that has its name only once all is written.

    Until then it is `<name>.part`, which goes away if the writing fails. A file that is there is
    replaced; missing folders are made. What goes to a store is in memory until then.
    """
    if is_stored(path):
        content = io.BytesIO()
        yield content
        path.write_bytes(content.getvalue())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + '.part')
    try:
        with half.open('wb') as file:
            yield file
        os.replace(half, path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def write_picture(path: Path, pixels: npt.NDArray[Any], quality: int = 95) -> None:
    """Write a picture, BGR or grey, of the kind that the name says; `quality` of a JPEG, 0 to 100.

    Raises:
        OSError: the file cannot be written.
    """
    # OpenCV 5 warns of what is not for this kind of file
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == '.jpg' else []
    _, data = cv2.imencode(path.suffix, pixels, parameters)
    with whole_file(path) as file:
        file.write(np.asarray(data).tobytes())


def is_stored(path: Path) -> bool:
    """Return whether a path is in an object store: a `upath.UPath`, which is no `pathlib.Path`.

    It has the same methods. Files come whole there or not at all, nothing is appended or renamed.
    """
    return not isinstance(path, Path)
