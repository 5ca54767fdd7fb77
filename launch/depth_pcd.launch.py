# SPDX-License-Identifier: Apache-2.0
"""Start the node for one camera.

    ros2 launch depth_pcd_ros depth_pcd.launch.py image:=/cam/image_raw model:=indoor-small

In a launch file of one's own:

    IncludeLaunchDescription(
        PathJoinSubstitution(
            [FindPackageShare('depth_pcd_ros'), 'launch', 'depth_pcd.launch.py']
        ),
        launch_arguments={'image': '/cam/image_raw', 'model': 'indoor-small'}.items(),
    )
"""

import posixpath

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = {
    'image': ('image', 'topic of the images'),
    'camera_info': ('', 'topic of the CameraInfo; by default beside the images'),
    'namespace': ('', 'namespace of the node and its results'),
    'name': ('depth_pcd', 'name of the node'),
    'params_file': ('', 'YAML file with parameters, such as config/depth_pcd.yaml'),
    'model': ('', 'parameter model, over that of params_file'),
    'device': ('', 'parameter device, over that of params_file'),
    'rectified': ('', 'parameter rectified, over that of params_file: true or false'),
    'image_transport': ('', 'parameter image_transport, over that of params_file'),
    'use_sim_time': ('false', 'take the time from /clock: true or false'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
    'respawn': ('false', 'start the node again when it has ended: true or false'),
}
PARAMETERS = ('model', 'device', 'rectified', 'image_transport')


def start(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    truth = {'true': True, 'false': False}
    parameters = {name: given[name] for name in PARAMETERS if given[name]}
    if 'rectified' in parameters:
        parameters['rectified'] = truth[given['rectified'].lower()]
    camera_info = given['camera_info'] or posixpath.join(
        posixpath.dirname(given['image']), 'camera_info'
    )
    return [
        Node(
            package='depth_pcd_ros',
            executable='depth_pcd_node',
            name=given['name'],
            namespace=given['namespace'],
            parameters=[
                *([given['params_file']] if given['params_file'] else []),
                {**parameters, 'use_sim_time': truth[given['use_sim_time'].lower()]},
            ],
            remappings=[('image', given['image']), ('camera_info', camera_info)],
            arguments=['--ros-args', '--log-level', given['log_level']],
            respawn=truth[given['respawn'].lower()],
            output='screen',
        )
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=start),
        ]
    )
