# SPDX-License-Identifier: Apache-2.0
"""Find the files that come with the package, in models/ and config/."""

from __future__ import annotations

from pathlib import Path


def bundled(name: str) -> Path | None:
    """Find a file: beside the package in a source tree, else in its prefix's share/."""
    package = Path(__file__).resolve().parent
    shares = (prefix / 'share' / package.name for prefix in package.parents)
    files = (folder / name for folder in (package.parent, *shares))
    return next((file for file in files if file.is_file()), None)
