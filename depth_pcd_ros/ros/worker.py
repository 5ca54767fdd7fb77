# SPDX-License-Identifier: Apache-2.0
"""The threads that turn image messages into results, so that the executor always answers."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Frame, Picture
from depth_pcd_ros.live.frame_queue import FrameQueue
from depth_pcd_ros.live.frame_statistics import Published, Statistics
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import calibration_from_msg, rgb_from_msg, stamp_ns
from depth_pcd_ros.messages.encode import (
    camera_info_message,
    cloud_message,
    depth_image_message,
    image_message,
)
from depth_pcd_ros.pipeline import Estimate, Pipeline
from depth_pcd_ros.ros.message_types import TYPES
from depth_pcd_ros.ros.scale_source import ScaleSource
from depth_pcd_ros.scale.messages import scale_message
from depth_pcd_ros.scale.tracker import ScaleState
from depth_pcd_ros.show.colorize import color_range, colorize
from depth_pcd_ros.sync.camera_infos import KEPT, RECENT, CameraInfos
from depth_pcd_ros.sync.readings import Header

Result = TypeVar('Result')

THREAD = 'depth'
# What may wait for the network with `frames: all`.
MAX_WAITING_BYTES = 2**30
MAX_RESTARTS = 5


class Arrival(NamedTuple):
    """An image message and when it arrived, in monotonic seconds."""

    msg: Any
    time: float


class Worker:
    """Works on one frame after another in threads of its own, until it is stopped.

    There are two, and two places for one of them at a time: the network, and what comes after it
    up to publishing. So a frame is published while the next is in the network, and frames stay in
    order, for a thread leaves the network only when the second place is free.

    Args:
        node: for its logger, its clock and its context.
        pipeline: what is done to a frame.
        publishers: by topic; a topic without a subscriber is not computed.
        statistics: what happens to each frame is counted here.
        scale_source: what is known about the scale of a frame.
        predecessor: stopped, but perhaps still inside the network, which takes one at a time.
    """

    def __init__(
        self,
        node: Node,
        pipeline: Pipeline,
        publishers: Mapping[str, Publisher],
        statistics: Statistics,
        scale_source: ScaleSource,
        predecessor: Worker | None = None,
    ) -> None:
        self.scale: ScaleState | None = None  # of the last frame
        self._scale_source = scale_source
        self._node = node
        self._pipeline = pipeline
        self._publishers = dict(publishers)
        self._statistics = statistics
        # Of the last messages: publish() has copied what is in it when it returns.
        self._memory = {topic: Buffer() for topic in publishers}
        self._keep_all = pipeline.settings.frames == 'all'
        self.camera_infos = CameraInfos(KEPT if self._keep_all else RECENT)
        self._queue: FrameQueue[Arrival] = FrameQueue(
            keep_all=self._keep_all, max_bytes=MAX_WAITING_BYTES
        )
        self._restarts = 0
        self._busy_since: dict[int, float] = {}  # by thread
        self._network, self._publishing = threading.Lock(), threading.Lock()
        self._died = False
        self._threads: list[threading.Thread] = []
        self._start(predecessor._threads if predecessor is not None else [])

    def stop(self, patience: float) -> None:
        """Drop what waits and end, waiting at most `patience` seconds for the frame in work."""
        self._statistics.discarded(self._queue.close())
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))

    def revive(self) -> bool:
        """Start the threads again if they have died; return False if that was tried too often."""
        if self._queue.closed or any(thread.is_alive() for thread in self._threads):
            return True
        if self._restarts == MAX_RESTARTS:
            return False
        self._restarts += 1
        self._node.get_logger().error(
            f'the working thread has died and is started again, {self._restarts} of {MAX_RESTARTS}'
        )
        self._start([])
        return True

    def busy_for(self, now: float) -> float:
        """Return how long the oldest frame in work has taken so far [s]."""
        return max((now - since for since in tuple(self._busy_since.values())), default=0.0)

    def take_camera_info(self, msg: Any) -> None:
        """Remember a CameraInfo; with the first one the work begins."""
        changed = self.camera_infos.add(
            stamp_ns(msg.header),
            msg.header.frame_id,
            calibration_from_msg(msg),
        )
        if changed:
            self._node.get_logger().info(
                'the calibration changes: its rays are computed anew each time', once=True
            )
        self._queue.open()

    def take_image(self, msg: Any) -> None:
        """Take an Image or CompressedImage to be worked on."""
        arrival = Arrival(msg, time.monotonic())
        self._statistics.received(arrival.time)
        lost = self._queue.put(arrival, len(msg.data))
        if lost is None:
            return
        if self._keep_all:
            waiting = f'{MAX_WAITING_BYTES >> 20} MiB of images wait for the network'
            self._drop(FrameError('queue_full', f'{waiting}: play the recording more slowly'))
        else:
            self._statistics.superseded()

    def count_lost(self, count: int) -> None:
        """Count images that were lost on the way here."""
        self._statistics.lost(count, time.monotonic())

    def _start(self, before: Sequence[threading.Thread]) -> None:
        self._died = False
        self._threads = [
            threading.Thread(target=self._work, args=(before,), name=THREAD, daemon=True)
            for _ in range(2)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, before: Sequence[threading.Thread]) -> None:
        me = threading.get_ident()
        self._busy_since[me] = time.monotonic()
        for thread in before:
            thread.join()
        del self._busy_since[me]
        while True:
            with self._network:
                arrival = None if self._died else self._queue.get()
                if arrival is None:
                    return
                self._busy_since[me] = time.monotonic()
                publish = self._attempt(functools.partial(self._estimate, arrival))
                if publish is not None:
                    self._publishing.acquire()
            if publish is not None:
                self._attempt(publish)
                self._publishing.release()
            del self._busy_since[me]

    def _attempt(self, step: Callable[[], Result]) -> Result | None:
        """Do something for a frame, which is dropped if that fails."""
        try:
            return step()
        except FrameError as err:
            self._drop(err)
        except Exception as err:  # whatever one frame does, the next one is tried
            self._node.get_logger().debug(traceback.format_exc())
            self._drop(FrameError('internal_error', f'{type(err).__name__}: {err}'))
        except BaseException as err:  # it is not about the frame: see `revive`
            self._died = True
            self._drop(FrameError('worker_died', f'{type(err).__name__}: {err}'))
        return None

    def _estimate(self, arrival: Arrival) -> Callable[[], None] | None:
        """Convert a frame and let the network see it; return what publishes it, if it is wanted."""
        wanted = {
            t for t, publisher in self._publishers.items() if publisher.get_subscription_count()
        }
        if not wanted:
            self._statistics.unwanted()
            return None
        header = arrival.msg.header
        stamp = stamp_ns(header)
        rgb = rgb_from_msg(arrival.msg)
        height, width = rgb.shape[:2]
        calibration = self.camera_infos.find(stamp, header.frame_id, width, height)
        evidence = self._scale_source.evidence(stamp, header.frame_id)
        picture = Picture(rgb, calibration, Header(stamp, header.frame_id), evidence)
        return functools.partial(self._publish, arrival, wanted, self._in_network(picture))

    def _publish(self, arrival: Arrival, wanted: set[str], estimate: Estimate) -> None:
        """Finish a frame and publish it."""
        if self._queue.closed:
            self._statistics.discarded(1)
            return
        frame = self._pipeline.finish(estimate)
        self.scale = frame.scale
        header = arrival.msg.header
        for topic in wanted:
            self._publishers[topic].publish(self._result(topic, frame, header))
        now = time.monotonic()
        stamp_age = self._node.get_clock().now().nanoseconds - stamp_ns(header)
        self._statistics.published(
            Published(
                time=now,
                latency=now - arrival.time,
                stamp_age=stamp_age * 1e-9,
                network_time=frame.network_time,
                valid_fraction=frame.valid_count / frame.depth.size,
            )
        )

    def _in_network(self, picture: Picture) -> Estimate:
        """Run the network, twice if the device had no room: the engine frees what it can."""
        try:
            return self._pipeline.estimate(picture)
        except FrameError as err:
            if err.cause != 'out_of_memory':
                raise
        return self._pipeline.estimate(picture)

    def _result(self, topic: str, frame: Frame, header: Any) -> Any:
        """Make the message of one topic."""
        memory = self._memory[topic]
        settings = self._pipeline.settings
        if topic == 'points':
            return cloud_message(TYPES, self._pipeline.points(frame, memory), header, memory.data)
        if topic == 'depth/image':
            return depth_image_message(TYPES, frame.depth, settings.depth_encoding, header, memory)
        if topic == 'depth/camera_info':
            return camera_info_message(TYPES, frame.calibration, header)
        if topic == 'depth/scale':
            assert frame.scale is not None  # the topic is there only with a source
            return scale_message(TYPES, frame.scale, header)
        near, far = color_range(settings.min_depth, frame.max_range)
        color = colorize(frame.depth, near, far, memory)
        return image_message(TYPES, color, 'bgr8', header, memory.data)

    def _drop(self, err: FrameError) -> None:
        if self._queue.closed or not self._node.context.ok():
            self._statistics.discarded(1)  # its publishers were taken away: not the frame's fault
            return
        count = self._statistics.dropped(err.cause, str(err), time.monotonic())
        if count:
            times = f' ({count} times so far)' if count > 1 else ''
            self._node.get_logger().error(f'frame dropped, {err.cause}: {err}{times}')
