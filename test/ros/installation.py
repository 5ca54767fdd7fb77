# SPDX-License-Identifier: Apache-2.0
"""The package as ament finds it: installed, or a prefix that stands for an installation."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from .conftest import ROOT

PACKAGE = 'depth_pcd_ros'
PROGRAMS = {
    'depth_pcd_node': f'{PACKAGE}.ros.node',
    'depth_pcd_rviz': f'{PACKAGE}.ros.rviz',
    'depth-pcd': f'{PACKAGE}.cli',
}


def environment(folder: Path) -> Mapping[str, str]:
    """The environment in which ament finds the package.

    Where colcon has installed it (as in `colcon test`), that is this one. Else a prefix is made in
    `folder` whose files are those of the source tree.
    """
    try:
        get_package_prefix(PACKAGE)
        return dict(os.environ)
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        pass
    index = folder / 'share' / 'ament_index' / 'resource_index' / 'packages'
    programs = folder / 'lib' / PACKAGE
    if not index.exists():
        index.mkdir(parents=True)
        programs.mkdir(parents=True)
        (index / PACKAGE).touch()
        for name in ('config', 'launch', 'models', 'rviz'):
            share = folder / 'share' / PACKAGE / name
            share.mkdir(parents=True)
            for path in (ROOT / name).glob('*.*'):
                (share / path.name).symlink_to(path)
        for name, module in PROGRAMS.items():
            call = f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n'
            (programs / name).write_text(call)
            (programs / name).chmod(0o755)
    prefixes = [str(folder), os.environ.get('AMENT_PREFIX_PATH') or sys.prefix]
    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    return {
        **os.environ,
        'AMENT_PREFIX_PATH': os.pathsep.join(prefixes),
        'PYTHONPATH': os.pathsep.join(paths),
    }


def fake_rviz(folder: Path) -> tuple[Path, Path]:
    """Put a program named rviz2, which only writes down its arguments, in a folder.

    Returns:
        The folder, for PATH, and the file that gets the arguments, one a line.
    """
    folder.mkdir()
    told = folder / 'arguments'
    (folder / 'rviz2').write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}.half\nmv {told}.half {told}\n'
    )
    (folder / 'rviz2').chmod(0o755)
    return folder, told
