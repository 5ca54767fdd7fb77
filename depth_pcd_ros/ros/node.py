# SPDX-License-Identifier: Apache-2.0
"""The node: Image and CameraInfo in, PointCloud2 and depth out."""

from __future__ import annotations

import argparse
import collections
import functools
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from rclpy.utilities import remove_ros_args

from depth_pcd_ros import __version__
from depth_pcd_ros.engine import Engine
from depth_pcd_ros.errors import DepthPcdError, DeviceLostError
from depth_pcd_ros.live.frame_statistics import Statistics
from depth_pcd_ros.live.worker import MAX_RESTARTS, STOP_PATIENCE, NetworkThread, Worker
from depth_pcd_ros.pipeline import Estimate, Pipeline, Prepared
from depth_pcd_ros.ros import (
    diagnostics,
    lifecycle,
    loading,
    log_messages,
    parameters,
    qos,
    time_jumps,
)
from depth_pcd_ros.ros.live_camera import LiveCamera, in_network, prefix
from depth_pcd_ros.ros.merged_points import MergedPoints
from depth_pcd_ros.ros.publishers import Publishers
from depth_pcd_ros.settings import Settings, SettingsError

IDLE_PATIENCE = 0.2  # [s] in which threads without a frame end
FAREWELL = 0.2  # [s] in which the answer to the shutdown transition is sent


class _Configured(NamedTuple):
    """The parts that live from `configure` to `cleanup`; pipelines, publishers by camera."""

    engine: Engine
    worker: Worker[Prepared, Estimate]
    pipelines: dict[str, Pipeline]
    publishers: dict[str, Publishers]
    merged: MergedPoints | None


