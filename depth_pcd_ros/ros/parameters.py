# SPDX-License-Identifier: Apache-2.0
"""The settings as ROS parameters."""

from __future__ import annotations

import array
import difflib
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from depth_pcd_ros.option import kind
from depth_pcd_ros.settings import OPTIONS, Option, Settings, SettingsError

SIMILAR = 0.86  # of two names, as difflib counts: one letter more or less, among six


def declare_settings(node: Node) -> None:
    """Declare every setting as a parameter of the node.

    Raises:
        SettingsError: a value given by the user is not allowed or has the wrong type.
    """
    for name, option in OPTIONS.items():
        default = getattr(Settings, name)
        several = isinstance(default, tuple)
        try:
            node.declare_parameter(
                name, list(default) if several else default, descriptor(option, several)
            )
        except ParameterException as err:
            given = node._parameter_overrides[name].value
            raise SettingsError(_wrong_type(name, given, default)) from err


def current(node: Node) -> Settings:
    """Return the settings that the parameters of a node are now.

    Raises:
        SettingsError: values that do not go together.
    """
    there = [name for name in OPTIONS if node.has_parameter(name)]  # one may be deleted
    return Settings().replace({name: node.get_parameter(name).value for name in there})


def check(node: Node, changes: Sequence[Parameter], *, only_live: bool) -> None:
    """Refuse changes of parameters that are not allowed; those that are no settings pass.

    Args:
        node: whose parameters.
        changes: of some of them.
        only_live: whether the others must stay as they are.

    Raises:
        SettingsError: with the reason.
    """
    before = current(node)
    after = before.replace({p.name: p.value for p in changes if p.name in OPTIONS})
    for name, option in OPTIONS.items():
        if only_live and not option.live and getattr(after, name) != getattr(before, name):
            raise SettingsError(
                f'{name} can be changed only while the node is unconfigured: deactivate and '
                'clean up first'
            )


def differences(before: Settings, after: Settings) -> list[str]:
    """Say of each setting that differs what it is now."""
    return [
        f'{name} is {getattr(after, name)!r} now, it was {getattr(before, name)!r}'
        for name in OPTIONS
        if getattr(after, name) != getattr(before, name)
    ]


def explained(result: SetParametersResult, parameters: Sequence[Parameter]) -> SetParametersResult:
    """The result of setting parameters, with a sentence where rclpy gives two numbers of types."""
    if not result.reason.startswith('Wrong parameter type'):
        return result
    for one in parameters:
        default = getattr(Settings, one.name) if one.name in OPTIONS else one.value
        several = isinstance(default, tuple)
        if one.type_ != Parameter.Type.from_parameter_value(list(default) if several else default):
            reason = _wrong_type(one.name, one.value, default)
            return SetParametersResult(successful=False, reason=reason)
    return result


def mistyped(node: Node) -> list[tuple[str, str]]:
    """Name the parameters that are set and not there, but nearly, each with the one that is.

    What resembles none is another node's: a parameter file may be for several, under `/**`.
    """
    known = node.get_parameters_by_prefix('')
    # rclpy has no public way to the overrides; the attribute is the same from Humble to Kilted
    return [
        (name, meant)
        for name in node._parameter_overrides
        if name not in known
        for meant in known
        if _resemble(name, meant)
    ]


def _resemble(name: str, other: str) -> bool:
    """Whether two names are as near to each other as by a slip of the hand, part by part."""
    parts = list(zip(name.lower().split('.'), other.split('.'), strict=False))
    return name.count('.') == other.count('.') and all(
        sorted(a) == sorted(b) or difflib.SequenceMatcher(None, a, b).ratio() > SIMILAR
        for a, b in parts
    )


def descriptor(option: Option, several: bool = False) -> ParameterDescriptor:
    """Describe a setting, of one value or several, as `ros2 param describe` shows it."""
    constraints = [option.allowed()] if option.choices or several else []
    if not option.live:  # read_only would also hold for a node that is not configured
        constraints.append('to be changed only while the node is unconfigured')
    described = ParameterDescriptor(
        description=option.description + (f' [{option.unit}]' if option.unit else ''),
        additional_constraints=', '.join(constraints),
    )
    if several:  # ranges are for single numbers
        return described
    if isinstance(option.minimum, float) and option.maximum is not None:
        described.floating_point_range = [
            FloatingPointRange(from_value=option.minimum, to_value=float(option.maximum))
        ]
    elif option.minimum is not None and option.maximum is not None:
        described.integer_range = [
            IntegerRange(from_value=int(option.minimum), to_value=int(option.maximum), step=1)
        ]
    return described


def _wrong_type(name: str, given: Any, default: Any) -> str:
    """Say what was given and what is expected, and how integers become that."""
    given = given.tolist() if isinstance(given, array.array) else given
    advice = ''
    if type(given) is int and type(default) is float:
        advice = f': write {float(given)}'
    elif isinstance(given, list) and all(type(one) is int for one in given):
        advice = f': write {[float(one) for one in given]}'
    return (
        f'{name} is {given!r} ({type(given).__name__}), '
        f'expected {kind(default)}, {OPTIONS[name].allowed()}{advice}'
    )
