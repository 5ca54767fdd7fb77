# SPDX-License-Identifier: Apache-2.0
"""The errors of this package: `except DepthPcdError` takes all of them, and nobody else's."""

from __future__ import annotations

from typing import Literal

# Why a frame gives no cloud: a stable name, counted and throttled by. docs/diagnostics.md has what
# each means and what helps.
Cause = Literal[
    # the CameraInfo
    'no_camera_info',
    'frame_id_mismatch',
    'size_mismatch',
    'camera_not_calibrated',
    'bad_camera_size',
    'bad_calibration',
    'bad_intrinsics',
    'bad_roi',
    'bad_binning',
    'bad_rotation',
    'bad_distortion',
    'unknown_distortion_model',
    'no_intrinsics',
    # the image
    'empty_image',
    'short_data',
    'bad_step',
    'odd_size',
    'unknown_encoding',
    'unknown_format',
    'corrupt_picture',
    # files
    'corrupt_video',
    'no_heif',
    'no_picture',
    'unknown_input',
    # what evaluate compares with
    'no_truth',
    'no_depth',
    'truth_camera',
    'truth_empty',
    'truth_frame',
    'truth_size',
    'truth_unit',
    'truth_unreadable',
    'nothing_valid',
    # the network and the node
    'aspect_ratio',
    'network_not_finite',
    'network_failed',
    'out_of_memory',
    'device_lost',
    'queue_full',
    'internal_error',
    'worker_died',
]


class DepthPcdError(Exception):
    """Something that a person can put right: the message has what was found and expected."""


class CauseError(DepthPcdError):
    """An error that is counted by its cause.

    Args:
        cause: stable snake_case name of the reason.
        message: what was found and what was expected, for a person.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class FrameError(CauseError):
    """One frame gives no cloud, for a `Cause`; the next frame is tried as usual."""

    cause: Cause

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(cause, message)


class DeviceLostError(DepthPcdError):
    """A device fails for good: no frame of this process will go through it any more."""
