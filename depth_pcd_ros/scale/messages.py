# SPDX-License-Identifier: Apache-2.0
"""Read PointCloud2 and Range messages; write the correction as a message.

Messages of rclpy and of rosbags alike; `Types` as in `messages.encode`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_pcd_ros.errors import DepthPcdError
from depth_pcd_ros.messages.decode import stamp_ns
from depth_pcd_ros.messages.encode import Types, floats
from depth_pcd_ros.scale.tracker import MESSAGE_FIELDS, ScaleState
from depth_pcd_ros.sync.readings import BrokenReading, PointsReading, RangeReading, Reading

# sensor_msgs/PointField, datatype to NumPy's type without its byte order
DATATYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}
# The scale/* topic of each source that has one, its type's name, and how it is read.
TOPICS = {'points': 'scale/points', 'range': 'scale/range'}
TYPES = {'points': 'sensor_msgs/msg/PointCloud2', 'range': 'sensor_msgs/msg/Range'}


class CloudError(DepthPcdError):
    """A PointCloud2 contradicts itself; the message says how."""


def points_reading(msg: Any) -> Reading:
    """Read a PointCloud2; a broken one is a reading that says so."""
    stamp, frame_id = stamp_ns(msg.header), msg.header.frame_id.removeprefix('/')
    try:
        return PointsReading(stamp, frame_id, xyz_of_cloud(msg))
    except CloudError as err:
        return BrokenReading(stamp, frame_id, str(err))


def range_reading(msg: Any) -> Reading:
    """Read a sensor_msgs/Range."""
    return RangeReading(
        stamp_ns=stamp_ns(msg.header),
        frame_id=msg.header.frame_id.removeprefix('/'),  # as ROS 1 once wrote it
        distance=float(msg.range),
        minimum=float(msg.min_range),
        maximum=float(msg.max_range),
        field_of_view=float(msg.field_of_view),
    )


READERS: dict[str, Callable[[Any], Reading]] = {'points': points_reading, 'range': range_reading}


def xyz_of_cloud(msg: Any) -> npt.NDArray[np.float32]:
    """Read the fields x, y and z of all points, (N, 3) [m], wherever in the point they are.

    Raises:
        CloudError: a field is missing or of no known type, or the data is too short.
    """
    fields = {field.name: field for field in msg.fields}
    order = '>' if msg.is_bigendian else '<'
    formats, offsets = [], []
    for name in 'xyz':
        if name not in fields:
            raise CloudError(f'the cloud has the fields {list(fields)}, expected x, y and z')
        field = fields[name]
        if field.datatype not in DATATYPES:
            raise CloudError(f'field {name} has datatype {field.datatype}, expected 1 to 8')
        formats.append(order + DATATYPES[field.datatype])
        offsets.append(field.offset)
    if not msg.height * msg.width:
        return np.empty((0, 3), np.float32)
    data = np.frombuffer(msg.data, np.uint8)
    try:
        point = np.dtype(
            {'names': [*'xyz'], 'formats': formats, 'offsets': offsets, 'itemsize': msg.point_step}
        )
        if msg.height > 1 and msg.row_step < msg.width * msg.point_step:
            raise ValueError('the rows overlap')
        points: Any = np.ndarray(
            (msg.height, msg.width), point, data, strides=(msg.row_step, msg.point_step)
        )
    except (TypeError, ValueError) as err:
        raise CloudError(
            f'a cloud of {msg.width}x{msg.height} points with point_step {msg.point_step} and '
            f'row_step {msg.row_step} does not fit its {len(data)} bytes: {err}'
        ) from err
    return np.stack([points[name].ravel() for name in 'xyz'], axis=1).astype(np.float32)


def scale_message(types: Types, state: ScaleState, header: Any) -> Any:
    """Make a Float64MultiArray of a correction: `MESSAGE_FIELDS`, named in the layout's label."""
    values = state.message_values(header.stamp)
    label = types['std_msgs/msg/MultiArrayDimension'](
        label=', '.join(MESSAGE_FIELDS), size=len(values), stride=len(values)
    )
    layout = types['std_msgs/msg/MultiArrayLayout'](dim=[label], data_offset=0)
    kind = types['std_msgs/msg/Float64MultiArray']
    return kind(layout=layout, data=floats(kind, values))
