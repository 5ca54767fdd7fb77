# SPDX-License-Identifier: Apache-2.0
"""PLY and PCD against their bytes written by hand and another library's reader."""

import struct

import cv2
import numpy as np
import pytest

from depth_pcd_ros.files.pcd import write_pcd
from depth_pcd_ros.files.ply import PlyError, read_ply, write_ply
from depth_pcd_ros.files.whole_file import whole_file, write_picture


def packed(r, g, b):
    """A colour as the float32 of a cloud."""
    return struct.unpack('<f', bytes([b, g, r, 0]))[0]


# 2x2, one point invalid.
CLOUD = np.array(
    [
        [[1.0, 2.0, 3.0, packed(255, 128, 1)], [np.nan, np.nan, np.nan, packed(9, 9, 9)]],
        [[-0.5, 0.25, 4.0, packed(0, 0, 255)], [0.0, 0.0, 1.5, packed(1, 2, 3)]],
    ],
    np.float32,
)
HEADER = b"""ply
format binary_little_endian 1.0
element vertex 3
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
"""


def test_ply_bytes(tmp_path):
    """The file is, byte for byte, what the format says of the three valid points."""
    path = tmp_path / 'cloud.ply'
    assert write_ply(path, CLOUD) == 3
    vertices = [
        struct.pack('<3f3B', 1.0, 2.0, 3.0, 255, 128, 1),
        struct.pack('<3f3B', -0.5, 0.25, 4.0, 0, 0, 255),
        struct.pack('<3f3B', 0.0, 0.0, 1.5, 1, 2, 3),
    ]
    assert path.read_bytes() == HEADER + b''.join(vertices)
    assert [file.name for file in tmp_path.iterdir()] == ['cloud.ply']


def test_ply_without_colours(tmp_path):
    """x, y, z alone, of an unorganized cloud."""
    path = tmp_path / 'cloud.ply'
    points = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert write_ply(path, points) == 2
    assert b'red' not in path.read_bytes()
    xyz, rgb = read_ply(path)
    np.testing.assert_array_equal(xyz, points)
    assert rgb is None


def test_ply_read_back(tmp_path):
    """Reading gives what was written."""
    path = tmp_path / 'cloud.ply'
    write_ply(path, CLOUD)
    xyz, rgb = read_ply(path)
    np.testing.assert_array_equal(xyz, CLOUD.reshape(-1, 4)[[0, 2, 3], :3])
    np.testing.assert_array_equal(rgb, [[255, 128, 1], [0, 0, 255], [1, 2, 3]])


def test_large_ply(tmp_path):
    """A cloud that is written block by block."""
    rng = np.random.default_rng(0)
    points = rng.random((200, 301, 4), np.float32)
    points[..., 3] = rng.integers(0, 1 << 24, (200, 301), dtype=np.uint32).view(np.float32)
    points[rng.random((200, 301)) < 0.3, :3] = np.nan
    valid = np.isfinite(points[..., 0])
    assert write_ply(tmp_path / 'cloud.ply', points) == valid.sum()
    xyz, rgb = read_ply(tmp_path / 'cloud.ply')
    np.testing.assert_array_equal(xyz, points[valid, :3])
    bits = points[valid][:, 3].view(np.uint32)
    np.testing.assert_array_equal(
        rgb, np.column_stack([bits >> 16 & 255, bits >> 8 & 255, bits & 255])
    )


def test_ply_opens_in_trimesh(tmp_path):
    """Another library reads the same points and colours."""
    trimesh = pytest.importorskip('trimesh')
    path = tmp_path / 'cloud.ply'
    write_ply(path, CLOUD)
    cloud = trimesh.load(path)
    np.testing.assert_array_equal(cloud.vertices, CLOUD.reshape(-1, 4)[[0, 2, 3], :3])
    np.testing.assert_array_equal(cloud.colors[:, :3], [[255, 128, 1], [0, 0, 255], [1, 2, 3]])


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'not a binary little-endian PLY'),
        (HEADER.replace(b'binary_little_endian', b'ascii'), 'not a binary little-endian PLY'),
        (HEADER + b'\0' * 44, '44 bytes of points, expected 45 for 3'),
    ],
)
def test_ply_refused(tmp_path, content, reason):
    """Another kind of file, or half a one, is refused with the reason."""
    path = tmp_path / 'cloud.ply'
    path.write_bytes(content)
    with pytest.raises(PlyError, match=reason):
        read_ply(path)


@pytest.mark.parametrize(
    ('points', 'size'),
    [(CLOUD, ('2', '2')), (CLOUD.reshape(-1, 4), ('4', '1')), (CLOUD[:, :1, :3], ('1', '2'))],
)
def test_pcd(tmp_path, points, size):
    """The header says what the bytes are; an organized cloud keeps its rows and its NaN."""
    path = tmp_path / 'cloud.pcd'
    write_pcd(path, points)
    head, data = path.read_bytes().split(b'DATA binary\n')
    entries = dict(line.split(' ', 1) for line in head.decode().splitlines()[1:])
    n = points.shape[-1]
    assert entries['FIELDS'].split() == ['x', 'y', 'z', 'rgb'][:n]
    assert entries['SIZE'].split() == ['4'] * n
    assert entries['TYPE'].split() == ['F'] * n
    assert (entries['WIDTH'], entries['HEIGHT']) == size
    assert int(entries['POINTS']) * 4 * n == len(data)
    assert data == points.tobytes()


@pytest.mark.parametrize('ending', ['png', 'jpg'])
def test_a_picture_is_written_without_a_word(tmp_path, capfd, ending):
    """OpenCV warns on the terminal of options that a format does not have."""
    write_picture(tmp_path / f'a.{ending}', np.zeros((4, 6), np.uint8), 50)
    assert cv2.imread(str(tmp_path / f'a.{ending}'), cv2.IMREAD_UNCHANGED).shape == (4, 6)
    assert capfd.readouterr().err == ''


def test_whole_file_or_none(tmp_path):
    """A write that fails leaves what was there and nothing else."""
    path = tmp_path / 'new' / 'file'
    with whole_file(path) as file:
        file.write(b'first')

    def fail():
        with whole_file(path) as file:
            file.write(b'second')
            assert path.read_bytes() == b'first'
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b'first'
    assert list(path.parent.iterdir()) == [path]
