# SPDX-License-Identifier: Apache-2.0
"""The error that drops one frame, with a name that the diagnostics can count."""


class FrameError(ValueError):
    """Why one frame gives no cloud; the next frame is tried as usual.

    Args:
        cause: stable snake_case name of the reason, counted and throttled by it.
        message: what was found and what was expected, for a person.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
