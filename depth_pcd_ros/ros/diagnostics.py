# SPDX-License-Identifier: Apache-2.0
"""The node's state as a sentence and values on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from depth_pcd_ros.ros.subscription import AdaptiveSubscription
from depth_pcd_ros.statistics import Summary

SILENT_AFTER = 2.0  # [s] without an image


def judge(
    summary: Summary,
    image: AdaptiveSubscription,
    camera_info: AdaptiveSubscription,
    has_camera_info: bool,
    active_for: float,
) -> tuple[bytes, str]:
    """Return the level and the sentence for a node that has been active for some seconds."""
    silence = summary.seconds_since_image
    if silence is None or silence > SILENT_AFTER:
        if active_for < SILENT_AFTER:
            return DiagnosticStatus.OK, 'waiting for images'
        since = 'no image yet' if silence is None else f'no image for {silence:.1f} s'
        return DiagnosticStatus.STALE, f'{since} on {image.topic_name}: {_who_publishes(image)}'
    if not has_camera_info:
        return (
            DiagnosticStatus.ERROR,
            f'no CameraInfo yet on {camera_info.topic_name}: {_who_publishes(camera_info)}',
        )
    if summary.failure:
        return DiagnosticStatus.ERROR, summary.failure
    if not summary.published:
        waiting = 'no subscriber' if summary.unwanted else 'working on the first image'
        return DiagnosticStatus.OK, waiting
    return DiagnosticStatus.OK, f'{summary.output_rate:.1f} clouds/s'


def values(summary: Summary) -> dict[str, str]:
    """Return the numbers of a summary under the names that a person reads."""
    return {
        'input rate [Hz]': f'{summary.input_rate:.2f}',
        'output rate [Hz]': f'{summary.output_rate:.2f}',
        'frames received': str(summary.received),
        'frames processed': str(summary.published),
        'frames superseded': str(summary.superseded),
        'frames nobody subscribed to': str(summary.unwanted),
        **{f'frames dropped: {cause}': str(n) for cause, n in sorted(summary.dropped.items())},
        'latency from arrival p50 [ms]': _ms(summary.latency_p50),
        'latency from arrival p99 [ms]': _ms(summary.latency_p99),
        'latency from stamp p50 [ms]': _ms(summary.stamp_age_p50),
        'latency from stamp p99 [ms]': _ms(summary.stamp_age_p99),
        'network time [ms]': _ms(summary.network_time),
        'valid fraction': f'{summary.valid_fraction:.3f}',
    }


def diagnostic_array(
    stamp: Time, name: str, level: bytes, sentence: str, pairs: Mapping[str, str]
) -> DiagnosticArray:
    """Make the message for one camera."""
    status = DiagnosticStatus(
        level=level,
        name=name,
        message=sentence,
        values=[KeyValue(key=key, value=value) for key, value in pairs.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _who_publishes(subscription: AdaptiveSubscription) -> str:
    publishers = subscription.publishers()
    if not publishers:
        return 'no publisher'
    plural = 's' if len(publishers) > 1 else ''
    incompatible = subscription.incompatible(publishers)
    return f'{len(publishers)} publisher{plural}' + (
        ', incompatible reliability' if incompatible else ', which sends nothing'
    )


def _ms(seconds: float) -> str:
    return f'{seconds * 1e3:.1f}'
