# SPDX-License-Identifier: Apache-2.0
"""Files and messages that rosbag2 has compressed with zstd."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import IO

from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

MAGIC = b'\x28\xb5\x2f\xfd'  # RFC 8878, 3.1.1; a message in CDR begins with 0


def message(raw: bytes) -> bytes:
    """Return a message, decompressed where it is compressed by itself."""
    return DECOMPRESSORS['zstd'](raw, 0) if raw[:4] == MAGIC else bytes(raw)


def open_zstd(path: Path) -> IO[bytes]:
    """Open a compressed file; whichever package rosbags has brought reads it."""
    for name in ('compression.zstd', 'backports.zstd', 'zstandard'):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).open(path, 'rb')  # type: ignore[no-any-return]
    raise ImportError('one of the Python packages backports.zstd and zstandard is needed')
