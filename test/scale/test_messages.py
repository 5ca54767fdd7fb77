# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 in any layout; the messages are those of rosbags, which need no ROS."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pcd_ros.messages.encode import cloud_message
from depth_pcd_ros.recordings.store import TYPES
from depth_pcd_ros.scale.messages import CloudError, points_reading, range_reading, xyz_of_cloud

HEADER = TYPES['std_msgs/msg/Header'](TYPES['builtin_interfaces/msg/Time'](3, 5), 'lidar')
FLOAT32, FLOAT64 = 7, 8


def cloud(xyz, *, order='xyz', datatype=FLOAT32, lead=0, gap=0, tail=0, row_pad=0, big=False):
    """A cloud of points (H, W, 3) as drivers lay it out: padded, reordered, big-endian."""
    field = TYPES['sensor_msgs/msg/PointField']
    height, width = xyz.shape[:2]
    size = {FLOAT32: 4, FLOAT64: 8}[datatype]
    point_step = lead + 3 * (size + gap) + tail
    row_step = point_step * width + row_pad
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (height, row_step), np.uint8)
    fields = []
    for i, name in enumerate(order):
        offset = lead + i * (size + gap)
        fields.append(field(name, offset, datatype, 1))
        values = xyz[..., 'xyz'.index(name)].astype(('>' if big else '<') + f'f{size}')
        for column in range(width):
            at = column * point_step + offset
            data[:, at : at + size] = values[:, column, None].copy().view(np.uint8)
    return TYPES['sensor_msgs/msg/PointCloud2'](
        header=HEADER,
        height=height,
        width=width,
        fields=[field('intensity', 0, 2, 1), *fields],
        is_bigendian=big,
        point_step=point_step,
        row_step=row_step,
        data=data.ravel(),
        is_dense=False,
    )


@given(
    order=st.permutations('xyz'),
    datatype=st.sampled_from([FLOAT32, FLOAT64]),
    lead=st.integers(0, 9),
    gap=st.integers(0, 3),
    tail=st.integers(0, 9),
    row_pad=st.integers(0, 5),
    big=st.booleans(),
)
@settings(deadline=None)
def test_any_layout(order, datatype, lead, gap, tail, row_pad, big):
    """Order, padding of points and rows, type and byte order make no difference."""
    xyz = np.random.default_rng(1).normal(size=(3, 5, 3)).astype(np.float32)
    xyz[1, 2] = np.nan
    msg = cloud(
        xyz, order=order, datatype=datatype, lead=lead, gap=gap, tail=tail, row_pad=row_pad, big=big
    )
    found = xyz_of_cloud(msg)
    np.testing.assert_array_equal(found, xyz.reshape(-1, 3))
    assert found.dtype == np.float32


def test_our_own_cloud():
    """The cloud that this package writes is read as it was."""
    points = np.random.default_rng(2).normal(size=(4, 6, 4)).astype(np.float32)
    reading = points_reading(cloud_message(TYPES, points, HEADER))
    np.testing.assert_array_equal(reading.xyz, points[..., :3].reshape(-1, 3))
    assert (reading.stamp_ns, reading.frame_id) == (3 * 10**9 + 5, 'lidar')


def test_empty_cloud():
    """No points are no error here."""
    assert xyz_of_cloud(cloud(np.empty((1, 0, 3)))).shape == (0, 3)


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'fields': []}, r'the cloud has the fields \[\], expected x, y and z'),
        ({'data': np.zeros(100, np.uint8)}, 'does not fit its 100 bytes'),
        ({'point_step': 3}, 'point_step 3'),
        ({'row_step': 10**9}, 'row_step 1000000000'),
        ({'row_step': 12}, 'the rows overlap'),
    ],
)
def test_a_broken_cloud_is_told(changes, told):
    """It is refused by name, and as a reading it carries the reason."""
    msg = cloud(np.zeros((5, 7, 3), np.float32))
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(CloudError, match=told):
        xyz_of_cloud(msg)
    assert points_reading(msg).problem


def test_range():
    """A Range as it is."""
    msg = TYPES['sensor_msgs/msg/Range'](HEADER, 1, 0.5, 0.1, 4.0, 1.5)
    reading = range_reading(msg)
    assert (reading.distance, reading.minimum, reading.maximum) == pytest.approx((1.5, 0.1, 4.0))
    assert reading.field_of_view == pytest.approx(0.5)
