# SPDX-License-Identifier: Apache-2.0
"""Forward what the core logs with Python's `logging` to the node's log, and so to /rosout."""

from __future__ import annotations

import logging
from typing import Any

CORE = 'depth_pcd_ros'


class RosHandler(logging.Handler):
    """Hands records to a logger of rclpy, which wants each severity from a line of its own."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; nobody who logs is hit by an error of the logger."""
        try:
            text = self.format(record)  # with the traceback, if it has one
            if record.levelno >= logging.ERROR:
                self._logger.error(text)
            elif record.levelno >= logging.WARNING:
                self._logger.warning(text)
            elif record.levelno >= logging.INFO:
                self._logger.info(text)
            else:
                self._logger.debug(text)
        except Exception:
            self.handleError(record)


def forward(logger: Any) -> None:
    """Log what the core says with a logger of rclpy, whose level decides."""
    core = logging.getLogger(CORE)
    core.handlers = [RosHandler(logger)]
    core.setLevel(logging.DEBUG)
    core.propagate = False
