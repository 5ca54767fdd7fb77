# SPDX-License-Identifier: Apache-2.0
"""The errors of this package: `except DepthPcdError` takes all of them, and nobody else's."""


class DepthPcdError(Exception):
    """Something that a person can put right: the message has what was found and expected."""


class FrameError(DepthPcdError):
    """Why one frame gives no cloud; the next frame is tried as usual.

    Args:
        cause: stable snake_case name of the reason, counted and throttled by it.
        message: what was found and what was expected, for a person.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
