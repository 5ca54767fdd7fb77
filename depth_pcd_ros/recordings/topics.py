# SPDX-License-Identifier: Apache-2.0
"""Finds the topics of a recording that matter."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from depth_pcd_ros.messages.compressed import is_deep_grey
from depth_pcd_ros.motion.messages import TYPE as ODOMETRY
from depth_pcd_ros.recordings.reader import Recording, RecordingError, open_recording
from depth_pcd_ros.scale.messages import TOPICS as SCALE_TOPICS
from depth_pcd_ros.scale.messages import TYPES as SCALE_TYPES

RAW, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
POINTS = 'sensor_msgs/msg/PointCloud2'
DEPTH_ENCODINGS = ('16UC1', '32FC1')
# Such as ffmpeg_image_transport_msgs/msg/FFMPEGPacket and foxglove_msgs/msg/CompressedVideo.
_PICTURES_OF_OTHERS = re.compile('/[^/]*(Image|Video|Packet)[^/]*$')
PLACE = '{camera}'  # for the name of a camera in a topic
OWN_RESULTS = ('points', 'depth/camera_info', 'depth/color')


class Topics(NamedTuple):
    """The topics asked for; empty to be found by type. `{camera}` in them stands for its name."""

    image: str = ''
    camera_info: str = ''
    scale: str = ''
    odometry: str = ''

    def of_camera(self, name: str) -> Topics:
        """Return the topics of one of several cameras."""
        return Topics(*(topic.replace(PLACE, name) for topic in self))


def find_image_topic(reader: Recording, asked: str = '', option: str = '--image-topic') -> str:
    """Find the topic with the pictures: the one asked for, or the only one in colour or grey.

    A raw topic goes before the compressed one of the same camera, and topics without a message,
    which a recording has of cameras that were silent, are chosen only where there are no others.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    if asked:
        kinds = _kinds(reader, RAW, COMPRESSED)
        return _asked(reader, asked, kinds, 'Image or CompressedImage')
    found = _pictures(reader)
    left_out = {} if found else _no_pictures(reader)
    return _only(reader, found, 'an Image or CompressedImage topic', option, left_out)


def find_cameras(
    reader: Recording, asked: Sequence[str], pattern: str = '', option: str = '--image-topic'
) -> dict[str, str]:
    """Find the image topics of several cameras, by their names.

    A camera is named by the namespace of its image topic: /front/image_raw is front,
    /robot/front/image_raw/compressed is robot/front. Where a namespace has several image topics, or
    there is none, the name has the last part of the topic, too. A camera may be asked for by the
    end of its name, whole parts of it, and has that name then.

    Args:
        reader: the recording.
        asked: the names; empty: of all cameras with pictures.
        pattern: of the topics, with {camera} in the place of the name; empty: by the rule above.
        option: how a person gives the pattern.

    Raises:
        RecordingError: one is not there, or not the only one.
    """
    if pattern and asked:
        kinds = _kinds(reader, RAW, COMPRESSED)
        topics = {name: pattern.replace(PLACE, name) for name in asked}
        for topic in topics.values():
            _asked(reader, topic, kinds, 'Image or CompressedImage')
        return topics
    if pattern:
        names = re.compile(re.escape(pattern).replace(re.escape(PLACE), r'([A-Za-z][\w/]*)', 1))
        matches = ((names.fullmatch(topic), topic) for topic in _kinds(reader, RAW, COMPRESSED))
        found = {match[1]: topic for match, topic in matches if match}
    else:
        found = _named(_pictures(reader))
        if asked:  # one that was silent, too: its job reports that
            found = {**_named(_pictures(reader, silent=True)), **found}
    there = ', '.join(f'{name} ({topic})' for name, topic in sorted(found.items())) or 'none'
    if not asked:
        if not found:
            raise RecordingError(f'it has no camera; image topics are found by {option}')
        return dict(sorted(found.items()))
    cameras = {}
    for name in asked:
        fit = [name] if name in found else [n for n in found if n.endswith(f'/{name}')]
        if len(fit) != 1:
            what = 'several cameras' if fit else 'no camera'
            raise RecordingError(f'it has {what} {name}; there is {there}')
        cameras[name] = found[fit[0]]
    return cameras


