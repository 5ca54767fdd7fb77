# SPDX-License-Identifier: Apache-2.0
"""depth-pcd doctor: the cameras that are there, whether the node can use them, and how to start it.

It listens as the node does, by the same subscriptions, and judges by the node's own sentences.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_pcd_ros.errors import FrameError
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.geometry.rectification import rectified_advice
from depth_pcd_ros.messages.decode import calibration_from_msg, rgb_from_msg, stamp_ns
from depth_pcd_ros.ros import transport, watch
from depth_pcd_ros.ros.live_camera import prefix
from depth_pcd_ros.ros.subscription import AdaptiveSubscription
from depth_pcd_ros.ros.transforms import frame_advice
from depth_pcd_ros.ros.visit import visit
from depth_pcd_ros.settings import Settings
from depth_pcd_ros.sync.camera_infos import CameraInfos

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

TYPES = {
    'sensor_msgs/msg/Image': Image,
    'sensor_msgs/msg/CompressedImage': CompressedImage,
    'sensor_msgs/msg/CameraInfo': CameraInfo,
}
LOOK_AROUND = 0.25  # [s] between two looks at the topics
OLD = 1.0  # [s] that a stamp may be off the clock before a warning


class Usable(NamedTuple):
    """A camera, and what the node needs to be started on it."""

    image: str  # its topic, without the transport
    camera_info: str  # its topic; empty: none
    parameters: tuple[str, ...]  # such as rectified:=true


class Topic:
    """The messages received on one topic."""

    def __init__(self, node: Node, name: str, type_name: str) -> None:
        self.name, self.type = name, type_name
        self.is_camera_info = type_name.endswith('CameraInfo')
        self.newest: Any = None
        self.lost = 0
        self.age = 0.0  # [s] of the newest stamp when it came
        self._times: list[float] = []
        self._node = node
        self._subscription = AdaptiveSubscription(
            node,
            TYPES[type_name],
            name,
            self._take,
            depth=10,
            on_lost=self._count_lost,
            latched=self.is_camera_info,
        )

    @property
    def namespace(self) -> str:
        """The namespace of the camera."""
        return posixpath.dirname(self.name.removesuffix('/compressed'))

    def check(self) -> None:
        """Adapt to the publishers."""
        self._subscription.check()

    def sent(self) -> str:
        """Say how often something came and how it is published, or why nothing came."""
        if self.newest is None:
            return f'nothing came: {self._subscription.who_publishes()}'
        span = self._times[-1] - self._times[0]
        rate = f'{(len(self._times) - 1) / span:.1f} Hz' if span > 0.0 else 'one message'
        profiles = [one.qos_profile for one in self._node.get_publishers_info_by_topic(self.name)]
        named = {
            getattr(profile, policy).name.lower().replace('_', ' ')
            for profile in profiles
            for policy in ('reliability', 'durability')
        }
        lost = f', {self.lost} lost on the way' if self.lost else ''
        return ', '.join([rate, *sorted(named - {'volatile'})]) + lost

    def _take(self, msg: Any) -> None:
        self._times.append(time.monotonic())
        self.newest = msg
        self.age = (self._node.get_clock().now().nanoseconds - stamp_ns(msg.header)) * 1e-9

    def _count_lost(self, count: int) -> None:
        self.lost += count


def report(seconds: float, model: str) -> tuple[str, bool]:
    """Listen for some time; return what there is, in lines, and whether the node can use some."""
    topics: dict[str, Topic] = {}
    statuses: dict[str, Any] = {}
    with visit('depth_pcd_doctor') as found:
        watch.listen(found.node, lambda status: statuses.update({status.name: status}))
        tf = _tf(found.node)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, types in found.node.get_topic_names_and_types():
                known = next((one for one in types if one in TYPES), '')
                if known and name not in topics:
                    topics[name] = Topic(found.node, name, known)
            for topic in topics.values():
                topic.check()
            found.spin(min(LOOK_AROUND, max(end - time.monotonic(), 0.0)))
        simulated = found.node.count_publishers('/clock') > 0
        pictures = [topic for topic in topics.values() if not topic.is_camera_info]
        common = [f'model:={model}'] if model != Settings.model else []
        common += ['use_sim_time:=true'] if simulated else []
        blocks = [_block(topic, topics, tf, common) for topic in pictures]
    domain = os.environ.get('ROS_DOMAIN_ID') or '0'
    lines = [f'ROS: {get_rmw_implementation_identifier()}, domain {domain}']
    lines += [watch.headline(status) for status in statuses.values()]
    if not pictures:
        lines.append(
            f'No topic with pictures (Image, CompressedImage) in {seconds:g} s: does the driver of '
            'the camera run, with the same ROS_DOMAIN_ID and RMW_IMPLEMENTATION?'
        )
    lines += [line for block, _ in blocks for line in ('', *block)]
    usable = {camera.image: camera for _, camera in reversed(blocks) if camera is not None}
    if len(usable) > 1:
        cameras = _named(sorted(usable.values()))
        lines += ['', f'all {len(cameras)} on one model: {_command(cameras, common)}']
    return '\n'.join(lines), bool(usable)


def _block(
    topic: Topic, topics: dict[str, Topic], tf: Any, common: Sequence[str]
) -> tuple[list[str], Usable | None]:
    """Return the lines about one topic, and the camera if the node can use it.

    `common` are parameters that are not about the camera.
    """
    kind = topic.type.rpartition('/')[2]
    head = f'{topic.name}: {kind}, {topic.sent()}'
    if topic.newest is None:
        return [head], None
    if own := _result_of_the_node(topic, topics):
        return [f'{head}, {own}'], None
    try:
        height, width = rgb_from_msg(topic.newest).shape[:2]
    except FrameError as err:
        return [head, f'  not usable: {err}'], None
    frame_id = topic.newest.header.frame_id
    how = getattr(topic.newest, 'encoding', '') or getattr(topic.newest, 'format', '')
    lines = [f'{head}, {width}x{height} {how}, frame {frame_id!r}']
    if topic.lost:
        lines.append(f'  images get lost: {transport.advice()}')
    if abs(topic.age) > OLD and 'use_sim_time:=true' not in common:
        lines.append(f'  its stamps are {topic.age:.1f} s old: tf and sensors may not fit them')
    rectified = bool(rectified_advice(topic.name, rectified=False))
    info, told, options = _camera_info(topic, topics, (width, height), rectified)
    place = frame_advice(frame_id) or _place(tf, frame_id)
    lines += [f'  CameraInfo: {told}', f'  tf: {place}']
    base, compressed = topic.name.removesuffix('/compressed'), kind == 'CompressedImage'
    if compressed and base == topic.name:
        lines.append('  not usable: the node takes CompressedImage from .../compressed only')
        return lines, None
    if info is None and not options:
        return lines, None
    if rectified:
        options = [*options, 'rectified:=true']
    if compressed:
        options = [*options, 'image_transport:=compressed']
    camera = Usable(base, info or '', tuple(options))
    return [*lines, f'  start: {_command({"": camera}, common)}'], camera


def _named(cameras: Sequence[Usable]) -> dict[str, Usable]:
    """Cameras by names that the node takes: of their namespaces, or of their topics."""
    spaces = [posixpath.dirname(camera.image) for camera in cameras]
    if '/' in spaces or len(set(spaces)) < len(spaces):
        spaces = [camera.image for camera in cameras]
    return {space[1:].replace('/', '_'): one for space, one in zip(spaces, cameras, strict=True)}


def _command(cameras: Mapping[str, Usable], common: Sequence[str]) -> str:
    """The line that starts the node on cameras by their names; '' is that of the only one."""
    words = [*_program(), '--ros-args']
    parameters = [f'cameras:=[{", ".join(cameras)}]'] if '' not in cameras else []
    for name, camera in cameras.items():
        words += ['-r', f'{prefix(name)}image:={camera.image}']
        if camera.camera_info:
            words += ['-r', f'{prefix(name)}camera_info:={camera.camera_info}']
        parameters += [f'{name}.{one}' if name else one for one in camera.parameters]
    words += [word for parameter in (*parameters, *common) for word in ('-p', parameter)]
    return shlex.join(words)


def _result_of_the_node(topic: Topic, topics: dict[str, Topic]) -> str:
    """Say what a topic is where it is no camera but a depth image, or the node's colours of one."""
    encoding = getattr(topic.newest, 'encoding', '')
    depth = 'compressedDepth' in getattr(topic.newest, 'format', '')
    if depth or encoding in ('16UC1', '32FC1'):
        return 'depth, no picture'
    folder = posixpath.dirname(topic.name)
    if topic.name.endswith('/depth/color') and f'{folder}/image' in topics:
        return 'the colours of a depth image, no picture'
    return ''


