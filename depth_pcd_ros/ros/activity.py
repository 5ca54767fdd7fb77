# SPDX-License-Identifier: Apache-2.0
"""What the node has only while it is active: its subscriptions and the worker that they feed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo

from depth_pcd_ros.live.frame_statistics import Statistics, Summary
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros import diagnostics
from depth_pcd_ros.ros.scale_source import ScaleSource, diagnostic_values
from depth_pcd_ros.ros.subscription import AdaptiveSubscription, image_topic
from depth_pcd_ros.ros.worker import Worker
from depth_pcd_ros.settings import Settings

# Messages that the middleware keeps: the newest, or with `frames: all` enough for a busy executor.
DEPTH = {'latest': 1, 'all': 100}
# image_rect, image_rect_color, image_rect/compressed, rect/image: as image_proc and drivers name it
RECTIFIED = re.compile(r'[/_]rect(ified)?([/_]|$)')
PATIENCE = 0.5  # [s] that the end waits for the frame in work


class Activity:
    """Receives in the executor and lets a `Worker` compute, until it is stopped.

    Args:
        node: the node whose topics these are.
        settings: as they are when it begins.
        pipeline: what is done to a frame.
        publishers: by topic; a topic without a subscriber is not computed.
        statistics: what happens to each frame is counted here.
        predecessor: stopped, but perhaps with a frame still inside the network.

    Raises:
        SettingsError: a `qos_overrides` parameter has an unknown value.
    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        pipeline: Pipeline,
        publishers: Mapping[str, Publisher],
        statistics: Statistics,
        predecessor: Activity | None = None,
    ) -> None:
        depth = DEPTH[settings.frames]
        self._pipeline = pipeline
        self._since = time.monotonic()
        self._subscriptions: list[AdaptiveSubscription] = []
        self._scale_source = ScaleSource(node, settings)
        self._worker: Worker = Worker(
            node,
            pipeline,
            publishers,
            statistics,
            self._scale_source,
            predecessor=predecessor._worker if predecessor is not None else None,
        )
        try:
            take = self._worker.take_camera_info
            self._camera_info = AdaptiveSubscription(
                node, CameraInfo, 'camera_info', take, depth, latched=True
            )
            self._subscriptions.append(self._camera_info)
            self._image = AdaptiveSubscription(
                node,
                *image_topic(node, settings.image_transport),
                self._worker.take_image,
                depth,
                self._worker.count_lost,
            )
            self._subscriptions.append(self._image)
        except Exception:
            self.stop()
            raise
        node.get_logger().info(
            f'listening to {self._image.topic_name} and {self._camera_info.topic_name}'
        )
        if RECTIFIED.search(self._image.topic_name) and not settings.rectified:
            node.get_logger().warning(
                f'images called {self._image.topic_name} are mostly rectified, but rectified is '
                'false: K and D are used, not P'
            )

    def stop(self) -> None:
        """Receive nothing more, drop what waits, and wait a moment for the frame in work."""
        while self._subscriptions:
            self._subscriptions.pop().destroy()
        self._scale_source.destroy()
        self._worker.stop(PATIENCE)

    def check(self) -> bool:
        """Adapt to the publishers, revive the worker; return False if that one is hopeless."""
        if not self._worker.revive():
            return False
        for subscription in (*self._subscriptions, *self._scale_source.subscriptions):
            subscription.check()
        return True

    def judge(self, summary: Summary, now: float) -> tuple[bytes, str]:
        """Return the level and the sentence for the diagnostics."""
        return diagnostics.judge(
            summary,
            self._image,
            self._camera_info,
            has_camera_info=len(self._worker.camera_infos) > 0,
            active_for=now - self._since,
            busy_for=self._worker.busy_for(now),
            scale_problem=self._scale_problem(),
        )

    def scale_values(self) -> dict[str, str]:
        """Return the correction of the scale under the names that a person reads."""
        state = self._worker.scale
        return {} if state is None else diagnostic_values(state)

    def _scale_problem(self) -> str:
        """Say why the scale is frozen; '' where it is not."""
        state, settings = self._worker.scale, self._pipeline.settings
        if state is None or not state.frozen(settings.scale_timeout):
            return ''
        who = self._scale_source.who_publishes() if state.cause in ('silent', 'stale') else ''
        return f'scale frozen at {state.scale:.3f}: {state.reason}{who and f" ({who})"}'
