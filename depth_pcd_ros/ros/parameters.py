# SPDX-License-Identifier: Apache-2.0
"""The settings as ROS parameters."""

from __future__ import annotations

import array
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


def declare_settings(node: Node) -> Settings:
    """Declare every setting as a parameter of the node and return their values.

    Raises:
        SettingsError: a value given by the user is not allowed or has the wrong type.
    """
    values = {}
    for name, option in OPTIONS.items():
        default = getattr(Settings, name)
        several = isinstance(default, tuple)
        try:
            parameter = node.declare_parameter(
                name, list(default) if several else default, descriptor(option, several)
            )
        except ParameterException as err:
            given = node._parameter_overrides[name].value
            raise SettingsError(_wrong_type(name, given, default)) from err
        values[name] = parameter.value
    return Settings().replace(values)


def changed(settings: Settings, parameters: Sequence[Parameter]) -> Settings:
    """Return the settings with the parameters among them changed; others are passed over.

    Raises:
        SettingsError: a value is not allowed.
    """
    return settings.replace({p.name: p.value for p in parameters if p.name in OPTIONS})


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


def unknown_overrides(node: Node) -> list[str]:
    """Name the parameters that a user has set and that the node does not have: typing errors."""
    # rclpy has no public way to the overrides; the attribute is the same from Humble to Kilted
    return [name for name in node._parameter_overrides if not node.has_parameter(name)]


def descriptor(option: Option, several: bool = False) -> ParameterDescriptor:
    """Describe a setting, of one value or several, as `ros2 param describe` shows it."""
    described = ParameterDescriptor(
        description=option.description + (f' [{option.unit}]' if option.unit else ''),
        additional_constraints=option.allowed() if option.choices or several else '',
        read_only=not option.live,
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
