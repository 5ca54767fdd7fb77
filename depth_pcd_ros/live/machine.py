# SPDX-License-Identifier: Apache-2.0
"""Describe what this machine has for the node: device, model, cache, shared memory. No ROS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from depth_pcd_ros.engine import cache
from depth_pcd_ros.engine.devices import default_device
from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.live.environment import PROFILE_VARIABLES, profile_path, profile_variable
from depth_pcd_ros.networks.checkpoints import resolve
from depth_pcd_ros.networks.models import HUB_FILES

SHARED_MEMORY = Path('/dev/shm')


def describe(model: str) -> dict[str, str]:
    """Describe what a node with this model would find here, a sentence for each thing."""
    return {
        'device': f'{default_device()} (what the device auto is)',
        'model': _model(model),
        'cache': _cache(cache.folder()),
        'shared memory': _shared_memory(),
    }


def export_line() -> str:
    """Return the shell's line that gives images and clouds room; '' where that is set already."""
    profile = profile_path()
    if profile is None or any(os.environ.get(name) for name in PROFILE_VARIABLES):
        return ''
    return f'export {profile_variable()}={profile}'


def _model(model: str) -> str:
    if model in HUB_FILES:
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return f'{model} comes from the hub, and huggingface_hub is not installed'
        file = HUB_FILES[model]
        if not isinstance(try_to_load_from_cache(file.repo, file.filename), str):
            return (
                f'{model} is not downloaded: the first start does that, or beforehand '
                f'depth-pcd fetch {model}'
            )
    try:
        return f'{model} is {resolve(model).path}'
    except DepthPcdError as err:
        return str(err)


def _cache(folder: Path) -> str:
    networks = [path.parent for path in folder.glob('*/entry.json')]
    size = sum(file.stat().st_size for path in networks for file in path.iterdir())
    number = f'{len(networks)} converted network{"" if len(networks) == 1 else "s"}'
    there = next(path for path in (folder, *folder.parents) if path.exists())
    unwritable = '' if os.access(there, os.W_OK) else ', NOT WRITABLE: each start converts anew'
    return f'{folder} has {number} ({size / 1e6:.0f} MB){unwritable}'


def _shared_memory() -> str:
    if export_line():
        profile = 'no profile of Fast DDS is set: images of more than 512 KB get lost'
    else:
        names = [name for name in PROFILE_VARIABLES if os.environ.get(name)]
        profile = ', '.join(f'{name} is {os.environ[name]}' for name in names)
        missing = [name for name in names if not Path(os.environ[name]).is_file()]
        profile += ', WHICH IS NOT THERE' if missing else ''
    if not SHARED_MEMORY.is_dir():
        return profile or f'there is no {SHARED_MEMORY}'
    disk = shutil.disk_usage(SHARED_MEMORY)
    free = f'{SHARED_MEMORY} has {disk.free / 1e6:.0f} of {disk.total / 1e6:.0f} MB free'
    return f'{profile}; {free}' if profile else free
