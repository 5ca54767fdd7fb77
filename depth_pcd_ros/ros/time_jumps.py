# SPDX-License-Identifier: Apache-2.0
"""Telling when simulated time jumps, as it does when a recording starts again."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import JumpHandle, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

FORWARD = Duration(seconds=5)  # more than the step from one /clock of a fast replay to the next
BACKWARD = Duration(nanoseconds=-1)
LOG_PERIOD = 1.0  # [s]; with two replays at once, time jumps with each message


def watch(node: Node, on_jump: Callable[[float], None]) -> JumpHandle:
    """Log each jump of a node's time and call `on_jump` with the monotonic time [s].

    The latter also when the first time comes, after zero.

    Returns:
        The handle; jumps are noticed as long as it is kept.
    """

    def tell(jump: TimeJump) -> None:
        on_jump(time.monotonic())
        if jump.delta.nanoseconds == node.get_clock().now().nanoseconds:
            return  # from zero: the first time that came
        node.get_logger().info(
            f'time jumped by {jump.delta.nanoseconds * 1e-9:+.3f} s',
            throttle_duration_sec=LOG_PERIOD,
        )

    threshold = JumpThreshold(min_forward=FORWARD, min_backward=BACKWARD, on_clock_change=False)
    return node.get_clock().create_jump_callback(threshold, post_callback=tell)