def _camera_info(
    topic: Topic, topics: dict[str, Topic], size: tuple[int, int], rectified: bool
) -> tuple[str | None, str, list[str]]:
    """Find the CameraInfo of a picture: its topic, what to say of it, and the options without.

    Those beside the pictures of another camera are that camera's.
    """
    pictures = {one.namespace for one in topics.values() if not one.is_camera_info}
    taken = pictures - {topic.namespace}
    free = (one for one in topics.values() if one.is_camera_info and one.namespace not in taken)
    beside = f'{topic.namespace.rstrip("/")}/camera_info'
    ordered = sorted(free, key=lambda one: (one.name != beside, one.name))
    told, uncalibrated = f'none on {beside}', True
    for one in ordered:
        try:
            camera = _camera(one, topic.newest, size, rectified, any_frame=one.name == beside)
        except FrameError as err:
            if one.name == beside:
                told = f'{beside}, not usable: {err}'
                # what else there is goes before hfov, and the node would refuse it
                uncalibrated = err.cause in ('no_camera_info', 'camera_not_calibrated')
            continue
        lens = camera.distortion_model or 'ideal lens'
        return one.name, f'{one.name}, usable: fx {camera.fx:.1f} px, {lens}', []
    if not uncalibrated:
        return None, f'{told}; docs/cameras.md says what to do', []
    told += '; for a first look, put the horizontal field of view of the lens in place of 60'
    return None, told, ['hfov:=60.0']