def _named(topics: Iterable[str]) -> dict[str, str]:
    """Image topics by the names of their cameras."""
    bases = {}
    for topic in topics:
        base, _, transport = topic.rpartition('/')
        bases[topic] = base if transport == 'compressed' else topic
    spaces = Counter(posixpath.dirname(base) for base in bases.values())
    return {
        (base if space == '/' or spaces[space] > 1 else space).lstrip('/'): topic
        for topic, base in bases.items()
        for space in [posixpath.dirname(base)]
    }


def _pictures(reader: Recording, *, silent: bool = False) -> list[str]:
    """Find the topics of colour or grey pictures, one of each camera; `silent` ones, too."""
    kinds = _kinds(reader, RAW, COMPRESSED)
    foreign = [topic for topic in kinds if not _is_own_result(reader, topic)]
    spoken = {c.topic for c in reader.connections if c.msgcount}
    pictures = [topic for topic in foreign if silent or topic in spoken] or foreign
    pictures = [topic for topic in pictures if not _is_depth(reader, topic)]
    return [t for t in pictures if posixpath.dirname(t) not in pictures]


def _no_pictures(reader: Recording) -> dict[str, str]:
    """Find the topics of images that are not a camera's pictures, and what they are."""
    images = {
        topic: 'a result of the node' if _is_own_result(reader, topic) else 'depth'
        for topic in sorted(_kinds(reader, RAW, COMPRESSED))
    }
    others = {
        c.topic: f'{c.msgtype}, which is not read'
        for c in reader.connections
        if c.topic not in images and _PICTURES_OF_OTHERS.search(c.msgtype)
    }
    return {**images, **others}


def _kinds(reader: Recording, *kinds: str) -> dict[str, str]:
    """List the topics of these types, with their types."""
    return {c.topic: c.msgtype for c in reader.connections if c.msgtype in kinds}


def find_camera_info_topic(
    reader: Recording,
    image_topic: str,
    asked: str = '',
    option: str = '--camera-info-topic',
) -> str:
    """Find the CameraInfo topic asked for, or camera_info beside the image topic, or the only one.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    namespace = posixpath.dirname(image_topic)
    # a compressed topic has one more name; some drivers (AirSim's) have it below the image
    places = namespace, posixpath.dirname(namespace), image_topic
    beside = [posixpath.join(one, 'camera_info') for one in places]
    return _find(reader, CAMERA_INFO, asked, option, beside)


def find_scale_topic(reader: Recording, source: str, asked: str = '', camera: str = '') -> str:
    """Find the topic of a `scale_source`: the one asked for, or scale/..., or the only one.

    That of one of several cameras, by its name, goes before those that all have.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    own = [f'/{camera}/{SCALE_TOPICS[source]}', f'/{SCALE_TOPICS[source]}']
    return _find(reader, SCALE_TYPES[source], asked, '--scale-topic', own)


def find_odometry_topic(reader: Recording, asked: str = '') -> str:
    """Find the Odometry topic asked for, or the only one; '' where there is none.

    Raises:
        RecordingError: no such topic, or several.
    """
    if not asked and not _kinds(reader, ODOMETRY):
        return ''
    return _find(reader, ODOMETRY, asked, '--odometry-topic')


