# SPDX-License-Identifier: Apache-2.0
"""depth-pcd doctor --watch: the diagnostics of the nodes, where there is no ros2 command."""

from __future__ import annotations

import os
import sys
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from depth_pcd_ros.ros.visit import visit

LEVELS = {
    DiagnosticStatus.OK: 'OK',
    DiagnosticStatus.WARN: 'WARN',
    DiagnosticStatus.ERROR: 'ERROR',
    DiagnosticStatus.STALE: 'STALE',
}
SILENCE = 5.0  # [s] after which a person wonders
CLEAR = '\x1b[H\x1b[2J'  # for a terminal: cursor to the upper left, and clear


def watch() -> None:
    """Print the status of each node of this package, each second, for as long as it is read."""
    newest: dict[str, Any] = {}
    changed: list[bool] = []

    def take(status: Any) -> None:
        newest[status.name] = status
        changed.append(True)

    with visit('depth_pcd_doctor') as found:
        listen(found.node, take)
        while True:
            if not found.spin(SILENCE, lambda: bool(changed)):
                print('no diagnostics: does a node run, in this ROS_DOMAIN_ID?', file=sys.stderr)
                continue
            changed.clear()
            start = CLEAR if sys.stdout.isatty() else ''
            try:
                print(start + '\n'.join(block(one) for one in newest.values()), flush=True)
            except BrokenPipeError:  # the reader, such as head, has ended
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return


def listen(node: Node, take: Any) -> None:
    """Give each status of a node of this package to a function."""

    def sort(array: Any) -> None:
        for status in array.status:
            if 'depth camera' in status.name:
                take(status)

    node.create_subscription(DiagnosticArray, '/diagnostics', sort, 10)


def block(status: Any) -> str:
    """Return a status as lines: the sentence, and its values below."""
    width = max((len(pair.key) for pair in status.values), default=0)
    values = [f'    {pair.key:{width}}  {pair.value}' for pair in status.values]
    return '\n'.join([headline(status), *values])


def headline(status: Any) -> str:
    """Return a status as one line."""
    return f'{LEVELS.get(status.level, status.level)} {status.name}: {status.message}'