class DepthPcdNode(LifecycleNode):
    """Lifecycle node around an engine; while it is active, a `LiveCamera` works for each camera.

    `ended` is done some time after the shutdown transition, or when the device is lost: then the
    node is of no more use, and `exit_code` says how the process should end.

    Raises:
        SettingsError: a parameter has a value that is not allowed.
    """

    _configured: _Configured | None = None

    def __init__(self, **kwargs: Any) -> None:
        self._live: dict[str, LiveCamera] = {}  # while it is active
        super().__init__('depth_pcd', **kwargs)
        self.ended = Future()
        self.exit_code = 0
        lifecycle.answer_forbidden_transitions(self)
        self._node_parameters = parameters.NodeParameters(self)
        self.cameras = self._node_parameters.current()  # their settings; '': the only one
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = collections.defaultdict[str, Statistics](Statistics)
        self._reported = 0.0  # monotonic [s]
        self._inactive = (DiagnosticStatus.WARN, 'not configured')  # to report while not active
        self._log_due = collections.defaultdict[str, diagnostics.Repetition](
            lambda: diagnostics.Repetition(period=30.0)
        )
        self._diagnostics = qos.create_publisher(self, DiagnosticArray, '/diagnostics', 10)
        self._report_unknown(qos_overrides=False)
        # steady, so that it also reports while the simulated time stands still
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._each_second, clock=self._steady)
        self._jumps = time_jumps.watch(self, self._time_jumped)

    @property
    def settings(self) -> Settings:
        """The settings that all cameras share, and those of the first camera."""
        return next(iter(self.cameras.values()))

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
            engine.sizes = max(engine.sizes, 2 * len(self.cameras))
            worker = Worker(
                functools.partial(in_network, engine), settings.max_batch or engine.batch
            )
            configured = _Configured(engine, worker, {}, {}, None)
            try:
                if settings.merged_points:
                    configured = configured._replace(merged=MergedPoints(self, self.cameras))
                for camera, own in self.cameras.items():
                    configured.pipelines[camera] = Pipeline(engine, own)
                    configured.publishers[camera] = Publishers(self, own, prefix(camera))
            except Exception:
                self._withdraw(configured)
                raise
        except Exception as err:  # whatever it is, the node stays and tells
            return self._failed('configure', err)
        self._configured = configured
        self._inactive = (DiagnosticStatus.WARN, 'not active')
        farthest = engine.network.max_depth
        self.get_logger().info(
            f'{engine.model} on {engine.device} in {engine.precision}, depth '
            + (f'up to {farthest:g} m' if farthest < math.inf else 'without an end')
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to receive and to work."""
        configured = self._configured
        assert configured is not None  # the state machine saw to it
        try:
            configured.worker.begin()
            for camera, settings in self.cameras.items():
                self._live[camera] = LiveCamera(
                    self,
                    settings,
                    name=camera,
                    pipeline=configured.pipelines[camera],
                    publishers=configured.publishers[camera],
                    worker=configured.worker,
                    merged=configured.merged,
                    statistics=self._statistics[camera],
                )
        except Exception as err:  # as above
            self._stop()
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
        self._node_parameters.check_declared(parameter_list)
        results = super().set_parameters(parameter_list)
        pairs = list(zip(results, parameter_list, strict=True))
        self._adopt_parameters([parameter for result, parameter in pairs if result.successful])
        return [parameters.explained(result, [parameter]) for result, parameter in pairs]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all or none of them."""
        self._node_parameters.check_declared(parameter_list)
        result = super().set_parameters_atomically(parameter_list)
        self._adopt_parameters(parameter_list if result.successful else [])
        return parameters.explained(result, parameter_list)

    def destroy_node(self) -> None:
        """Stop working, free the model's memory, then destroy the node."""
        self._stop()
        self._release()
        super().destroy_node()

    def _stop(self) -> None:
        for camera in self._live.values():
            camera.stop()
        if self._live and self._configured is not None:
            self._configured.worker.wait(STOP_PATIENCE)
        self._live.clear()

    def _release(self) -> None:
        if self._configured is not None:
            configured, self._configured = self._configured, None
            self._withdraw(configured)

    def _withdraw(self, configured: _Configured) -> None:
        for publishers in configured.publishers.values():
            publishers.destroy()
        if configured.merged is not None:
            configured.merged.destroy()
        # only after a frame that is in the network, or the engine would be closed under it
        configured.worker.stop(
            IDLE_PATIENCE, then=functools.partial(self._close, configured.engine)
        )

    def _time_jumped(self, now: float) -> None:
        for statistics in self._statistics.values():
            statistics.time_jumped(now)

    def _close(self, engine: Engine) -> None:
        try:
            engine.close()
        except RuntimeError as err:  # of a device that is gone
            self.get_logger().error(f'the engine does not close: {err}')

    def _failed(self, transition: str, err: Exception) -> TransitionCallbackReturn:
        if not self.context.ok():  # SIGTERM has taken the middleware away
            raise KeyboardInterrupt from err
        if isinstance(err, DeviceLostError):
            self._end(err)
        # the package's own errors need no class name
        kind = '' if isinstance(err, DepthPcdError) else f'{type(err).__name__}: '
        self._inactive = (DiagnosticStatus.ERROR, f'cannot {transition}: {kind}{err}')
        self.get_logger().error(self._inactive[1])
        return TransitionCallbackReturn.FAILURE

    def _end(self, lost: DeviceLostError) -> None:
        """Have the process end: nothing in it would work any more, but a new one may."""
        if not self.exit_code:
            self.exit_code = os.EX_UNAVAILABLE
            self.get_logger().fatal(
                f'{lost}: only a new process can use the device again, so this one ends with exit '
                f'code {self.exit_code}; respawn starts the node anew'
            )
            self.ended.set_result(None)

    def _while_loading(self) -> None:
        if not self.context.ok():  # SIGTERM: an Exception would end as a failed transition
            raise KeyboardInterrupt
        if time.monotonic() - self._reported > 1.0:
            self._each_second()

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        """Say whether they may be set; another callback may still refuse them."""
        try:
            self._node_parameters.check(changes, only_live=self._configured is not None)
        except SettingsError as err:
            return SetParametersResult(successful=False, reason=str(err))
        return SetParametersResult(successful=True)

    def _adopt_parameters(self, changes: Sequence[Parameter]) -> None:
        """Take the settings from what the parameters are now."""
        if behind := self._node_parameters.note(changes):
            super().set_parameters(behind)
        before, self.cameras = self.cameras, self._node_parameters.current()
        for change in parameters.differences(before, self.cameras):
            self.get_logger().info(change)
        if self._configured is not None:
            for camera, pipeline in self._configured.pipelines.items():
                pipeline.settings = self.cameras[camera]

    def _report_unknown(self, qos_overrides: bool) -> None:
        for name, meant in parameters.mistyped(self):
            if name.startswith('qos_overrides.') == qos_overrides:
                self.get_logger().error(
                    f'unknown parameter {name!r} is set: a typing error? There is {meant!r}'
                )
        for name in self._node_parameters.stray if not qos_overrides else ():
            self.get_logger().error(
                f'the parameter {name!r} is set, but cameras has no names: it is without effect'
            )

    def _each_second(self) -> None:
        """Adapt to the publishers, look after the worker and report."""
        self._reported = now = time.monotonic()
        if self._configured is not None and self._live:
            for live in self._live.values():
                live.check()
            if self._configured.merged is not None:
                self._configured.merged.check(self.cameras)
            if lost := self._configured.worker.lost:
                self._end(lost)
            elif not self._configured.worker.revive():
                self.trigger_deactivate()
                died = f'deactivated: the working thread has died {MAX_RESTARTS + 1} times'
                self._inactive = (DiagnosticStatus.ERROR, died)
        array = DiagnosticArray(status=[self._status(camera, now) for camera in self.cameras])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _status(self, camera: str, now: float) -> DiagnosticStatus:
        """Judge a camera, and log what is wrong with it."""
        summary = self._statistics[camera].summary(now)
        level, sentence = self._inactive
        live = self._live.get(camera)
        if live is not None:
            level, sentence = live.judge(summary, now)
            drops_logged = summary.lately_dropped  # by the worker
            due = level != DiagnosticStatus.OK and not drops_logged
            if due and self._log_due[camera](sentence, now):
                self.get_logger().warning(f'{camera and f"{camera}: "}{sentence}')
        configured = self._configured
        values = {
            **(diagnostics.engine_values(configured.engine) if configured else {}),
            'depth scale': f'{self.cameras[camera].depth_scale:g}',
            **(live.scale_values() if live is not None else {}),
            **diagnostics.values(summary),
        }
        return DiagnosticStatus(
            level=level,
            name=f'{self.get_fully_qualified_name()[1:]}: depth camera{camera and f" {camera}"}',
            message=sentence,
            hardware_id=self.resolve_topic_name(f'{prefix(camera)}image'),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; return the exit code."""
    # Read when torch is loaded, for the device cpu. Else its threads spin for each other, and where
    # other programs want the cores too, they wait ten times longer than they work. (OpenVINO's
    # threads do not spin, whatever this says.)
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    # NumPy tells of absurd numbers of a calibration or a sensor; what comes of them is invalid.
    warnings.filterwarnings('ignore', '.* encountered in ', RuntimeWarning)
    _parse(args)
    node, begun = None, False
    # rclpy ends it at SIGINT as at SIGTERM; an exception could come anywhere, also in the end
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        rclpy.init(args=args)
        begun = True
        if interrupted.is_set():  # before rclpy had handlers of its own
            return 0
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
        if not begun or rclpy.ok():
            raise
        # else SIGTERM has taken the middleware away, in the midst of a callback or of the start
    finally:
        _ignore_signals()  # ros2 launch and the terminal both send one: once is enough
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        _ignore_signals()  # rclpy has put back the handlers that it had found
    code = node.exit_code if node is not None else 0
    if code or any(isinstance(thread, NetworkThread) for thread in threading.enumerate()):
        # It is inside the network, or that is broken: Python would crash in it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _parse(args: Sequence[str] | None) -> None:
    """Answer --help and --version, and end; all else is for ROS."""
    parser = argparse.ArgumentParser(
        prog='depth_pcd_node',
        description='A ROS 2 node that turns a camera into a metric depth camera: Image and '
        'CameraInfo in, PointCloud2 and depth out.',
        epilog='Topics and parameters are set after --ros-args: -r image:=/camera/image_raw, '
        '-p model:=indoor-small, --params-file FILE. README.md and config/depth_pcd.yaml have '
        'them all.',
    )
    parser.add_argument('--version', action='version', version=f'depth_pcd_ros {__version__}')
    arguments = remove_ros_args(sys.argv if args is None else ['', *args])
    parser.parse_known_args(arguments[1:])


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == '__main__':
    sys.exit(main())
