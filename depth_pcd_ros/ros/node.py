# SPDX-License-Identifier: Apache-2.0
"""The node: Image and CameraInfo in, PointCloud2 and depth out."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from depth_pcd_ros import engine
from depth_pcd_ros.colorize import colorize
from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.frame_queue import FrameQueue
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros import diagnostics, image_msgs, parameters
from depth_pcd_ros.ros.camera_infos import CameraInfos
from depth_pcd_ros.ros.cloud_msgs import cloud_msg
from depth_pcd_ros.ros.subscription import AdaptiveSubscription
from depth_pcd_ros.settings import SettingsError
from depth_pcd_ros.statistics import Published, Statistics

# What may wait for the network with `frames: all`, and in the middleware before that.
MAX_WAITING_BYTES = 2**30
ALL_FRAMES_DEPTH = 100
# How long the end may wait for the frame that is being worked on [s].
PATIENCE = 1.0

OUTPUTS = {
    'points': PointCloud2,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    'depth/color': Image,
}


class Arrival(NamedTuple):
    """An image message and when it arrived, in monotonic seconds."""

    msg: Any
    time: float


class DepthPcdNode(LifecycleNode):
    """Lifecycle node around a `Pipeline`: it receives in the executor and works in one thread.

    Raises:
        SettingsError: a parameter has a value that is not allowed.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('depth_pcd', **kwargs)
        self.settings = parameters.declare_settings(self)
        for name in parameters.unknown_overrides(self):
            self.get_logger().error(f'unknown parameter {name!r} is set: a typing error?')
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = Statistics()
        self._camera_infos = CameraInfos()
        self._pipeline: Pipeline | None = None
        self._queue: FrameQueue[Arrival] | None = None
        self._worker: threading.Thread | None = None
        self._image: AdaptiveSubscription | None = None
        self._camera_info: AdaptiveSubscription | None = None
        self._outputs: dict[str, Any] = {}
        self._problem = ''  # why it could not be configured
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # steady, so that it also reports while the simulated time stands still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._each_second, clock=steady)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and offer the results."""
        settings = self.settings
        self.get_logger().info(f'loading model {settings.model} ...')
        try:
            loaded = engine.create(
                settings.model,
                settings.max_depth,
                settings.input_size,
                settings.device,
                settings.precision,
            )
        except ValueError as err:  # EngineError, CheckpointError
            self._problem = str(err)
            self.get_logger().error(f'cannot configure: {err}')
            return TransitionCallbackReturn.FAILURE
        self._problem = ''
        self._pipeline = Pipeline(loaded, settings)
        for topic, msg_type in OUTPUTS.items():
            self._outputs[topic] = self.create_publisher(
                msg_type,
                topic,
                QoSProfile(depth=self._depth()),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        self.get_logger().info(
            f'{loaded.model} on {loaded.device} in {loaded.precision}, '
            f'depth up to {loaded.max_depth:g} m'
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to receive and to work."""
        keep_all = self.settings.frames == 'all'
        self._camera_infos = CameraInfos()
        self._queue = FrameQueue(keep_all=keep_all, max_bytes=MAX_WAITING_BYTES)
        self._worker = threading.Thread(
            target=self._work, args=(self._queue, self._pipeline), name='depth', daemon=True
        )
        self._worker.start()
        image_type, image_topic = Image, 'image'
        if self.settings.image_transport == 'compressed':
            # beside the image wherever that is remapped to, as image_transport has it
            image_type = CompressedImage
            image_topic = self.resolve_topic_name('image') + '/compressed'
        self._camera_info = AdaptiveSubscription(
            self, CameraInfo, 'camera_info', self._on_camera_info, self._depth()
        )
        self._image = AdaptiveSubscription(
            self, image_type, image_topic, self._on_image, self._depth()
        )
        self.get_logger().info(
            f'listening to {self._image.topic_name} and {self._camera_info.topic_name}'
        )
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Receive nothing more and drop what waits."""
        self._stop()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and its memory."""
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs = {}
        if self._pipeline is not None:
            self._pipeline.engine.close()
            self._pipeline = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop()
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, from where it can be tried again."""
        return self.on_shutdown(state)

    def autostart(self) -> None:
        """Configure and activate, as a lifecycle manager would."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def destroy_node(self) -> None:
        """Stop working, then destroy the node."""
        self._stop()
        super().destroy_node()

    @property
    def working(self) -> bool:
        """Whether the worker thread is still busy."""
        return self._worker is not None and self._worker.is_alive()

    def _stop(self) -> None:
        for subscription in (self._image, self._camera_info):
            if subscription is not None:
                subscription.destroy()
        self._image = self._camera_info = None
        if self._queue is not None:
            self._queue.close()
        if self._worker is not None:
            self._worker.join(PATIENCE)

    def _depth(self) -> int:
        return ALL_FRAMES_DEPTH if self.settings.frames == 'all' else 1

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            self.settings = parameters.changed(self.settings, changes)
        except SettingsError as err:
            return parameters.refused(err)
        if self._pipeline is not None:
            self._pipeline.settings = self.settings
        return SetParametersResult(successful=True)

    # Receiving

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self._camera_infos.add(
            Time.from_msg(msg.header.stamp).nanoseconds,
            msg.header.frame_id,
            image_msgs.calibration_from_msg(msg),
        )
        if self._queue is not None:
            self._queue.open()

    def _on_image(self, msg: Any) -> None:
        now = time.monotonic()
        self._statistics.received(now)
        if self._queue is None:
            return
        lost = self._queue.put(Arrival(msg, now), len(msg.data))
        if lost is None:
            return
        if self.settings.frames == 'latest':
            self._statistics.superseded()
        else:
            self._drop(
                FrameError(
                    'queue_full',
                    f'{MAX_WAITING_BYTES >> 20} MiB of images wait for the network: '
                    'play the recording more slowly',
                )
            )

    # Working

    def _work(self, queue: FrameQueue[Arrival], pipeline: Pipeline) -> None:
        while (arrival := queue.get()) is not None:
            try:
                self._process(arrival, pipeline)
            except FrameError as err:
                self._drop(err)
            except Exception as err:  # whatever one frame does, the next one is tried
                if not self.context.ok():
                    return
                self.get_logger().debug(traceback.format_exc())
                self._drop(FrameError('internal_error', f'{type(err).__name__}: {err}'))

    def _process(self, arrival: Arrival, pipeline: Pipeline) -> None:
        """Convert, compute and publish one frame."""
        wanted = {topic for topic, pub in self._outputs.items() if pub.get_subscription_count()}
        if not wanted:
            self._statistics.unwanted()
            return
        header = arrival.msg.header
        rgb = image_msgs.rgb_from_msg(arrival.msg)
        stamp = Time.from_msg(header.stamp)
        calibration = self._camera_infos.find(
            stamp.nanoseconds, header.frame_id, rgb.shape[1], rgb.shape[0]
        )
        frame = pipeline.process(rgb, calibration)
        if 'points' in wanted:
            self._outputs['points'].publish(cloud_msg(pipeline.points(frame), header))
        if 'depth/image' in wanted:
            self._outputs['depth/image'].publish(
                image_msgs.depth_image_msg(frame.depth, self.settings.depth_encoding, header)
            )
        if 'depth/camera_info' in wanted:
            self._outputs['depth/camera_info'].publish(
                image_msgs.camera_info_msg(frame.calibration, header)
            )
        if 'depth/color' in wanted:
            color = colorize(frame.depth, self.settings.min_depth, pipeline.max_range)
            self._outputs['depth/color'].publish(image_msgs.bgr_image_msg(color, header))
        now = time.monotonic()
        self._statistics.published(
            Published(
                time=now,
                latency=now - arrival.time,
                stamp_age=(self.get_clock().now().nanoseconds - stamp.nanoseconds) * 1e-9,
                network_time=frame.network_time,
                valid_fraction=float(np.isfinite(frame.depth).mean()),
            )
        )

    def _drop(self, err: FrameError) -> None:
        count = self._statistics.dropped(err.cause, str(err), time.monotonic())
        if count:
            times = f' ({count} times so far)' if count > 1 else ''
            self.get_logger().error(f'frame dropped, {err.cause}: {err}{times}')

    # Reporting

    def _each_second(self) -> None:
        summary = self._statistics.summary(time.monotonic())
        level, sentence = DiagnosticStatus.WARN, self._problem or 'not active'
        if self._image is not None and self._camera_info is not None:
            for subscription in (self._image, self._camera_info):
                subscription.check()
            level, sentence = diagnostics.judge(
                summary, self._image, self._camera_info, bool(self._camera_infos)
            )
            if level != DiagnosticStatus.OK and not summary.failure:  # drops log themselves
                self.get_logger().warning(sentence, throttle_duration_sec=30.0)
        self._diagnostics.publish(
            diagnostics.diagnostic_array(
                self.get_clock().now().to_msg(),
                self.get_fully_qualified_name(),
                level,
                sentence,
                {**self._model_values(), **diagnostics.values(summary)},
            )
        )

    def _model_values(self) -> dict[str, str]:
        if self._pipeline is None:
            return {}
        loaded = self._pipeline.engine
        return {
            'model': loaded.model,
            'device': loaded.device,
            'precision': loaded.precision,
            'depth scale': f'{self.settings.depth_scale:g}',
        }


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; return the exit code."""
    rclpy.init(args=args)
    node = None
    try:
        node = DepthPcdNode()
        if node.settings.autostart:
            node.autostart()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except SettingsError as err:
        rclpy.logging.get_logger('depth_pcd').fatal(str(err))
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    if node.working:
        # A frame is still in the network. Python would wait for it, or crash in it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


if __name__ == '__main__':
    sys.exit(main())
