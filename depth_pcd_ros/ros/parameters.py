# SPDX-License-Identifier: Apache-2.0
"""The settings as ROS parameters."""

from __future__ import annotations

import array
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException, ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from depth_pcd_ros.option import kind
from depth_pcd_ros.settings import (
    CAMERA_NAME,
    OPTIONS,
    Option,
    Settings,
    SettingsError,
    of_cameras,
)

SIMILAR = 0.86  # of two names, as difflib counts: one letter more or less, among six


class NodeParameters:
    """The settings as parameters of a node: those for all cameras, and those of each by its name.

    The parameter `front.stride` is there if `cameras` has the name front. It is what `stride` is
    until it is set itself.

    Args:
        node: where they are declared.

    Raises:
        SettingsError: a value given by the user is not allowed, has the wrong type, or is for a
            camera that is not listed.

    Attributes:
        stray: names of those that are set for one camera where `cameras` is empty. They may be
            another node's: a parameter file may be for several, under `/**`.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        for name in OPTIONS:
            self._declare(name, getattr(Settings, name))
        # rclpy has no public way to the overrides; the attribute is the same from Humble to Kilted
        given = [p for name, p in node._parameter_overrides.items() if _is_of_one_camera(name)]
        self.stray = [] if self._cameras() else sorted(one.name for one in given)
        self._own: set[str] = set()  # names of those of one camera that were set
        if not self.stray:
            self.note(given)
            of_cameras(self._values(given))

    def current(self) -> dict[str, Settings]:
        """Return the settings that the parameters are now, of each camera by its name.

        Raises:
            SettingsError: values that do not go together.
        """
        return of_cameras(self._values())

    def check(self, changes: Sequence[Parameter], *, only_live: bool) -> None:
        """Refuse changes that are not allowed; those of parameters that are no settings pass.

        Args:
            changes: of some of them.
            only_live: whether the others must stay as they are.

        Raises:
            SettingsError: with the reason.
        """
        for one in changes:
            if one.type_ == Parameter.Type.NOT_SET and one.name in OPTIONS:
                raise SettingsError(f'{one.name} cannot be deleted, only be set')
        before, after = self.current(), of_cameras(self._values(changes))
        if not only_live:
            return
        for name, option in OPTIONS.items():
            for camera, settings in before.items():
                if option.live:
                    continue
                # where cameras itself has changed, another one differs in that
                other = after.get(camera, next(iter(after.values())))
                if getattr(other, name) != getattr(settings, name):
                    raise SettingsError(
                        f'{name} can be changed only while the node is unconfigured: deactivate '
                        'and clean up first'
                    )

    def check_declared(self, changes: Sequence[Parameter]) -> None:
        """Raise what rclpy raises of parameters that are not there, but with their names."""
        names = [one.name for one in changes if not self._node.has_parameter(one.name)]
        if names:
            raise ParameterNotDeclaredException(names)

    def note(self, changes: Iterable[Parameter]) -> list[Parameter]:
        """Learn what was set; parameters of cameras come and go with `cameras`.

        Returns:
            Those of single cameras that are to be set to what was set for all.
        """
        node, cameras = self._node, self._cameras()
        self._own |= {one.name for one in changes if _is_of_one_camera(one.name)}
        for name in node.get_parameters_by_prefix(''):
            if _is_of_one_camera(name) and name.partition('.')[0] not in cameras:
                node.undeclare_parameter(name)
        behind = []
        for camera in cameras:
            for name, option in OPTIONS.items():
                if option.shared or not node.has_parameter(name):
                    continue
                own, common = f'{camera}.{name}', node.get_parameter(name).value
                if not node.has_parameter(own):
                    self._declare(own, common)
                elif own not in self._own and node.get_parameter(own).value != common:
                    behind.append(Parameter(own, value=common))
        return behind

    def _cameras(self) -> list[str]:
        return self._node.get_parameter('cameras').value or []  # None for [] in a file

    def _declare(self, name: str, value: Any) -> None:
        option_name = name.rpartition('.')[2]
        option, default = OPTIONS[option_name], getattr(Settings, option_name)
        several = isinstance(default, tuple)
        described = descriptor(option, several)
        described.dynamic_typing = default == ()  # ROS takes an empty list for one of bytes
        try:
            self._node.declare_parameter(name, list(value) if several else value, described)
        except ParameterException as err:
            given = self._node._parameter_overrides[name].value
            raise SettingsError(_wrong_type(name, given, default)) from err

    def _values(self, changes: Iterable[Parameter] = ()) -> dict[str, Any]:
        """Return the values of the parameters, of single cameras those set, with some changed."""
        node = self._node
        there = [name for name in (*OPTIONS, *sorted(self._own)) if node.has_parameter(name)]
        values = {name: node.get_parameter(name).value for name in there}  # one may be deleted
        changed = {
            one.name: one.value
            for one in changes
            if one.name in OPTIONS or _is_of_one_camera(one.name)
        }
        values['cameras'] = changed.pop('cameras', values.get('cameras')) or ()
        values = {
            name: value
            for name, value in values.items()
            if '.' not in name or name.partition('.')[0] in values['cameras']
        }
        return {**values, **changed}


def _is_of_one_camera(name: str) -> bool:
    camera, _, option = name.partition('.')
    return option in OPTIONS and CAMERA_NAME.fullmatch(camera) is not None


def differences(before: Mapping[str, Settings], after: Mapping[str, Settings]) -> list[str]:
    """Say of each setting that differs what it is now, by camera."""
    return [
        f'{camera and f"{camera}."}{name} is {new!r} now, it was {old!r}'
        for camera in after
        if camera in before
        for name in OPTIONS
        if (new := getattr(after[camera], name)) != (old := getattr(before[camera], name))
    ]


def explained(result: SetParametersResult, parameters: Sequence[Parameter]) -> SetParametersResult:
    """Return the result of setting parameters; where rclpy gives numbers of types, in words."""
    if not result.reason.startswith('Wrong parameter type'):
        return result
    for one in parameters:
        default = getattr(Settings, one.name.rpartition('.')[2], one.value)
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
    """Return whether two names are as near to each other as by a slip of the hand, part by part."""
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
    if several or not option.bounds:  # ranges are for single numbers
        return described
    low, high = option.bounds
    if isinstance(low, float):
        described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        described.integer_range = [IntegerRange(from_value=low, to_value=int(high), step=1)]
    return described


def _wrong_type(name: str, given: Any, default: Any) -> str:
    """Say what was given and what is expected, and how integers become that."""
    given = given.tolist() if isinstance(given, array.array) else given
    advice = ''
    if type(given) is int and type(default) is float:
        advice = f': write {float(given)}'
    elif isinstance(given, list) and all(type(one) is int for one in given):
        advice = f': write {[float(one) for one in given]}'
    expected = f'{kind(default)}, {OPTIONS[name.rpartition(".")[2]].allowed()}'
    if isinstance(default, bool):
        expected = 'true or false'
    return f'{name} is {given!r} ({type(given).__name__}), expected {expected}{advice}'
