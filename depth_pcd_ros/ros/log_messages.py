# SPDX-License-Identifier: Apache-2.0
"""What the core logs with Python's `logging` appears in the node's log, and so on /rosout."""

from __future__ import annotations

import logging
from typing import Any

CORE = 'depth_pcd_ros'


class RosHandler(logging.Handler):
    """Hands records to a logger of rclpy, which wants each severity from a line of its own."""

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def forward(logger: Any) -> None:
    """Log what the core says, from INFO on, with a logger of rclpy."""
    core = logging.getLogger(CORE)
    core.handlers = [RosHandler(logger)]
    core.setLevel(logging.INFO)
    core.propagate = False
