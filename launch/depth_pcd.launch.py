# SPDX-License-Identifier: Apache-2.0
"""Start the node for one camera.

    ros2 launch depth_pcd_ros depth_pcd.launch.py image:=/cam/image_raw rviz:=true

In a launch file of one's own, in a group each, or the next camera (and whatever else is included
after it) has the arguments of this one, where it does not name them itself:

    GroupAction(
        [
            IncludeLaunchDescription(
                PathJoinSubstitution(
                    [FindPackageShare('depth_pcd_ros'), 'launch', 'depth_pcd.launch.py']
                ),
                launch_arguments={'image': '/cam/image_raw', 'model': 'indoor-small'}.items(),
            )
        ]
    )
"""

import os
import posixpath

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from depth_pcd_ros.live.environment import for_large_messages

SHARE = get_package_share_directory('depth_pcd_ros')
BOOLEAN = ['true', 'false', 'True', 'False']
# name: default, description, choices
ARGUMENTS = {
    'image': ('image', 'topic of the images', None),
    'camera_info': ('', 'topic of the CameraInfo; empty: camera_info beside the images', None),
    'namespace': ('', 'namespace of the node and its results', None),
    'name': ('depth_pcd', 'name of the node', None),
    'params_file': ('', 'YAML file with parameters, such as config/depth_pcd.yaml', None),
    'model': ('', 'parameter model, over that of params_file', None),
    'device': ('', 'parameter device, over that of params_file', None),
    'hfov': ('', 'parameter hfov, over that of params_file', None),
    'rectified': ('', 'parameter rectified, over that of params_file', ['', *BOOLEAN]),
    'image_transport': ('', 'parameter image_transport, over that of params_file', None),
    'frames': ('', 'parameter frames, over that of params_file', None),
    'scale_source': ('', 'parameter scale_source, over that of params_file', None),
    'scale_topic': ('', 'topic of its points or ranges; empty: scale/points, scale/range', None),
    'rviz': ('false', 'show the cloud, the image and the depth in RViz', BOOLEAN),
    'fixed_frame': ('', 'the Fixed Frame of RViz; empty: the frame_id of the camera', None),
    'use_sim_time': ('false', 'take the time from /clock', BOOLEAN),
    'log_level': ('info', 'how much is logged', ['debug', 'info', 'warn', 'error', 'fatal']),
    'respawn': ('false', 'start the node again when it has ended', BOOLEAN),
    'fastdds_profile': (
        posixpath.join(SHARE, 'config', 'fastdds.xml'),
        'XML profile of Fast DDS, unless the environment names one; none: no settings for large '
        'messages, neither of Fast DDS nor of malloc (docs/transport.md)',
        None,
    ),
}
PARAMETERS = ('model', 'device', 'hfov', 'rectified', 'image_transport', 'frames', 'scale_source')


def start(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    for name, without in (('params_file', ''), ('fastdds_profile', 'none')):
        if given[name] != without and not os.path.isfile(given[name]):
            raise RuntimeError(f'{name} is {given[name]!r}, expected the path of a file')
    truth = {word: word.lower() == 'true' for word in BOOLEAN}
    parameters: dict[str, object] = {
        name: truth.get(given[name], given[name]) for name in PARAMETERS if given[name]
    }
    if given['hfov']:
        try:
            parameters['hfov'] = float(given['hfov'])  # 60 is an integer to ROS
        except ValueError:
            raise RuntimeError(f'hfov is {given["hfov"]!r}, expected degrees') from None
    beside = posixpath.join(posixpath.dirname(given['image']), 'camera_info')
    remappings = [('image', given['image']), ('camera_info', given['camera_info'] or beside)]
    if given['scale_topic']:  # of the two, the node has the one of its scale_source
        remappings += [(topic, given['scale_topic']) for topic in ('scale/points', 'scale/range')]
    common = {
        'package': 'depth_pcd_ros',
        'namespace': given['namespace'],
        'additional_env': {}
        if given['fastdds_profile'] == 'none'
        else for_large_messages(given['fastdds_profile']),
        'output': 'screen',
    }
    sim_time = {'use_sim_time': truth[given['use_sim_time']]}
    node = Node(
        executable='depth_pcd_node',
        name=given['name'],
        parameters=[
            *([given['params_file']] if given['params_file'] else []),
            {**parameters, **sim_time},
        ],
        remappings=remappings,
        arguments=['--ros-args', '--log-level', given['log_level']],
        respawn=truth[given['respawn']],
        respawn_delay=2.0,
        **common,
    )
    if not truth[given['rviz']]:
        return [node]
    rviz = Node(
        executable='depth_pcd_rviz',
        arguments=[given['fixed_frame']] if given['fixed_frame'] else [],
        parameters=[sim_time],
        remappings=remappings,
        **common,
    )
    return [node, rviz]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name, default_value=default, description=description, choices=choices
                )
                for name, (default, description, choices) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=start),
        ]
    )
