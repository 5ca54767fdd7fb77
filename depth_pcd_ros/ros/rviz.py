# SPDX-License-Identifier: Apache-2.0
"""Start RViz 2 for the node: on its topics, and in the camera's frame, which RViz cannot guess.

    ros2 run depth_pcd_ros depth_pcd_rviz --ros-args -r camera_info:=/camera/camera_info ...

With the parameter `cameras` there is a cloud, an image and a depth of each, in the frame of the one
that speaks first.

RViz shows nothing while its Fixed Frame is not one that tf connects to the cloud. So this waits for
the first CameraInfo and then becomes RViz with the frame_id in it, or with the frame named as the
argument. It takes the node's remappings and namespace.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo

from depth_pcd_ros.ros.subscription import AdaptiveSubscription

CHECK_PERIOD = 1.0  # [s] in which the subscription adapts to the publishers
# As rviz/depth_pcd.rviz has them, absolute.
TOPICS = ('image', 'points', 'depth/color')


def main(args: Sequence[str] | None = None) -> int:
    """Become RViz; return an exit code only where that is not possible."""
    given = sys.argv if args is None else list(args)
    frames = remove_ros_args(given)[1:]
    if len(frames) > 1 or any(frame.startswith('-') for frame in frames):
        print(
            f'usage: depth_pcd_rviz [FIXED_FRAME] [--ros-args ...], not {frames}', file=sys.stderr
        )
        return 2
    program = shutil.which('rviz2')
    if program is None:
        distribution = os.environ.get('ROS_DISTRO', '$ROS_DISTRO')
        print(f'There is no rviz2: apt install ros-{distribution}-rviz2', file=sys.stderr)
        return 1
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())  # as in the node
    rclpy.init(args=given)
    try:
        if interrupted.is_set():  # before rclpy had handlers of its own
            return 0
        node = rclpy.create_node('depth_pcd_rviz')
        names = node.declare_parameter('cameras', Parameter.Type.STRING_ARRAY).value or ()
        command = rviz_command(node, frames[0] if frames else first_frame(node, names), names)
        node.destroy_node()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except Exception:
        if rclpy.ok():
            raise
        return 0  # SIGTERM has taken the middleware away in the midst of a call
    finally:
        rclpy.try_shutdown()
    os.execv(program, command)


def first_frame(node: Node, names: Sequence[str] = ()) -> str:
    """Wait for a CameraInfo, of any of the cameras, and return its frame_id.

    For a camera without one there is the node's, of the depth.
    """
    first: Future = Future()
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def take(msg: CameraInfo) -> None:
        if not first.done():
            first.set_result(msg.header.frame_id)

    subscriptions = [
        AdaptiveSubscription(node, CameraInfo, topic, take, depth=1, latched=True)
        for prefix in ([f'{name}/' for name in names] or [''])
        for topic in (f'{prefix}camera_info', f'{prefix}depth/camera_info')
    ]
    topics = ', '.join(subscription.topic_name for subscription in subscriptions)
    node.get_logger().info(f'RViz starts with the first CameraInfo on {topics}')
    while not first.done():
        executor.spin_until_future_complete(first, timeout_sec=CHECK_PERIOD)
        if not rclpy.ok():
            raise ExternalShutdownException
        for subscription in subscriptions:
            subscription.check()
    for subscription in subscriptions:
        subscription.destroy()
    return str(first.result())


def rviz_command(node: Node, fixed_frame: str, names: Sequence[str] = ()) -> list[str]:
    """Return the command line of RViz on the topics that the names are remapped to."""
    share = get_package_share_directory('depth_pcd_ros')
    config = os.path.join(share, 'rviz', 'depth_pcd.rviz')
    topics = [f'{name}/{topic}' for name in names for topic in TOPICS] or list(TOPICS)
    if names:
        several = several_cameras(yaml.safe_load(Path(config).read_text('utf-8')), names)
        # kept: RViz reads it at its start, and the user may save to it
        handle, config = tempfile.mkstemp('.rviz', 'depth_pcd_')
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            yaml.safe_dump(several, file, sort_keys=False)
    command = ['rviz2', '-d', config, '-f', fixed_frame, '--ros-args']
    for topic in topics:
        command += ['-r', f'/{topic}:={node.resolve_topic_name(topic)}']
    sim_time = node.get_parameter('use_sim_time').value
    return [*command, '-p', f'use_sim_time:={str(bool(sim_time)).lower()}']


def several_cameras(config: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Make the configuration of RViz for one camera with the displays of each of several."""

    def of_camera(display: dict[str, Any], name: str) -> dict[str, Any]:
        topic = {**display['Topic'], 'Value': f'/{name}{display["Topic"]["Value"]}'}
        return {**display, 'Name': f'{display["Name"]} {name}', 'Topic': topic}

    displays: list[dict[str, Any]] = []
    for display in config['Visualization Manager']['Displays']:
        several = 'Topic' in display
        displays += [of_camera(display, name) for name in names] if several else [display]
    manager = {**config['Visualization Manager'], 'Displays': displays}
    # it places docked pictures by name; without it RViz finds places for the new ones
    state = {**config['Window Geometry']}
    state.pop('QMainWindow State')
    return {**config, 'Visualization Manager': manager, 'Window Geometry': state}


if __name__ == '__main__':
    sys.exit(main())
