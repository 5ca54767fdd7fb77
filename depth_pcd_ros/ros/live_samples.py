# SPDX-License-Identifier: Apache-2.0
"""Live pictures for depth-pcd calibrate-scale, over the node's own subscriptions."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterator
from typing import Any

from rclpy.clock import Clock

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.messages.decode import rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.topics import Topics
from depth_pcd_ros.ros.live_calibrations import LiveCalibrations
from depth_pcd_ros.ros.odometry_source import OdometrySource
from depth_pcd_ros.ros.scale_source import ScaleSource
from depth_pcd_ros.ros.subscription import STEADY, AdaptiveSubscription, image_topic
from depth_pcd_ros.ros.visit import visit
from depth_pcd_ros.scale.messages import TOPICS
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.readings import Header

CHECK_PERIOD = 1.0  # [s] in which subscriptions adapt to the publishers


def live(settings: Settings, topics: Topics, count: int, patience: float) -> Iterator[Picture]:
    """Yield the newest picture, again and again, until there were `count`.

    Args:
        settings: `image_transport` and the `scale_source`.
        topics: those that the node's topics are remapped to; empty ones are not.
        count: how many pictures.
        patience: how long to wait for the next one [s].

    Raises:
        TimeoutError: no picture with a CameraInfo that fits in that time.
    """
    remapping = {
        'image': topics.image,
        'camera_info': topics.camera_info,
        'odometry': topics.odometry,
        TOPICS.get(settings.scale_source, ''): topics.scale,
    }
    newest: collections.deque[Any] = collections.deque(maxlen=1)
    has_come = threading.Event()

    def take(msg: Any) -> None:
        newest.append(msg)
        has_come.set()

    with visit('depth_pcd_calibrate_scale', remapping) as found:
        topic = image_topic(found.node, settings.image_transport)
        image = AdaptiveSubscription(found.node, *topic, take, depth=1)
        calibrations = LiveCalibrations(found.node, settings, on_begin=lambda: None)
        scale_source = ScaleSource(found.node, settings)
        odometry = OdometrySource(found.node, settings)
        subscriptions = [*calibrations.subscriptions, image, *scale_source.subscriptions]

        def check() -> None:
            odometry.check(settings)
            for subscription in subscriptions:
                subscription.check()

        found.node.create_timer(CHECK_PERIOD, check, clock=Clock(clock_type=STEADY))
        told = f'no image on {image.topic_name}'
        last = time.monotonic()
        with found.spinning():  # also while the network works, for the readings of that time
            while count:
                if has_come.wait(0.1):
                    has_come.clear()
                    msg = newest[0]
                    header = Header(stamp_ns(msg.header), msg.header.frame_id)
                    try:
                        rgb = rgb_from_msg(msg)
                        calibration = calibrations.find(header, rgb.shape[1], rgb.shape[0])
                    except FrameError as err:
                        told = str(err)
                    else:
                        evidence = odometry.add_to(scale_source.evidence(header), header)
                        yield Picture(rgb, calibration, header, evidence)
                        count, last = count - 1, time.monotonic()
                if time.monotonic() - last > patience:
                    who = (f'{one.topic_name}: {one.who_publishes()}' for one in subscriptions)
                    raise TimeoutError(
                        f'nothing to measure on for {patience:g} s: {told} ({", ".join(who)})'
                    )
