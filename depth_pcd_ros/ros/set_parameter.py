# SPDX-License-Identifier: Apache-2.0
"""depth-pcd set: change a parameter of a running node, where there is no ros2 command."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any

from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter

from depth_pcd_ros.arguments import value_of
from depth_pcd_ros.ros.visit import Visit, visit
from depth_pcd_ros.settings import OPTIONS

PATIENCE = 5.0  # [s] for the node to be found
ANSWER_PATIENCE = 10.0  # [s]
UNDECLARED = 'Invalid access to undeclared'  # what rclpy says of a parameter that is not there
STATE_SERVICE = '/change_state'  # what a lifecycle node has


def main(args: argparse.Namespace) -> int:
    """Set `args.name` to `args.value` at `args.node`; return the exit code."""
    value = value_of(args.name, args.value)
    reason = f'{args.value!r} is no value of a parameter'
    if value is not None:
        with visit('depth_pcd_set') as found:
            reason = _set(found, args.node, args.name, value)
    if reason:
        print(f'depth-pcd set: {reason}', file=sys.stderr)
        return 1
    print(f'{args.name} is {value} now')
    return 0


def _set(found: Visit, name: str, parameter: str, value: Any) -> str:
    """Return why it was not set, '' if it was."""
    name = f'/{name.strip("/")}'
    client = found.node.create_client(SetParametersAtomically, f'{name}/set_parameters_atomically')
    if not found.spin(PATIENCE, client.service_is_ready):
        services = (service for service, _ in found.node.get_service_names_and_types())
        others = sorted(
            service.removesuffix(STATE_SERVICE)
            for service in services
            if service.endswith(STATE_SERVICE)
        )
        return f'there is no node {name} here; lifecycle nodes: {", ".join(others) or "none"}'
    try:
        message = Parameter(parameter, value=value).to_parameter_msg()
    except (TypeError, ValueError):
        return f'{value!r} is no value of a parameter'
    answer = client.call_async(SetParametersAtomically.Request(parameters=[message]))
    if not found.spin(ANSWER_PATIENCE, answer.done):
        return (
            f'{name} has not answered in {ANSWER_PATIENCE:g} s; if it is still loading its model, '
            'it does what was asked afterwards'
        )
    result = answer.result().result
    if result.successful:
        return ''
    if result.reason.startswith(UNDECLARED):
        return f'{name} has no parameter {parameter}{_meant(parameter)}'
    return str(result.reason) or f'{name} has refused it'


def _meant(parameter: str) -> str:
    """Say what may be meant by the name of a parameter that is not there."""
    camera, dot, own = parameter.rpartition('.')
    if camera and own in OPTIONS:
        shared = OPTIONS[own].shared
        return f': {own} is of all cameras' if shared else f': {camera} is none of its cameras'
    close = difflib.get_close_matches(own, OPTIONS, 1)
    return ''.join(f': is it {camera}{dot}{one}?' for one in close)
