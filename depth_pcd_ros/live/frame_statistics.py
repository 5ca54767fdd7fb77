# SPDX-License-Identifier: Apache-2.0
"""Statistics of the frames: counts, and rates and delays of the last seconds."""

from __future__ import annotations

import dataclasses
import statistics
import threading
from collections import Counter, deque
from typing import NamedTuple

WINDOW = 10.0  # [s] that rates and delays look back
LOG_PERIOD = 30.0  # [s] between two log lines of one cause
MAX_EVENTS = 2000  # events of each kind: 10 s at 200 Hz


@dataclasses.dataclass(frozen=True)
class Published:
    """One published frame; times are monotonic seconds."""

    time: float  # when it was published
    latency: float  # from arrival to published [s]
    stamp_age: float  # from the image's stamp to published, by the node's clock [s]
    arrival_age: float  # the same to its arrival
    network_time: float  # spent in the network [s]
    valid_fraction: float  # pixels with a valid depth, 0 to 1
    # pixels that are sky, 0 to 1; NaN where the network does not know it
    sky_fraction: float = float('nan')


class _Dropped(NamedTuple):
    time: float
    cause: str
    message: str


@dataclasses.dataclass
class Counts:
    """The fates of all images so far, and of the latest."""

    lost: int = 0  # lost on the way here, as the middleware says
    received: int = 0  # have arrived; each ends as one of the following, once
    published: int = 0  # gave their results
    superseded: int = 0  # replaced by a newer one before they were worked on, or in the middleware
    unwanted: int = 0  # not worked on because nobody subscribes to a result
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)  # gave no result, by cause
    idle: bool = False  # nobody wanted the latest
    failure: str = ''  # why the latest was dropped, '' if it was not


@dataclasses.dataclass(kw_only=True)
class Summary(Counts):
    """The state at one moment; delays are [s] over the last seconds, NaN without a frame."""

    seconds_since_image: float | None  # None before the first
    seconds_since_published: float | None  # None before the first
    lately_dropped: Counter[str]  # frames dropped in the last seconds, by cause
    latest_drop: str  # why the latest of these was dropped
    lately_lost: int  # images lost on the way in the last seconds
    lately_received: int  # and arrived
    input_rate: float  # of the last seconds [Hz]
    output_rate: float  # the same
    latency_p50: float
    latency_p99: float
    stamp_age_p50: float
    stamp_age_p99: float
    arrival_age: float  # of the stamps when their images arrived, by the node's clock, median [s]
    network_time: float
    valid_fraction: float
    sky_fraction: float


class Statistics:
    """Counts frames; safe to use from several threads. `now` is monotonic time [s]."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()
        self._logged: dict[str, float] = {}
        self._jumped = float('-inf')
        self._losses: deque[tuple[float, int]] = deque(maxlen=MAX_EVENTS)
        self._arrivals: deque[float] = deque(maxlen=MAX_EVENTS)
        self._results: deque[Published] = deque(maxlen=MAX_EVENTS)
        self._drops: deque[_Dropped] = deque(maxlen=MAX_EVENTS)

    def lost(self, count: int, now: float) -> None:
        """Count images that were lost on the way here."""
        with self._lock:
            self._counts.lost += count
            self._losses.append((now, count))

    def received(self, now: float) -> None:
        """Count an image that has arrived."""
        with self._lock:
            self._counts.received += 1
            self._arrivals.append(now)

    def superseded(self) -> None:
        """Count an image that a newer one has replaced."""
        with self._lock:
            self._counts.superseded += 1

    def replaced(self, count: int, now: float) -> None:
        """Count images that have arrived, but were superseded before anybody took them."""
        with self._lock:
            self._counts.received += count
            self._counts.superseded += count
            self._arrivals.extend([now] * count)

    def unwanted(self) -> None:
        """Count an image that was not worked on because nobody subscribes to a result."""
        with self._lock:
            self._counts.unwanted += 1
            self._counts.idle = True
            self._counts.failure = ''

    def dropped(self, cause: str, message: str, now: float) -> int:
        """Count an image that gave no cloud.

        Returns:
            How often this cause has occurred if it is time to log it, which it is the first time
            and then every `LOG_PERIOD`; else 0.
        """
        with self._lock:
            self._counts.dropped[cause] += 1
            self._counts.idle = False
            self._counts.failure = message
            self._drops.append(_Dropped(now, cause, message))
            if now - self._logged.get(cause, -LOG_PERIOD) < LOG_PERIOD:
                return 0
            self._logged[cause] = now
            return self._counts.dropped[cause]

    def discarded(self, count: int) -> None:
        """Count images that were dropped because the node was deactivated: not a failure."""
        with self._lock:
            if count:
                self._counts.dropped['deactivated'] += count
            self._counts.failure = ''

    def published(self, frame: Published) -> None:
        """Count a published frame."""
        with self._lock:
            self._counts.published += 1
            self._counts.idle = False
            self._counts.failure = ''
            self._results.append(frame)

    def time_jumped(self, now: float) -> None:
        """Forget the ages of stamps: they are of another time than the node's clock."""
        with self._lock:
            self._jumped = now

    def summary(self, now: float) -> Summary:
        """Sum up, with rates and delays of the last `WINDOW` seconds."""
        with self._lock:
            arrivals = [time for time in self._arrivals if now - time <= WINDOW]
            results = [frame for frame in self._results if now - frame.time <= WINDOW]
            drops = [drop for drop in self._drops if now - drop.time <= WINDOW]
            latencies = [frame.latency for frame in results]
            timed = [frame for frame in results if frame.time - frame.latency > self._jumped]
            stamp_ages = [frame.stamp_age for frame in timed]
            arrival_ages = [frame.arrival_age for frame in timed]
            return Summary(
                **{**vars(self._counts), 'dropped': self._counts.dropped.copy()},
                seconds_since_image=now - self._arrivals[-1] if self._arrivals else None,
                seconds_since_published=now - self._results[-1].time if self._results else None,
                lately_dropped=Counter(drop.cause for drop in drops),
                latest_drop=drops[-1].message if drops else '',
                lately_lost=sum(count for time, count in self._losses if now - time <= WINDOW),
                lately_received=len(arrivals),
                input_rate=_rate(arrivals, now),
                output_rate=_rate([frame.time for frame in results], now),
                latency_p50=_quantile(latencies, 0.50),
                latency_p99=_quantile(latencies, 0.99),
                stamp_age_p50=_quantile(stamp_ages, 0.50),
                stamp_age_p99=_quantile(stamp_ages, 0.99),
                arrival_age=_quantile(arrival_ages, 0.50),
                network_time=_quantile([frame.network_time for frame in results], 0.50),
                valid_fraction=results[-1].valid_fraction if results else float('nan'),
                sky_fraction=results[-1].sky_fraction if results else float('nan'),
            )


def _rate(times: list[float], now: float) -> float:
    """Return the events a second since the first of `times` [Hz]; it falls when they cease."""
    if len(times) < 2 or now <= times[0]:
        return 0.0
    return (len(times) - 1) / (now - times[0])


def _quantile(values: list[float], q: float) -> float:
    if not values:
        return float('nan')
    ordered = sorted(values)
    if q == 0.5:
        return statistics.median(ordered)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]
