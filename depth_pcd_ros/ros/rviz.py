# SPDX-License-Identifier: Apache-2.0
"""Start RViz 2 for one camera: on its topics, and in its own frame, which RViz cannot guess.

    ros2 run depth_pcd_ros depth_pcd_rviz --ros-args -r camera_info:=/camera/camera_info ...

RViz shows nothing while its Fixed Frame is not one that tf connects to the cloud. So this waits for
the first CameraInfo and then becomes RViz with the frame_id in it, or with the frame named as the
argument. It takes the node's remappings and namespace.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
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
    rclpy.init(args=given)
    try:
        node = rclpy.create_node('depth_pcd_rviz')
        command = rviz_command(node, frames[0] if frames else first_frame(node))
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


def first_frame(node: Node) -> str:
    """Wait for a CameraInfo and return its frame_id."""
    first: Future = Future()
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def take(msg: CameraInfo) -> None:
        if not first.done():
            first.set_result(msg.header.frame_id)

    subscription = AdaptiveSubscription(
        node, CameraInfo, 'camera_info', take, depth=1, latched=True
    )
    node.get_logger().info(f'RViz starts with the first CameraInfo on {subscription.topic_name}')
    while not first.done():
        executor.spin_until_future_complete(first, timeout_sec=CHECK_PERIOD)
        if not rclpy.ok():
            raise ExternalShutdownException
        subscription.check()
    subscription.destroy()
    return str(first.result())


def rviz_command(node: Node, fixed_frame: str) -> list[str]:
    """The command line of RViz on the topics that the names are remapped to."""
    config = os.path.join(get_package_share_directory('depth_pcd_ros'), 'rviz', 'depth_pcd.rviz')
    command = ['rviz2', '-d', config, '-f', fixed_frame, '--ros-args']
    for topic in TOPICS:
        command += ['-r', f'/{topic}:={node.resolve_topic_name(topic)}']
    sim_time = node.get_parameter('use_sim_time').value
    return [*command, '-p', f'use_sim_time:={str(bool(sim_time)).lower()}']


if __name__ == '__main__':
    sys.exit(main())
