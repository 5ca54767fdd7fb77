# SPDX-License-Identifier: Apache-2.0
"""Replay a recording, make a cloud of every frame, and show it in RViz.

    ros2 launch depth_pcd_ros replay.launch.py bag:=my_recording model:=indoor-small
    ros2 launch depth_pcd_ros replay.launch.py bag:=my_recording cameras:='[front, left, rear]'

All arguments of depth_pcd.launch.py are there, too. What the node makes is recorded with
`ros2 bag record`, or without ROS by `depth-pcd convert my_recording`.

The recording is played by `depth-pcd replay` and not by `ros2 bag play`, since that does not wait
until the model is loaded.
"""

import os
import posixpath
import re
import subprocess
from collections.abc import Sequence

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

from depth_pcd_ros.live.environment import for_large_messages

BOOLEAN = ['true', 'false', 'True', 'False']
PROFILE = posixpath.join(get_package_share_directory('depth_pcd_ros'), 'config', 'fastdds.xml')
CAMERA = os.path.join(os.path.dirname(os.path.realpath(__file__)), 'depth_pcd.launch.py')


def play(context: LaunchContext) -> list[ExecuteProcess]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ('bag', 'rate', 'loop')}
    replay = [ExecutableInPackage('depth-pcd', 'depth_pcd_ros').perform(context), 'replay']
    known = context.launch_configurations
    cameras = re.findall(r'[^\s,\[\]\'"]+', known.get('cameras', ''))
    if not known['image']:
        find = [*replay, given['bag'], '--find-camera', *cameras]
        found = subprocess.run(find, capture_output=True, text=True, check=False)
        if found.returncode:
            raise RuntimeError(f'{found.stderr.strip()}\nor say it with image:= and camera_info:=')
        for line in found.stdout.splitlines():
            name, _, value = line.partition(':=')
            if not known.get(name):
                known[name] = value
    elif not known['camera_info'] and not known['image'].startswith('['):
        known['camera_info'] = posixpath.join(posixpath.dirname(known['image']), 'camera_info')
    # The node listens to these as soon as its model is loaded; RViz may be earlier on one of them.
    images = _of_each(known['image'], cameras)
    transports = _of_each(known.get('image_transport', ''), cameras)
    for i, transport in enumerate(transports):
        if transport == 'compressed':
            images[i] += '/compressed'
    command = [*replay, given['bag'], '--clock', '--rate', given['rate']]
    command += ['--wait', '600', '--wait-for', *images, *_of_each(known['camera_info'], cameras)]
    if given['loop'].lower() == 'true':
        command.append('--loop')
    profile = context.launch_configurations.get('fastdds_profile', PROFILE)
    environment = {} if profile == 'none' else for_large_messages(profile)
    return [ExecuteProcess(cmd=command, additional_env=environment, output='screen')]


def _of_each(topic: str, cameras: Sequence[str]) -> list[str]:
    """What each camera has, as depth_pcd.launch.py takes it: a pattern, a word or a list."""
    if topic.startswith('['):
        return re.findall(r'[^\s,\[\]]+', topic)
    return [topic.replace('{camera}', name) for name in cameras] if cameras else [topic]


def generate_launch_description() -> LaunchDescription:
    # Those that depth_pcd.launch.py declares too have another default here.
    arguments = [
        DeclareLaunchArgument('bag', description='the recording, a folder with mcap or sqlite3'),
        DeclareLaunchArgument('rate', default_value='1.0', description='factor on the pace'),
        DeclareLaunchArgument(
            'loop', default_value='false', description='play it again and again', choices=BOOLEAN
        ),
        DeclareLaunchArgument(
            'image', default_value='', description="topic of the images; empty: the recording's"
        ),
        DeclareLaunchArgument(
            'camera_info',
            default_value='',
            description='topic of the CameraInfo; empty: camera_info beside the images',
        ),
        DeclareLaunchArgument('frames', default_value='all', description='parameter frames'),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='true',
            description="take the time from the recording's /clock",
            choices=BOOLEAN,
        ),
        DeclareLaunchArgument(
            'rviz', default_value='true', description='show all in RViz', choices=BOOLEAN
        ),
    ]
    camera = IncludeLaunchDescription(PythonLaunchDescriptionSource(CAMERA))
    return LaunchDescription([*arguments, OpaqueFunction(function=play), camera])
