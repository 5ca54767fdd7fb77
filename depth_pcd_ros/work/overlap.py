# SPDX-License-Identifier: Apache-2.0
"""Three threads in a row: one produces, the caller's transforms, one consumes."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar('T')
U = TypeVar('U')

# Items that wait between two threads: enough for all three to be busy.
WAITING = 2
_POLL = 0.1  # [s] after which a waiting thread notices the end
_PATIENCE = 30.0  # [s] for a thread to finish its item at the end
_END = object()


def overlap(
    produced: Iterable[T], transform: Callable[[T], U], consume: Callable[[U], None]
) -> None:
    """Transform every item, here, while others are produced and consumed; all in order.

    An exception in one of the three ends them all and is raised here. When this returns, or
    raises (as with Ctrl-C), nothing is being produced or consumed any more.
    """
    before: queue.Queue[Any] = queue.Queue(WAITING)
    after: queue.Queue[Any] = queue.Queue(WAITING)
    stop = threading.Event()
    errors: list[BaseException] = []

    def put(to: queue.Queue[Any], item: object) -> None:
        while not stop.is_set():
            try:
                return to.put(item, timeout=_POLL)
            except queue.Full:
                continue

    def produce() -> None:
        if stop.is_set():  # interrupted while it was started
            return
        try:
            for item in produced:
                put(before, item)
                if stop.is_set():
                    return
        except BaseException as err:  # raised again in the caller's thread
            errors.append(err)
        put(before, _END)

    def consume_all() -> None:
        try:
            while (item := after.get()) is not _END and not stop.is_set():
                consume(item)
        except BaseException as err:  # raised again in the caller's thread
            errors.append(err)
            stop.set()

    threads = [
        threading.Thread(target=produce, name='read', daemon=True),
        threading.Thread(target=consume_all, name='write', daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        while not stop.is_set():
            try:
                item = before.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is _END:
                break
            put(after, transform(item))
        put(after, _END)
        while threads[1].is_alive():
            threads[1].join(_POLL)
    finally:
        stop.set()
        with contextlib.suppress(queue.Full):  # then nobody waits for an item
            after.put_nowait(_END)
        for thread in threads:
            with contextlib.suppress(RuntimeError):  # not started yet when interrupted
                thread.join(_PATIENCE)
    if errors:
        raise errors[0]
