# SPDX-License-Identifier: Apache-2.0
"""A node for the length of one command, in a context of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future


class Visit:
    """A node and the executor that spins it."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        self.node = node
        self._executor = executor

    def spin(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Work on what comes in until it is done, for some time at most; return whether it is."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if left <= 0.0:
                return False
            self._executor.spin_once(timeout_sec=min(left, 0.1))
        return True

    @contextlib.contextmanager
    def spinning(self) -> Iterator[None]:
        """Work on what comes in, in a thread."""
        end = Future()
        thread = threading.Thread(target=self._executor.spin_until_future_complete, args=(end,))
        thread.start()
        try:
            yield
        finally:
            end.set_result(None)
            thread.join()


@contextlib.contextmanager
def visit(name: str, remapping: Mapping[str, str] | None = None) -> Iterator[Visit]:
    """Have a node of this name that logs warnings only; Ctrl-C is left to Python.

    Args:
        name: of the node.
        remapping: topics by the names that they are remapped from; empty ones stay.
    """
    rules = [part for a, b in (remapping or {}).items() if a and b for part in ('-r', f'{a}:={b}')]
    context = rclpy.Context()
    rclpy.init(args=['--ros-args', *rules] if rules else [], context=context)
    node = rclpy.create_node(name, context=context)
    node.get_logger().set_level(rclpy.logging.LoggingSeverity.WARN)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield Visit(node, executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
