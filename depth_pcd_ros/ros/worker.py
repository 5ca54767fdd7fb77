# SPDX-License-Identifier: Apache-2.0
"""The thread that turns image messages into results, so that the executor always answers."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.publisher import Publisher

from depth_pcd_ros.colorize import color_range, colorize
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame_queue import FrameQueue
from depth_pcd_ros.memory import Memory
from depth_pcd_ros.pipeline import Frame, Pipeline
from depth_pcd_ros.ros import image_msgs
from depth_pcd_ros.ros.camera_infos import CameraInfos
from depth_pcd_ros.ros.cloud_msgs import cloud_msg
from depth_pcd_ros.ros.scale_source import ScaleSource, scale_msg
from depth_pcd_ros.scale.tracker import ScaleState
from depth_pcd_ros.statistics import Published, Statistics

THREAD = 'depth'
# What may wait for the network with `frames: all`.
MAX_WAITING_BYTES = 2**30
MAX_RESTARTS = 5


class Arrival(NamedTuple):
    """An image message and when it arrived, in monotonic seconds."""

    msg: Any
    time: float


class Worker:
    """Works on one frame after another in a thread of its own, until it is stopped.

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
        self.camera_infos = CameraInfos()
        self.scale: ScaleState | None = None  # of the last frame
        self._scale_source = scale_source
        self._node = node
        self._pipeline = pipeline
        self._publishers = dict(publishers)
        self._statistics = statistics
        # Of the last messages: publish() has copied what is in it when it returns.
        self._memory = {topic: Memory() for topic in publishers}
        self._keep_all = pipeline.settings.frames == 'all'
        self._queue: FrameQueue[Arrival] = FrameQueue(
            keep_all=self._keep_all, max_bytes=MAX_WAITING_BYTES
        )
        self._restarts = 0
        self._busy_since: float | None = None
        before = predecessor._thread if predecessor is not None else None
        self._thread: threading.Thread = self._start(before)

    def stop(self, patience: float) -> None:
        """Drop what waits and end, waiting at most `patience` seconds for the frame in work."""
        self._statistics.discarded(self._queue.close())
        self._thread.join(patience)

    def revive(self) -> bool:
        """Start the thread again if it has died; return False if that was tried too often."""
        if self._thread.is_alive() or self._queue.closed:
            return True
        if self._restarts == MAX_RESTARTS:
            return False
        self._restarts += 1
        self._node.get_logger().error(
            f'the working thread has died and is started again, {self._restarts} of {MAX_RESTARTS}'
        )
        self._thread = self._start(None)
        return True

    def busy_for(self, now: float) -> float:
        """Return how long the frame in work has taken so far [s]."""
        since = self._busy_since
        return 0.0 if since is None else now - since

    def take_camera_info(self, msg: Any) -> None:
        """Remember a CameraInfo; with the first one the work begins."""
        changed = self.camera_infos.add(
            _nanoseconds(msg.header.stamp),
            msg.header.frame_id,
            image_msgs.calibration_from_msg(msg),
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

    def _start(self, before: threading.Thread | None) -> threading.Thread:
        thread = threading.Thread(target=self._work, args=(before,), name=THREAD, daemon=True)
        thread.start()
        return thread

    def _work(self, before: threading.Thread | None) -> None:
        if before is not None:
            self._busy_since = time.monotonic()
            before.join()
            self._busy_since = None
        while (arrival := self._queue.get()) is not None:
            self._busy_since = time.monotonic()
            try:
                self._process(arrival)
            except FrameError as err:
                self._drop(err)
            except Exception as err:  # whatever one frame does, the next one is tried
                self._node.get_logger().debug(traceback.format_exc())
                self._drop(FrameError('internal_error', f'{type(err).__name__}: {err}'))
            except BaseException as err:  # it is not about the frame: see `revive`
                self._drop(FrameError('worker_died', f'{type(err).__name__}: {err}'))
                return
            finally:
                self._busy_since = None

    def _process(self, arrival: Arrival) -> None:
        """Convert, compute and publish one frame."""
        wanted = {
            t for t, publisher in self._publishers.items() if publisher.get_subscription_count()
        }
        if not wanted:
            self._statistics.unwanted()
            return
        header = arrival.msg.header
        stamp_ns = _nanoseconds(header.stamp)
        rgb = image_msgs.rgb_from_msg(arrival.msg)
        height, width = rgb.shape[:2]
        calibration = self.camera_infos.find(stamp_ns, header.frame_id, width, height)
        evidence = self._scale_source.evidence(stamp_ns, header.frame_id)
        frame = self._compute(rgb, calibration, evidence)
        self.scale = frame.scale
        if self._queue.closed:
            self._statistics.discarded(1)
            return
        for topic in wanted:
            self._publishers[topic].publish(self._result(topic, frame, header))
        now = time.monotonic()
        self._statistics.published(
            Published(
                time=now,
                latency=now - arrival.time,
                stamp_age=(self._node.get_clock().now().nanoseconds - stamp_ns) * 1e-9,
                network_time=frame.network_time,
                valid_fraction=frame.valid / frame.depth.size,
            )
        )

    def _compute(self, *inputs: Any) -> Frame:
        """Run the pipeline, twice if the device had no room: the engine frees what it can."""
        try:
            return self._pipeline.process(*inputs)
        except FrameError as err:
            if err.cause != 'out_of_memory':
                raise
        return self._pipeline.process(*inputs)

    def _result(self, topic: str, frame: Frame, header: Any) -> Any:
        """Make the message of one topic."""
        memory = self._memory[topic]
        settings = self._pipeline.settings
        if topic == 'points':
            return cloud_msg(self._pipeline.points(frame, memory), header, memory.data)
        if topic == 'depth/image':
            return image_msgs.depth_image_msg(frame.depth, settings.depth_encoding, header, memory)
        if topic == 'depth/camera_info':
            return image_msgs.camera_info_msg(frame.calibration, header)
        if topic == 'depth/scale':
            assert frame.scale is not None  # the topic is there only with a source
            return scale_msg(frame.scale, header)
        near, far = color_range(settings.min_depth, frame.max_range)
        color = colorize(frame.depth, near, far, memory)
        return image_msgs.bgr_image_msg(color, header, memory.data)

    def _drop(self, err: FrameError) -> None:
        if self._queue.closed or not self._node.context.ok():
            self._statistics.discarded(1)  # its publishers were taken away: not the frame's fault
            return
        count = self._statistics.dropped(err.cause, str(err), time.monotonic())
        if count:
            times = f' ({count} times so far)' if count > 1 else ''
            self._node.get_logger().error(f'frame dropped, {err.cause}: {err}{times}')


def _nanoseconds(stamp: Any) -> int:
    # rclpy's Time refuses the negative seconds that a broken stamp may have
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