def find_cloud_topic(reader: Recording, asked: str = '') -> str:
    """Find the topic with the clouds to look at: the one asked for, or `points`, or the only one.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    own = [topic for topic in _kinds(reader, POINTS) if topic.endswith('/points')]
    if not asked and len(own) != 1:
        return _only(reader, list(_kinds(reader, POINTS)), 'a PointCloud2 topic', '--topic')
    return _find(reader, POINTS, asked, '--topic', own)


def find_truth_topic(reader: Recording, asked: str = '') -> str:
    """Find the topic with the true depth: the one asked for, or the only depth image, or cloud.

    What the node or `convert` has made of a camera is no truth; a raw topic goes before the
    compressed one of the same camera.

    Raises:
        RecordingError: no such topic, none, or several.
    """
    kinds = _kinds(reader, RAW, COMPRESSED, POINTS)
    if asked:
        return _asked(reader, asked, kinds, 'depth image or PointCloud2')
    kinds = {topic: kind for topic, kind in kinds.items() if not _is_own_result(reader, topic)}
    images = [
        topic
        for topic, kind in kinds.items()
        if kind != POINTS and not _is_own_depth(reader, topic) and _is_depth(reader, topic)
    ]
    images = [topic for topic in images if posixpath.dirname(topic) not in images]
    clouds = [topic for topic, kind in kinds.items() if kind == POINTS]
    return _only(reader, images or clouds, 'a depth image or PointCloud2 topic', '--truth-topic')


def find_camera(path: Path, names: Sequence[str] = ()) -> dict[str, str]:
    """Find the camera of a recording, or several, as the launch file of the node names them.

    Returns:
        `image` and `camera_info`, the topics to remap to, and `image_transport`; of several cameras
        lists such as [/front/image_raw,/left/image_raw], in the order of `names`, or for all of
        them `raw` or `compressed`.

    Raises:
        RecordingError: it cannot be read, or the topics are not clear.
    """
    with open_recording(path) as reader:
        if names:
            images = list(find_cameras(reader, names, option='image:=').values())
        else:
            option = 'image:=, or their names with cameras:='  # as ros2 launch takes it
            images = [find_image_topic(reader, option=option)]
        infos = [find_camera_info_topic(reader, i, option='camera_info:=') for i in images]
        kinds = _kinds(reader, RAW, COMPRESSED)
    transports = ['raw' if kinds[image] == RAW else 'compressed' for image in images]
    for i, image in enumerate(images):
        if transports[i] == 'compressed':
            images[i], _, transport = image.rpartition('/')
            if transport != 'compressed':
                raise RecordingError(
                    f'{image} has CompressedImage, but is not named .../compressed'
                )
    found = {'image': images, 'camera_info': infos, 'image_transport': transports}
    shown = {name: f'[{",".join(each)}]' if names else each[0] for name, each in found.items()}
    if len(set(transports)) == 1:
        shown['image_transport'] = transports[0]
    return shown


def _is_depth(reader: Recording, topic: str) -> bool:
    """Return whether the first picture of a topic is depth (REP 118) and no photo."""
    _, msg = next(reader.decoded(topic), (0, None))
    if msg is None:
        return False
    if not hasattr(msg, 'format'):
        return msg.encoding in DEPTH_ENCODINGS
    encoding, _, codec = msg.format.partition(';')
    if 'compressedDepth' in msg.format or encoding.strip() in DEPTH_ENCODINGS:
        return True
    # 16-bit grey is depth unless something says that it is brightness
    return not codec and is_deep_grey(bytes(msg.data[:26]))


def _is_own_result(reader: Recording, topic: str) -> bool:
    """Return whether the node has published it, or `convert` has: what came of a camera is none."""
    topics = {c.topic for c in reader.connections}
    for result in OWN_RESULTS:
        if topic.endswith(f'/{result}'):
            beside = topic.removesuffix(result)
            return result == 'depth/color' or f'{beside}depth/image' in topics
    return False


def _is_own_depth(reader: Recording, topic: str) -> bool:
    beside = topic.removesuffix('depth/image')
    topics = {c.topic for c in reader.connections}
    return topic != beside and {f'{beside}points', f'{beside}depth/camera_info'} <= topics


def _find(
    reader: Recording, kind: str, asked: str, option: str, preferred: Sequence[str] = ()
) -> str:
    """Find the topic of a type: the one asked for, else a preferred one, else the only one."""
    topics, name = _kinds(reader, kind), kind.rpartition('/')[2]
    if asked:
        return _asked(reader, asked, topics, name)
    if found := [topic for topic in preferred if topic in topics]:
        return found[0]
    others = [topic for topic in topics if not _is_own_result(reader, topic)]
    return _only(reader, others, f'{"an" if name[0] in "AEIO" else "a"} {name} topic', option)


def _asked(reader: Recording, topic: str, known: Collection[str], kind: str) -> str:
    if topic in reader.unreadable:
        raise RecordingError(f'{topic} is {reader.unreadable[topic]}')
    if topic not in known:
        there = ', '.join(sorted(known)) or 'none'
        raise RecordingError(f'it has no {kind} topic {topic}; there is {there}')
    return topic


def _only(
    reader: Recording,
    topics: list[str],
    what: str,
    option: str,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> str:
    if not topics:
        others = [f'{topic} is {why}' for topic, why in {**left_out, **reader.unreadable}.items()]
        reasons = '; '.join([*others, *reader.damage])
        raise RecordingError(f'it lacks {what}' + (f' ({reasons})' if reasons else ''))
    if len(topics) > 1:
        raise RecordingError(f'choose {what} with {option}: {", ".join(sorted(topics))}')
    return topics[0]
