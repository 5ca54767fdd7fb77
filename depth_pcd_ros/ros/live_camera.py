# SPDX-License-Identifier: Apache-2.0
"""One camera of the active node: what is received, and the way of its frames to the results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image

from depth_pcd_ros.engine import Engine
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Frame, Picture, Points
from depth_pcd_ros.geometry.rectification import rectified_advice
from depth_pcd_ros.live.frame_statistics import Published, Statistics, Summary
from depth_pcd_ros.live.worker import Job, Worker
from depth_pcd_ros.memory import Buffer
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.motion.steadiness import Steadiness
from depth_pcd_ros.pipeline import Estimate, Pipeline, Prepared, estimate_batch
from depth_pcd_ros.ros import diagnostics, qos
from depth_pcd_ros.ros.live_calibrations import LiveCalibrations
from depth_pcd_ros.ros.merged_points import MergedPoints
from depth_pcd_ros.ros.odometry_source import OdometrySource
from depth_pcd_ros.ros.publishers import Publishers
from depth_pcd_ros.ros.scale_source import ScaleSource, diagnostic_values
from depth_pcd_ros.ros.subscription import AdaptiveSubscription, image_topic
from depth_pcd_ros.ros.unprojection import UnprojectionAdvice
from depth_pcd_ros.scale.tracker import ScaleState
from depth_pcd_ros.settings import Settings, SettingsError
from depth_pcd_ros.sync.readings import Header

MAX_WAITING_BYTES = 2**30  # of images that wait for the network with `frames: all`


def prefix(name: str) -> str:
    """What precedes the names of a camera's topics; nothing for the only one."""
    return f'{name}/' if name else ''


def in_network(engine: Engine, prepared: Sequence[Prepared]) -> list[Estimate]:
    """Run the network, twice if the device had no room: the engine frees what it can."""
    try:
        return estimate_batch(engine, prepared, may_stay=True)
    except FrameError as err:
        if err.cause != 'out_of_memory':
            raise
    return estimate_batch(engine, prepared, may_stay=True)