def _camera(
    info: Topic, image: Any, size: tuple[int, int], rectified: bool, *, any_frame: bool
) -> Camera:
    """Make the camera as the node does.

    Raises:
        FrameError: the node could not use it with this image.
    """
    if info.newest is None:
        raise FrameError('no_camera_info', info.sent())
    header = info.newest.header
    infos = CameraInfos(1, any_frame=any_frame)
    infos.add(stamp_ns(header), header.frame_id, calibration_from_msg(info.newest))
    calibration = infos.find(stamp_ns(image.header), image.header.frame_id, *size)
    camera = Camera.from_calibration(calibration, rectified=rectified)
    camera.check_image_size(*size)
    return camera


def _program() -> list[str]:
    """Return the words that start the node on this machine."""
    if shutil.which('ros2'):
        return ['ros2', 'run', 'depth_pcd_ros', 'depth_pcd_node']
    script = Path(sys.executable).with_name('depth_pcd_node')
    if script.is_file():
        return [str(script)]
    return [sys.executable, '-m', 'depth_pcd_ros.ros.node']


def _tf(node: Node) -> Any:
    """Listen to tf; None where it is not installed."""
    if tf2_ros is None:
        return None
    buffer = tf2_ros.Buffer()
    buffer.listener = tf2_ros.TransformListener(buffer, node)  # as long as the buffer
    return buffer


def _place(tf: Any, frame_id: str) -> str:
    """Say where a frame is in the tree."""
    if tf is None:
        return 'tf2_ros is not installed here: not looked at'
    parents = yaml.safe_load(tf.all_frames_as_yaml()) or {}
    chain = list(_chain(parents, frame_id))
    if len(chain) < 2:
        return f'nothing publishes the frame {frame_id!r}; docs/navigation.md has the command'
    return ' > '.join(reversed(chain))


def _chain(parents: Any, frame: str) -> Iterator[str]:
    """Yield a frame and those above it."""
    seen: set[str] = set()
    while frame and frame not in seen:
        yield frame
        seen.add(frame)
        frame = parents.get(frame, {}).get('parent', '') if isinstance(parents, dict) else ''
