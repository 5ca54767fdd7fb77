# SPDX-License-Identifier: Apache-2.0
"""Settings as options of a command. Imports nothing that the other sub-commands can do without."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from depth_pcd_ros.settings import OPTIONS, Settings


def add_settings(group: argparse._ArgumentGroup, names: Iterable[str]) -> None:
    """Add an option for each of these settings."""
    for name in names:
        known, default = OPTIONS[name], getattr(Settings, name)
        if isinstance(default, bool):
            group.add_argument(
                flag(name),
                action=argparse.BooleanOptionalAction,
                default=default,
                help=known.description,
            )
        elif isinstance(default, tuple):
            group.add_argument(
                flag(name),
                type=float,
                nargs=len(default),
                default=default,
                metavar='X',
                help=f'{known.description} (default: {" ".join(map(str, default))})',
            )
        else:
            group.add_argument(
                flag(name),
                type=type(default),
                default=default,
                choices=known.choices or None,
                metavar=None if known.choices else (known.unit or name).upper(),
                help=f'{known.description} (default: {default})',
            )


def flag(name: str) -> str:
    """The option for a setting of this name."""
    return '--' + name.replace('_', '-')