class LiveCamera:
    """Receives in the executor and lets a `Worker` compute, until it is stopped.

    Args:
        settings: as they are when it begins.
        name: of the camera; '': it is the only one.
        publishers: where the results go; a topic without a subscriber is not computed.
        worker: does the work; it may have that of other cameras, too.
        merged: gets the points of this camera, too; None: there is no merged cloud.

    Raises:
        SettingsError: a `qos_overrides` parameter has an unknown value.
    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        *,
        name: str,
        pipeline: Pipeline,
        publishers: Publishers,
        worker: Worker[Prepared, Estimate],
        merged: MergedPoints | None,
        statistics: Statistics,
    ) -> None:
        self._node = node
        self._name = name
        self._pipeline = pipeline
        self._publishers = publishers
        self._worker = worker
        self._merged = merged
        self._statistics = statistics
        self._since = time.monotonic()
        self._keep_all = settings.frames == 'all'
        self._unprojection = UnprojectionAdvice(node, settings, prefix(name))
        self._scale: ScaleState | None = None  # of the last frame
        self._steadiness: Steadiness | None = None  # the same
        self._odometry_problem = ''  # why its topic cannot be listened to
        self._size: tuple[int, int] | None = None  # of it, width and height
        with contextlib.ExitStack() as ends:  # what has begun ends if the rest cannot begin
            queue = worker.queue
            self._lane = queue.add_lane(keep_all=self._keep_all, max_bytes=MAX_WAITING_BYTES)
            ends.callback(lambda: statistics.discarded(self._lane.close()))
            self._scale_source = ScaleSource(node, settings, prefix(name))
            ends.callback(self._scale_source.destroy)
            self._odometry = OdometrySource(node, settings, prefix(name))
            ends.callback(self._odometry.destroy)
            self._calibrations = LiveCalibrations(
                node, settings, on_begin=self._lane.open, prefix=prefix(name)
            )
            ends.callback(self._calibrations.destroy)
            self._image = AdaptiveSubscription(
                node,
                *image_topic(node, settings.image_transport, prefix(name)),
                self._take_image,
                depth=qos.INPUT_DEPTH[settings.frames],
                on_lost=lambda count: statistics.lost(count, time.monotonic()),
                on_replaced=self._count_replaced,
            )
            ends.callback(self._image.destroy)
            self._ends = ends.pop_all()
        node.get_logger().info(
            f'listening to {self._image.topic_name} and {self._calibrations.topic_names}'
        )
        advice = rectified_advice(self._image.topic_name, settings.rectified)
        if advice:
            node.get_logger().warning(advice)

    def stop(self) -> None:
        """Receive nothing more, and drop what waits."""
        self._ends.close()

    def check(self) -> None:
        """Adapt to the publishers, and look who subscribes."""
        self._check_odometry()
        self._scale_source.check(self._pipeline.settings)
        for subscription in (self._image, *self._calibrations.subscriptions):
            subscription.check()
        self._unprojection.check(self._calibrations.newest)

    def judge(self, summary: Summary, now: float) -> tuple[bytes, str]:
        """Return the level and the sentence for the diagnostics."""
        return diagnostics.judge(
            summary,
            self._image,
            self._calibrations,
            active_for=now - self._since,
            busy_for=self._worker.busy_for(now),
            problem=self._odometry_problem or self._scale_problem() or self._merged_problem(),
            live=not self._keep_all,
            min_confidence=self._pipeline.settings.min_confidence,
        )

    def scale_values(self) -> dict[str, str]:
        """Return what was done to scale and depth under the names that a person reads."""
        values = {} if self._scale is None else diagnostic_values(self._scale)
        if self._steadiness is not None:
            values['temporal filter motion'] = self._steadiness.motion
            values['temporal filter not mixed because'] = self._steadiness.reason
        return values

    def _check_odometry(self) -> None:
        """Begin to listen to it where the parameters ask for that now, if its QoS lets us."""
        before, self._odometry_problem = self._odometry_problem, ''
        try:
            self._odometry.check(self._pipeline.settings)
        except SettingsError as err:
            self._odometry_problem = f'no odometry: {err}'
            if before != self._odometry_problem:
                self._node.get_logger().error(self._odometry_problem)

    def _take_image(self, msg: Any) -> None:
        """Let an Image or CompressedImage wait to be worked on."""
        arrived = time.monotonic()
        self._statistics.received(arrived)
        wanted: list[str] = []
        job = Job(
            partial(self._prepare, msg, wanted),
            partial(self._finish, msg.header, arrived, self._age(msg.header), wanted),
            self._drop,
        )
        lost = self._lane.put(job, len(msg.data), self._size_of(msg))
        if lost is None:
            return
        if self._keep_all:
            waiting = f'{MAX_WAITING_BYTES >> 20} MiB of images wait for the network'
            self._drop(FrameError('queue_full', f'{waiting}: play the recording more slowly'))
        else:
            self._statistics.superseded()

    def _count_replaced(self, count: int) -> None:
        """Count images that newer ones have replaced before the executor came to them."""
        count_them = self._statistics.lost if self._keep_all else self._statistics.replaced
        count_them(count, time.monotonic())

    def _size_of(self, msg: Any) -> tuple[int, int, str] | None:
        """Sizes of image and depth; as the one before, where only decoding it would tell."""
        size = (msg.width, msg.height) if isinstance(msg, Image) else self._size
        return size and (*size, self._pipeline.settings.resolution)

    def _prepare(self, msg: Any, wanted: list[str]) -> Prepared | None:
        """Convert a message for the network; put the topics that are wanted into the list."""
        wanted += self._publishers.wanted()
        if not wanted and not self._is_merged():
            self._statistics.unwanted()
            return None
        header = Header(stamp_ns(msg.header), msg.header.frame_id)
        rgb = rgb_from_msg(msg)
        height, width = rgb.shape[:2]
        self._size = width, height
        calibration = self._calibrations.find(header, width, height)
        evidence = self._odometry.add_to(self._scale_source.evidence(header), header)
        return self._pipeline.prepare(Picture(rgb, calibration, header, evidence))

    def _finish(
        self,
        header: Any,
        arrived: float,
        arrival_age: float,
        wanted: list[str],
        estimate: Estimate,
    ) -> None:
        """Finish a frame and publish it."""
        if self._lane.closed:
            self._statistics.discarded(1)
            return
        confident = 'depth/confidence' in wanted
        frame = self._pipeline.finish(estimate, with_confidence=confident)
        self._scale, self._steadiness = frame.scale, frame.steadiness
        packed: list[Points] = []

        def points(frame: Frame, memory: Buffer | None = None) -> Points:
            """Pack the points, once for the camera's own cloud and the merged one."""
            if not packed:
                packed.append(self._pipeline.points(frame, memory))
            return packed[0]

        settings = self._pipeline.settings
        self._publishers.publish(wanted, frame, header, settings, points)
        if self._merged is not None and self._is_merged():
            self._merged.add(self._name, header, points(frame), settings)
        now = time.monotonic()
        self._statistics.published(
            Published(
                time=now,
                latency=now - arrived,
                stamp_age=self._age(header),
                arrival_age=arrival_age,
                network_time=frame.network_time,
                valid_fraction=frame.valid_fraction,
                sky_fraction=float('nan') if frame.sky is None else float(frame.sky.mean()),
            )
        )

    def _age(self, header: Any) -> float:
        """Return how old a stamp is by the node's clock, which may be a simulated one [s]."""
        return (self._node.get_clock().now().nanoseconds - stamp_ns(header)) * 1e-9

    def _drop(self, err: FrameError) -> None:
        if self._lane.closed or not self._node.context.ok():
            self._statistics.discarded(1)  # its publishers were taken away: not the frame's fault
            return
        count = self._statistics.dropped(err.cause, str(err), time.monotonic())
        if count:
            times = f' ({count} times so far)' if count > 1 else ''
            who = f'{self._name}: ' if self._name else ''
            self._node.get_logger().error(f'{who}frame dropped, {err.cause}: {err}{times}')

    def _is_merged(self) -> bool:
        return self._merged is not None and self._merged.wanted()

    def _merged_problem(self) -> str:
        return '' if self._merged is None else self._merged.problem(self._name)

    def _scale_problem(self) -> str:
        """Say why the scale is frozen; '' where it is not."""
        state, settings = self._scale, self._pipeline.settings
        if state is None or not state.frozen(settings.scale_timeout):
            return ''
        who = ''
        if state.cause in ('silent', 'stale'):
            who = self._scale_source.who_publishes()
        elif state.cause == 'no_odometry':
            who = self._odometry.who_publishes()
        return f'scale frozen at {state.scale:.3f}: {state.reason}{who and f" ({who})"}'
