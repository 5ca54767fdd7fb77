# SPDX-License-Identifier: Apache-2.0
"""The description of a setting, and the check of its values."""

from __future__ import annotations

import dataclasses
from typing import Any

from depth_pcd_ros.errors import DepthPcdError


class SettingsError(DepthPcdError):
    """A setting has a value that is not allowed; the message names both."""


@dataclasses.dataclass(frozen=True)
class Option:
    """The description of one setting, beside its default."""

    description: str  # one sentence for a person
    unit: str = ''  # unit of a number, '' for none
    bounds: tuple[float, float] | None = None  # least and most of a number, or of each of several
    choices: tuple[str, ...] = ()  # the allowed values of a text
    live: bool = False  # it can be changed while the node runs
    shared: bool = False  # one value holds for all cameras of a node

    def allowed(self) -> str:
        """Say in words which values are allowed."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if self.bounds:
            unit = f' {self.unit}' if self.unit else ''
            return f'from {self.bounds[0]:g} to {self.bounds[1]:g}{unit}'
        return 'any text'


def option(default: Any, description: str, **known: Any) -> Any:
    """Declare a setting; a default of several floats is a tuple, of names an empty one."""
    return dataclasses.field(default=default, metadata={'option': Option(description, **known)})


def transform(description: str) -> Any:
    """Declare a setting that is a rigid transform, or all zero."""
    meaning = f'{description}: x y z [m], qx qy qz qw; all zero: looked up with tf2'
    return option((0.0,) * 7, meaning, bounds=(-1000.0, 1000.0), live=True)


def kind(default: Any) -> str:
    """Name the type of a value for a person."""
    if default == ():
        return 'a list of names'
    return f'{len(default)} floats' if isinstance(default, tuple) else type(default).__name__


def check(name: str, value: Any, default: Any, known: Option) -> None:
    """Refuse a value of another type than the default's, or one that is not allowed.

    Raises:
        SettingsError: with the value, and what is allowed.
    """
    several = isinstance(default, tuple)
    values = value if several and isinstance(value, tuple) else (value,)
    of_type = type(default)
    if several:  # numbers, or any number of names
        of_type = float if default else str
    # A bool is an int to Python, not to a person.
    if (
        several != isinstance(value, tuple)
        or (several and default and len(values) != len(default))
        or any(type(one) is not of_type for one in values)
    ):
        shown = list(value) if isinstance(value, tuple) else value
        raise SettingsError(
            f'{name} is {shown!r} ({type(shown).__name__}), expected {kind(default)}'
        )
    if known.choices and value not in known.choices:
        raise SettingsError(f'{name} is {value!r}, expected {known.allowed()}')
    if known.bounds and not all(known.bounds[0] <= one <= known.bounds[1] for one in values):
        shown = list(value) if several else value  # or NaN is among them
        raise SettingsError(f'{name} is {shown!r}, expected {known.allowed()}')
