# SPDX-License-Identifier: Apache-2.0
"""The node: Image and CameraInfo in, PointCloud2 and depth out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Float64MultiArray

from depth_pcd_ros.live.frame_statistics import Statistics
from depth_pcd_ros.pipeline import Pipeline
from depth_pcd_ros.ros import (
    diagnostics,
    loading,
    log_messages,
    parameters,
    qos,
    time_jumps,
    worker,
)
from depth_pcd_ros.ros.activity import DEPTH, Activity
from depth_pcd_ros.settings import SettingsError

OUTPUTS = {
    'points': PointCloud2,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    'depth/color': Image,
    'depth/scale': Float64MultiArray,  # only with a scale_source
}
FAREWELL = 0.2  # [s] in which the answer to the shutdown transition is sent


class DepthPcdNode(LifecycleNode):
    """Lifecycle node around a `Pipeline`; while it is active, an `Activity` works for it.

    `ended` is done some time after the shutdown transition: then the node is of no more use.

    Raises:
        SettingsError: a parameter has a value that is not allowed.
    """

    _pipeline: Pipeline | None = None
    _activity: Activity | None = None
    _last_activity: Activity | None = None  # stopped; a frame may still be in the network

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('depth_pcd', **kwargs)
        self.ended = Future()
        self.settings = parameters.declare_settings(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._outputs: dict[str, Publisher] = {}
        self._statistics = Statistics()
        self._reported = 0.0  # monotonic [s]
        self._inactive = (DiagnosticStatus.WARN, 'not configured')  # to report while not active
        self._log_due = diagnostics.Repetition(period=30.0)
        self._diagnostics = qos.create_publisher(self, DiagnosticArray, '/diagnostics', 10)
        self._report_unknown(qos_overrides=False)
        # steady, so that it also reports while the simulated time stands still
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._each_second, clock=self._steady)
        self._jumps = time_jumps.watch(self, self._statistics.time_jumped)

    def autostart(self) -> None:
        """Configure and activate, as a lifecycle manager would."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and offer the results."""
        settings = self.settings
        self._inactive = (DiagnosticStatus.OK, f'loading model {settings.model}')
        self.get_logger().info(f'{self._inactive[1]} ...')
        try:
            engine = loading.load_engine(settings, self._while_loading)
            self._pipeline = Pipeline(engine, settings)
            for topic, msg_type in OUTPUTS.items():
                if topic == 'depth/scale' and settings.scale_source == 'none':
                    continue
                self._outputs[topic] = qos.create_publisher(
                    self, msg_type, topic, DEPTH[settings.frames]
                )
        except Exception as err:  # whatever it is, the node stays and tells
            self._release()
            return self._failed('configure', err)
        self._inactive = (DiagnosticStatus.WARN, 'not active')
        self.get_logger().info(
            f'{engine.model} on {engine.device} in {engine.precision}, '
            f'depth up to {engine.max_depth:g} m'
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to receive and to work."""
        assert self._pipeline is not None  # the state machine saw to it
        try:
            self._activity = Activity(
                self,
                self.settings,
                self._pipeline,
                self._outputs,
                self._statistics,
                self._last_activity,
            )
        except Exception as err:  # as above
            return self._failed('activate', err)
        self._report_unknown(qos_overrides=True)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Receive nothing more and drop what waits."""
        self._stop()
        self._inactive = (DiagnosticStatus.WARN, 'not active')
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Withdraw the results and free the model's memory."""
        self._release()
        self._inactive = (DiagnosticStatus.WARN, 'not configured')
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, from any state, and end."""
        self._stop()
        self._release()
        self.create_timer(FAREWELL, lambda: self.ended.set_result(None), clock=self._steady)
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, from where it can be tried again."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Set each of them; what comes over the service does so, too."""
        results = super().set_parameters(parameter_list)
        return [
            parameters.explained(result, [parameter])
            for result, parameter in zip(results, parameter_list, strict=True)
        ]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all or none of them."""
        result = super().set_parameters_atomically(parameter_list)
        return parameters.explained(result, parameter_list)

    def destroy_node(self) -> None:
        """Stop working, then destroy the node."""
        self._stop()
        super().destroy_node()

    def _stop(self) -> None:
        if self._activity is not None:
            self._activity.stop()
            self._last_activity, self._activity = self._activity, None

    def _release(self) -> None:
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs.clear()
        self._last_activity = None
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            try:
                pipeline.engine.close()
            except RuntimeError as err:  # of a device that is gone
                self.get_logger().error(f'the engine does not close: {err}')

    def _failed(self, transition: str, err: Exception) -> TransitionCallbackReturn:
        if not self.context.ok():  # SIGTERM has taken the middleware away
            raise KeyboardInterrupt from err
        # a ValueError is one of this package's own, with a sentence for a person
        kind = '' if isinstance(err, ValueError) else f'{type(err).__name__}: '
        self._inactive = (DiagnosticStatus.ERROR, f'cannot {transition}: {kind}{err}')
        self.get_logger().error(self._inactive[1])
        return TransitionCallbackReturn.FAILURE

    def _while_loading(self) -> None:
        if not self.context.ok():  # SIGTERM: an Exception would end as a failed transition
            raise KeyboardInterrupt
        if time.monotonic() - self._reported > 1.0:
            self._each_second()

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            self.settings = parameters.changed(self.settings, changes)
        except SettingsError as err:
            return SetParametersResult(successful=False, reason=str(err))
        if self._pipeline is not None:
            self._pipeline.settings = self.settings
        return SetParametersResult(successful=True)

    def _report_unknown(self, qos_overrides: bool) -> None:
        for name in parameters.unknown_overrides(self):
            if name.startswith('qos_overrides.') == qos_overrides:
                self.get_logger().error(f'unknown parameter {name!r} is set: a typing error?')

    def _each_second(self) -> None:
        """Adapt to the publishers, look after the worker and report."""
        self._reported = now = time.monotonic()
        if self._activity is not None and not self._activity.check():
            self.trigger_deactivate()
            died = f'deactivated: the working thread has died {worker.MAX_RESTARTS + 1} times'
            self._inactive = (DiagnosticStatus.ERROR, died)
        summary = self._statistics.summary(now)
        level, sentence = self._inactive
        if self._activity is not None:
            level, sentence = self._activity.judge(summary, now)
            drops_logged = summary.lately_dropped  # by the worker
            if level != DiagnosticStatus.OK and not drops_logged and self._log_due(sentence, now):
                self.get_logger().warning(sentence)
        engine = self._pipeline.engine if self._pipeline is not None else None
        self._diagnostics.publish(
            diagnostics.diagnostic_array(
                self.get_clock().now().to_msg(),
                f'{self.get_fully_qualified_name()[1:]}: depth camera',
                self.resolve_topic_name('image'),
                level,
                sentence,
                {
                    **(diagnostics.engine_values(engine) if engine is not None else {}),
                    'depth scale': f'{self.settings.depth_scale:g}',
                    **(self._activity.scale_values() if self._activity is not None else {}),
                    **diagnostics.values(summary),
                },
            )
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; return the exit code."""
    # Read when torch is loaded, for the device cpu. Else its threads spin for each other, and where
    # other programs want the cores too, they wait ten times longer than they work. (OpenVINO's
    # threads do not spin, whatever this says.)
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    node = None
    try:
        rclpy.init(args=args)
        node = DepthPcdNode()
        log_messages.forward(node.get_logger())
        if node.settings.autostart:
            node.autostart()
        rclpy.spin_until_future_complete(node, node.ended)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except SettingsError as err:
        rclpy.logging.get_logger('depth_pcd').fatal(str(err))
        return 1
    except Exception:
        if node is None or rclpy.ok():
            raise
        # else SIGTERM has taken the middleware away in the midst of a callback
    finally:
        _ignore_signals()  # ros2 launch and the terminal both send one: once is enough
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        _ignore_signals()  # rclpy has put back the handlers that it had found
    if any(thread.name in (loading.THREAD, worker.THREAD) for thread in threading.enumerate()):
        # It is inside the network: Python would wait for it, or crash in it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == '__main__':
    sys.exit(main())
