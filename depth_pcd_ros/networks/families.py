# SPDX-License-Identifier: Apache-2.0
"""The table of the families, and which of them a file belongs to. No torch."""

from __future__ import annotations

import json
import pickletools
import zipfile
from pathlib import Path

from depth_pcd_ros.networks.demo import Demo
from depth_pcd_ros.networks.depth_anything_3 import DepthAnything3
from depth_pcd_ros.networks.depth_anything_v2 import DepthAnythingV2
from depth_pcd_ros.networks.family import Family

# A file that none of the others recognises is the first one's, which says what is wrong with it.
FAMILIES: dict[str, type[Family]] = {
    family.name: family for family in (DepthAnythingV2, DepthAnything3, Demo)
}

MAX_HEADER = 2**26  # bytes, of a safetensors file: far more than any has


def family_of(path: Path) -> type[Family]:
    """Return the family that recognises a file by its keys; nothing in it is run."""
    keys, metadata = _contents(path)
    first, *others = FAMILIES.values()
    return next((family for family in others if family.recognises(keys, metadata)), first)


def _contents(path: Path) -> tuple[list[str], dict[str, str]]:
    """Keys and metadata of a file; nothing where it is damaged or something else."""
    try:
        if path.suffix == '.safetensors':
            with path.open('rb') as file:
                size = int.from_bytes(file.read(8), 'little')
                header = dict(json.loads(file.read(min(size, MAX_HEADER))))
            return list(header), dict(header.get('__metadata__', {}))
        with zipfile.ZipFile(path) as archive:
            (entry,) = (one for one in archive.infolist() if one.filename.endswith('/data.pkl'))
            with archive.open(entry) as file:
                operations = list(pickletools.genops(file.read(MAX_HEADER)))
        return [argument for _, argument, _ in operations if isinstance(argument, str)], {}
    except Exception:  # a damaged file makes the readers raise errors of any class
        return [], {}
