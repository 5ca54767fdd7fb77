# SPDX-License-Identifier: Apache-2.0
"""Settings as options of a command. Imports nothing that the other sub-commands can do without."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from depth_pcd_ros.settings import OPTIONS, Settings

Number = TypeVar('Number', int, float)


def add_settings(
    group: argparse._ArgumentGroup, names: Iterable[str], *, several: bool = False
) -> None:
    """Add an option for each of these settings.

    Args:
        group: where to.
        names: the settings.
        several: an option whose value is one number or word takes a list of them, with commas;
            what it gives is a list then, not checked against the choices.
    """
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
        elif several:
            values = ', '.join(known.choices)
            group.add_argument(
                flag(name),
                type=_list_of(type(default)),
                default=[default],
                metavar=f'{(known.unit or name).upper()},...',
                help=f'{known.description} ({values and values + "; "}default: {default})',
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


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def values(text: str) -> list[Any]:
        try:
            return list(dict.fromkeys(kind(word.strip()) for word in text.split(',')))
        except ValueError as err:
            raise argparse.ArgumentTypeError(f'{text!r}: {err}') from err

    return values


def flag(name: str) -> str:
    """Return the option for a setting of this name."""
    return '--' + name.replace('_', '-')


def value_of(name: str, text: str) -> Any:
    """Read a value as the parameter of this name has it: 84 is 84.0 where a float is expected."""
    default = getattr(Settings, name.rpartition('.')[2], None)
    if isinstance(default, str):
        return text
    import yaml  # few commands need it

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # the node says what it expects
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return [float(one) if type(one) is int else one for one in value]
    return value


def number(kind: type[Number], least: float, most: float = math.inf) -> Callable[[str], Number]:
    """Make the type of an option that is a number from `least` to `most`."""

    def read(text: str) -> Number:
        value = kind(text)
        if not least <= value <= most:
            reach = f'from {least:g} on' if most == math.inf else f'from {least:g} to {most:g}'
            raise argparse.ArgumentTypeError(f'{text!r}, expected a number {reach}')
        return value

    read.__name__ = 'number'  # argparse names it where it is none
    return read


def positive(text: str) -> float:
    """Read an option that is a number above 0."""
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def size(text: str) -> tuple[int, int]:
    """Read an option that is the width and height of pictures [px]."""
    match = re.fullmatch(r'([1-9]\d*)[xX]([1-9]\d*)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is no size, expected WIDTHxHEIGHT')
    return int(match[1]), int(match[2])
