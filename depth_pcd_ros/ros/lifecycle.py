# SPDX-License-Identifier: Apache-2.0
"""Behaviour that the lifecycle nodes of rclpy in Humble and Jazzy lack."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode


def answer_forbidden_transitions(node: LifecycleNode) -> None:
    """Let a transition that the state forbids be answered with `success: false`.

    Since Kilted that is so. Before, its RCLError, a RuntimeError, came out of `spin` and ended the
    node.
    """
    service = node._service_change_state  # the same from Humble to Kilted
    change = service.callback

    def answer(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RuntimeError as err:
            node.get_logger().error(f'this transition is not possible now: {err}')
            response.success = False
            return response

    service.callback = answer
