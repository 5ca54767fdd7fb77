# SPDX-License-Identifier: Apache-2.0
"""The node: Image and CameraInfo in, PointCloud2 and depth out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from depth_pcd_ros import engine
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros import diagnostics, parameters
from depth_pcd_ros.ros.subscription import AdaptiveSubscription
from depth_pcd_ros.ros.worker import Worker
from depth_pcd_ros.settings import SettingsError
from depth_pcd_ros.statistics import Statistics

OUTPUTS = {
    'points': PointCloud2,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    'depth/color': Image,
}
# Messages that the middleware keeps: the newest, or with `frames: all` enough for a busy executor.
DEPTH = {'latest': 1, 'all': 100}
WARM_UP_SHAPE = (480, 640, 3)
PATIENCE = 1.0  # [s] that the end waits for the frame in work


class DepthPcdNode(LifecycleNode):
    """Lifecycle node around a `Pipeline`: it receives in the executor, a `Worker` computes.

    Raises:
        SettingsError: a parameter has a value that is not allowed.
    """

    _pipeline: Pipeline | None = None
    _worker: Worker | None = None
    _image: AdaptiveSubscription | None = None
    _camera_info: AdaptiveSubscription | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('depth_pcd', **kwargs)
        self.settings = parameters.declare_settings(self)
        for name in parameters.unknown_overrides(self):
            self.get_logger().error(f'unknown parameter {name!r} is set: a typing error?')
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._outputs: dict[str, Publisher] = {}
        self._statistics = Statistics()
        self._active_since = 0.0  # monotonic [s]
        self._problem = ''  # why it could not be configured
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # steady, so that it also reports while the simulated time stands still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._each_second, clock=steady)

    def autostart(self) -> None:
        """Configure and activate, as a lifecycle manager would."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

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
            loaded.infer(np.zeros(WARM_UP_SHAPE, np.uint8))  # else the first frame would wait
        except ValueError as err:  # EngineError, CheckpointError
            self._problem = f'cannot configure: {err}'
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        self._problem = ''
        self._pipeline = Pipeline(loaded, settings)
        for topic, msg_type in OUTPUTS.items():
            self._outputs[topic] = self.create_publisher(
                msg_type,
                topic,
                QoSProfile(depth=DEPTH[settings.frames]),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        self.get_logger().info(
            f'{loaded.model} on {loaded.device} in {loaded.precision}, '
            f'depth up to {loaded.max_depth:g} m'
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to receive and to work."""
        assert self._pipeline is not None  # the state machine saw to it
        self._worker = worker = Worker(
            self._pipeline,
            self._outputs,
            self._statistics,
            self.get_logger(),
            lambda: self.get_clock().now().nanoseconds,
        )
        image_type, image_topic = Image, 'image'
        if self.settings.image_transport == 'compressed':
            # beside the image wherever that is remapped to, as image_transport has it
            image_type = CompressedImage
            image_topic = self.resolve_topic_name('image') + '/compressed'
        depth = DEPTH[self.settings.frames]
        self._camera_info = AdaptiveSubscription(
            self, CameraInfo, 'camera_info', worker.take_camera_info, depth
        )
        self._image = AdaptiveSubscription(self, image_type, image_topic, worker.take_image, depth)
        self._active_since = time.monotonic()
        self.get_logger().info(
            f'listening to {self._image.topic_name} and {self._camera_info.topic_name}'
        )
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Receive nothing more and drop what waits."""
        self._stop()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Withdraw the results and free the model's memory."""
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs.clear()
        if self._pipeline is not None:
            self._pipeline.engine.close()
            self._pipeline = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, from any state."""
        self._stop()
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, from where it can be tried again."""
        return self.on_shutdown(state)

    def destroy_node(self) -> None:
        """Stop working, then destroy the node."""
        self._stop()
        super().destroy_node()

    @property
    def busy(self) -> bool:
        """Whether a frame is still in the network after all was stopped."""
        return self._worker is not None and self._worker.alive

    def _stop(self) -> None:
        for subscription in (self._image, self._camera_info):
            if subscription is not None:
                subscription.destroy()
        self._image = self._camera_info = None
        if self._worker is not None:
            self._worker.stop(PATIENCE)

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            self.settings = parameters.changed(self.settings, changes)
        except SettingsError as err:
            return SetParametersResult(successful=False, reason=str(err))
        if self._pipeline is not None:
            self._pipeline.settings = self.settings
        return SetParametersResult(successful=True)

    def _each_second(self) -> None:
        """Adapt to the publishers and report."""
        now = time.monotonic()
        summary = self._statistics.summary(now)
        level, sentence = DiagnosticStatus.WARN, self._problem or 'not active'
        if self._image is not None and self._camera_info is not None and self._worker is not None:
            for subscription in (self._image, self._camera_info):
                subscription.check()
            level, sentence = diagnostics.judge(
                summary,
                self._image,
                self._camera_info,
                has_camera_info=len(self._worker.camera_infos) > 0,
                active_for=now - self._active_since,
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
    if node is not None and node.busy:
        # The thread is inside the network: Python would wait for it, or crash in it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


if __name__ == '__main__':
    sys.exit(main())
