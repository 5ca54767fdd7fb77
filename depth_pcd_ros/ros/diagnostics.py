# SPDX-License-Identifier: Apache-2.0
"""The node's state as a sentence and values on /diagnostics."""

from __future__ import annotations

import math
import re

from diagnostic_msgs.msg import DiagnosticStatus

from depth_pcd_ros.engine import Engine
from depth_pcd_ros.live.frame_statistics import WINDOW, Summary
from depth_pcd_ros.ros import transport
from depth_pcd_ros.ros.live_calibrations import LiveCalibrations
from depth_pcd_ros.ros.subscription import AdaptiveSubscription

SILENT_AFTER = 2.0  # [s] without an image
STUCK_AFTER = 5.0  # [s] on one frame
MAX_ARRIVAL_AGE = 1.0  # [s], of stamps
FAILED_AFTER = 1.0  # [s] without a result while frames are dropped
# Images lost on the way in the last seconds that are worth a warning: so many, and this part.
MANY_LOST, MUCH_LOST = 5, 0.1


def judge(
    summary: Summary,
    image: AdaptiveSubscription,
    calibrations: LiveCalibrations,
    *,
    active_for: float,
    busy_for: float,
    problem: str = '',
    live: bool = True,
    min_confidence: float = 0.0,
) -> tuple[bytes, str]:
    """Return the level and the sentence of an active node.

    Args:
        summary: what has happened to the frames.
        image: the subscription to the images.
        calibrations: those that have arrived.
        active_for: how long it has been active [s].
        busy_for: how long it has worked on the frame in work [s].
        problem: what is not as it should be beside, such as why the scale is frozen, or ''.
        live: the stamps should be those of now.
        min_confidence: the parameter.
    """
    lost, expected = summary.lately_lost, summary.lately_lost + summary.lately_received
    losses = f'{lost} of {expected} images lost on the way in the last {WINDOW:g} s'
    silence = summary.seconds_since_image
    if silence is None or silence > SILENT_AFTER:
        if active_for < SILENT_AFTER:
            return DiagnosticStatus.OK, 'waiting for images'
        since = 'no image yet' if silence is None else f'no image for {silence:.1f} s'
        why = image.who_publishes()
        if lost and not why.startswith('no publisher'):
            why = f'{losses}, {transport.advice()}'
        return DiagnosticStatus.STALE, f'{since} on {image.topic_name}: {why}'
    if not calibrations.known:
        return (
            DiagnosticStatus.ERROR,
            f'no CameraInfo yet on {calibrations.topic_names}: {calibrations.who_publishes()}; '
            'a camera that has none needs hfov',
        )
    if busy_for > STUCK_AFTER:
        return DiagnosticStatus.WARN, f'a frame has been in the network for {busy_for:.1f} s'
    unpublished = summary.seconds_since_published
    if summary.failure and (unpublished is None or unpublished > FAILED_AFTER):
        return DiagnosticStatus.ERROR, summary.failure
    rate = f'{summary.output_rate:.1f} results/s'
    if lost >= MANY_LOST and lost > MUCH_LOST * expected:
        return DiagnosticStatus.WARN, f'{rate}, {losses}: {transport.advice()}'
    if summary.lately_dropped:
        level = DiagnosticStatus.WARN
        if 'queue_full' in summary.lately_dropped:  # `frames: all` has promised every one
            level = DiagnosticStatus.ERROR
        count = sum(summary.lately_dropped.values())
        return (
            level,
            f'{rate}, {count} dropped in the last {WINDOW:g} s, the last: {summary.latest_drop}',
        )
    if summary.idle:
        return DiagnosticStatus.OK, 'no subscriber'
    if unpublished is None:
        return DiagnosticStatus.OK, 'working on the first image'
    if summary.sky_fraction == 1.0:
        return DiagnosticStatus.OK, f'{rate}, the last is all sky: there is nothing to measure'
    if summary.valid_fraction == 0.0:
        see = 'min_depth, max_range, edge_filter' + (', min_confidence' if min_confidence else '')
        return DiagnosticStatus.WARN, f'{rate}, the last without a valid point: see {see}'
    if live and abs(summary.arrival_age) > MAX_ARRIVAL_AGE:
        age = f'{summary.arrival_age:.1f} s old'
        if summary.arrival_age < 0.0:
            age = f'{-summary.arrival_age:.1f} s in the future'
        return DiagnosticStatus.WARN, (
            f'{rate}, stamps are {age} when the images arrive: do the clocks of camera and node '
            'differ? A recording wants use_sim_time, and somebody who publishes /clock'
        )
    if problem:
        return DiagnosticStatus.WARN, f'{rate}, {problem}'
    if calibrations.assumed:
        return DiagnosticStatus.OK, f'{rate}, {calibrations.assumed}'
    return DiagnosticStatus.OK, rate


class Repetition:
    """Tells whether a sentence is to be logged: when it is new, and again after `period` [s]."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._last = ('', 0.0)

    def __call__(self, sentence: str, now: float) -> bool:
        """Return whether it is due; sentences that differ in their numbers count as one."""
        words = re.sub(r'[\d.]+', '', sentence)
        if self._last[0] == words and now - self._last[1] < self._period:
            return False
        self._last = (words, now)
        return True


def engine_values(engine: Engine) -> dict[str, str]:
    """Return what is known about the engine under the names that a person reads."""
    memory = engine.device_memory()
    return {
        'model': engine.model,
        'device': engine.device,
        'precision': engine.precision,
        **({'difference from fp32': engine.proof} if engine.proof else {}),
        **({} if memory is None else {'GPU memory [MiB]': f'{memory / 2**20:.0f}'}),
    }


def values(summary: Summary) -> dict[str, str]:
    """Return the numbers of a summary under the names that a person reads."""
    sky = summary.sky_fraction
    return {
        'input rate [Hz]': f'{summary.input_rate:.2f}',
        'output rate [Hz]': f'{summary.output_rate:.2f}',
        'frames lost on the way': str(summary.lost),
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
        **({} if math.isnan(sky) else {'sky fraction': f'{sky:.3f}'}),
    }


def _ms(seconds: float) -> str:
    return f'{seconds * 1e3:.1f}'
