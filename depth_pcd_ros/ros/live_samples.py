# SPDX-License-Identifier: Apache-2.0
"""Live pictures for depth-pcd calibrate-scale, over the node's own subscriptions."""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame import Picture
from depth_pcd_ros.messages.decode import calibration_from_msg, rgb_from_msg, stamp_ns
from depth_pcd_ros.recordings.topics import Topics
from depth_pcd_ros.ros.odometry_source import OdometrySource
from depth_pcd_ros.ros.scale_source import ScaleSource
from depth_pcd_ros.ros.subscription import AdaptiveSubscription, image_topic, is_remapped
from depth_pcd_ros.scale.messages import TOPICS
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.camera_infos import RECENT, CameraInfos
from depth_pcd_ros.sync.readings import Header

CHECK_PERIOD = 1.0  # [s] in which subscriptions adapt to the publishers


def live(settings: Settings, topics: Topics, count: int, patience: float) -> Iterator[Picture]:
    """The newest picture, again and again, until there were `count`.

    Args:
        settings: `image_transport` and the `scale_source`.
        topics: what the node's topics are remapped to, where that is said.
        count: how many pictures.
        patience: how long to wait for the next one [s].

    Raises:
        TimeoutError: no picture with a CameraInfo that fits in that time.
    """
    remapping = {'image': topics.image, 'camera_info': topics.camera_info}
    remapping['odometry'] = topics.odometry
    if settings.scale_source in TOPICS:
        remapping[TOPICS[settings.scale_source]] = topics.scale
    rules = [part for a, b in remapping.items() if b for part in ('-r', f'{a}:={b}')]
    context = rclpy.Context()
    rclpy.init(args=['--ros-args', *rules] if rules else [], context=context)
    node = rclpy.create_node('depth_pcd_calibrate_scale', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield from _spin(node, executor, settings, count, patience)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _spin(
    node: Any, executor: Any, settings: Settings, count: int, patience: float
) -> Iterator[Picture]:
    infos = CameraInfos(RECENT, any_frame=is_remapped(node, 'camera_info'))
    newest: collections.deque[Any] = collections.deque(maxlen=1)

    def take_info(msg: Any) -> None:
        infos.add(stamp_ns(msg.header), msg.header.frame_id, calibration_from_msg(msg))

    image = image_topic(node, settings.image_transport)
    scale_source, odometry = ScaleSource(node, settings), OdometrySource(node, settings)
    subscriptions = [
        AdaptiveSubscription(node, CameraInfo, 'camera_info', take_info, depth=1, latched=True),
        AdaptiveSubscription(node, *image, lambda msg: newest.append(msg), depth=1),
        *scale_source.subscriptions,
    ]
    told = f'no image on {subscriptions[1].topic_name}'
    checked = last = time.monotonic()
    while count:
        executor.spin_once(timeout_sec=0.1)
        now = time.monotonic()
        if now - checked > CHECK_PERIOD:
            checked = now
            odometry.check(settings)
            for subscription in subscriptions:
                subscription.check()
        if newest:
            msg = newest.pop()
            stamp, frame_id = stamp_ns(msg.header), msg.header.frame_id
            try:
                rgb = rgb_from_msg(msg)
                calibration = infos.find(stamp, frame_id, rgb.shape[1], rgb.shape[0])
            except FrameError as err:
                told = str(err)
            else:
                header = Header(stamp, frame_id)
                evidence = odometry.add_to(scale_source.evidence(header), header)
                yield Picture(rgb, calibration, header, evidence)
                count, last = count - 1, time.monotonic()
        if now - last > patience:
            who = ', '.join(f'{one.topic_name}: {one.who_publishes()}' for one in subscriptions)
            raise TimeoutError(f'nothing to measure on for {patience:g} s: {told} ({who})')
