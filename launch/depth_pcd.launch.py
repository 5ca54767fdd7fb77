# SPDX-License-Identifier: Apache-2.0
r"""Start the node for one camera, or for several on one model.

    ros2 launch depth_pcd_ros depth_pcd.launch.py image:=/cam/image_raw rviz:=true
    ros2 launch depth_pcd_ros depth_pcd.launch.py cameras:='[front, left, rear]' \
        image:='/{camera}/image_raw'

In the topics of several cameras, {camera} stands for the name of each.

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
import re
from collections.abc import Mapping, Sequence

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
    'image': (
        'image',
        'topic of the images; of several cameras with {camera} for the name of each, such as '
        '/{camera}/image_raw, or a list of one for each',
        None,
    ),
    'camera_info': ('', 'topic of the CameraInfo; empty: camera_info beside the images', None),
    'cameras': ('', 'names of several cameras, such as [front, left, rear]; empty: one', None),
    'merged_frame': ('', 'frame of one more cloud of all cameras on points; empty: none', None),
    'namespace': ('', 'namespace of the node and its results', None),
    'name': ('depth_pcd', 'name of the node', None),
    'params_file': ('', 'YAML file with parameters, such as config/depth_pcd.yaml', None),
    'model': ('', 'parameter model, over that of params_file', None),
    'device': ('', 'parameter device, over that of params_file', None),
    'hfov': ('', 'parameter hfov, over that of params_file', None),
    'rectified': ('', 'parameter rectified, over that of params_file', ['', *BOOLEAN]),
    'image_transport': (
        '',
        'parameter image_transport, over that of params_file; of several cameras also a list of '
        'one for each, such as [raw, raw, compressed]',
        None,
    ),
    'frames': ('', 'parameter frames, over that of params_file', None),
    'resolution': ('', 'parameter resolution, over that of params_file', ['', 'image', 'network']),
    'scale_source': ('', 'parameter scale_source, over that of params_file', None),
    'scale_topic': ('', 'topic of its points or ranges; empty: scale/points, scale/range', None),
    'odometry': ('odometry', 'topic of the Odometry, for what needs it (docs/motion.md)', None),
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
CAMERA = '{camera}'  # for a name, in topics
PARAMETERS = (
    *('model', 'device', 'hfov', 'rectified', 'image_transport', 'frames'),
    *('resolution', 'scale_source'),
)


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
    names = _listed(given['cameras'])
    if names:
        parameters['cameras'] = names
    if names and given['image_transport'].startswith('['):
        each = _one_for_each('image_transport', str(parameters.pop('image_transport')), names)
        parameters |= {f'{name}.image_transport': each[i] for i, name in enumerate(names)}
    if given['merged_frame']:
        parameters |= {'merged_points': True, 'merged_frame': given['merged_frame']}
    remappings = _remappings(given, names)
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
    frame = given['fixed_frame'] or given['merged_frame']
    rviz = Node(
        executable='depth_pcd_rviz',
        arguments=[frame] if frame else [],
        parameters=[{**sim_time, **({'cameras': names} if names else {})}],
        remappings=remappings,
        **common,
    )
    return [node, rviz]


def _remappings(given: Mapping[str, str], names: Sequence[str]) -> list[tuple[str, str]]:
    """What the topics of the node are, of one camera or of each by its name."""
    topics = {name: given[name] for name in ('image', 'camera_info', 'scale_topic')}
    if not names:
        return [*_of_camera('', **topics), ('odometry', given['odometry'])]
    if topics['image'] == 'image':
        topics['image'] = f'{CAMERA}/image'
    each = {name: _of_each(name, topic, names) for name, topic in topics.items()}
    found = []
    for i, name in enumerate(names):
        found += _of_camera(f'{name}/', **{key: values[i] for key, values in each.items()})
    odometry = given['odometry']  # a robot has one, and perhaps a camera has its own
    if CAMERA not in odometry:
        return [*found, ('odometry', odometry)]
    return found + [(f'{name}/odometry', odometry.replace(CAMERA, name)) for name in names]


def _of_camera(
    prefix: str, *, image: str, camera_info: str, scale_topic: str
) -> list[tuple[str, str]]:
    beside = posixpath.join(posixpath.dirname(image), 'camera_info')
    found = [(f'{prefix}image', image), (f'{prefix}camera_info', camera_info or beside)]
    if scale_topic:  # of the two, the node has the one of its scale_source
        found += [(prefix + topic, scale_topic) for topic in ('scale/points', 'scale/range')]
    return found


def _of_each(argument: str, topic: str, names: Sequence[str]) -> list[str]:
    """The topic of each camera, of a pattern or of a list."""
    if topic.startswith('['):
        return _one_for_each(argument, topic, names)
    if argument != 'scale_topic' and topic and CAMERA not in topic:
        raise RuntimeError(f'{argument} is {topic!r}, expected {CAMERA} in it, for each of cameras')
    return [topic.replace(CAMERA, name) for name in names]


def _one_for_each(argument: str, text: str, names: Sequence[str]) -> list[str]:
    found = _listed(text)
    if len(found) != len(names):
        expected = f'one for each of {", ".join(names)}'
        raise RuntimeError(f'{argument} is a list of {len(found)}, expected {expected}')
    return found


def _listed(text: str) -> list[str]:
    """The words of a list such as [front, left, rear], with or without brackets and commas."""
    return re.findall(r'[^\s,\[\]\'"]+', text)


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
