# SPDX-License-Identifier: Apache-2.0
"""The clouds that convert writes, read back."""

import numpy as np
import pytest

from depth_pcd_ros.cloud.unproject import pack_points
from depth_pcd_ros.files.clouds import CloudFileError, read_cloud
from depth_pcd_ros.files.las import STEP, write_las
from depth_pcd_ros.files.pcd import write_pcd
from depth_pcd_ros.files.ply import write_ply


def points(fields=4):
    """An organized cloud, (3, 4, 3 or 4), with a point that is NaN, and its colours."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(1.0, 3.0, (3, 4)).astype(np.float32)
    depth[1, 2] = np.nan
    rays = tuple(rng.normal(size=(3, 4)).astype(np.float32) for _ in range(2))
    rgb = rng.integers(0, 256, (3, 4, 3), np.uint8)
    return pack_points(depth, rays, rgb if fields == 4 else None), rgb


def write_npz(path, cloud, rgb):
    """As convert does."""
    np.savez(path, xyz=cloud[..., :3], **({'rgb': rgb} if cloud.shape[-1] == 4 else {}))


WRITERS = {
    'ply': lambda path, cloud, _: write_ply(path, cloud),
    'pcd': lambda path, cloud, _: write_pcd(path, cloud),
    'las': lambda path, cloud, _: write_las(path, cloud),
    'npz': write_npz,
}


@pytest.mark.parametrize('fields', [3, 4])
@pytest.mark.parametrize('kind', WRITERS)
def test_round_trip(tmp_path, kind, fields):
    """Valid points and their colours, in order; LAS rounds."""
    if kind == 'las':
        pytest.importorskip('laspy')
    cloud, colours = points(fields)
    path = tmp_path / f'cloud.{kind}'
    WRITERS[kind](path, cloud, colours)
    xyz, rgb = read_cloud(path)
    valid = np.isfinite(cloud[..., 2])
    np.testing.assert_allclose(xyz, cloud[valid][:, :3], atol=STEP if kind == 'las' else 0)
    assert xyz.dtype == np.float32
    if fields == 3:
        assert rgb is None
    else:
        np.testing.assert_array_equal(rgb, colours[valid])


@pytest.mark.parametrize(
    ('up', 'axes', 'expected'),
    [
        ('y', b'axes: x right, y up, z back', [1.0, -2.0, -3.0]),
        ('z', b'axes: x right, y ahead, z up', [1.0, 3.0, -2.0]),
    ],
)
@pytest.mark.parametrize('kind', ['ply', 'pcd', 'las'])
def test_turned(tmp_path, kind, up, axes, expected):
    """A point 1 m to the right, 2 m down and 3 m ahead; the header says what the axes are."""
    path, camera = tmp_path / f'cloud.{kind}', [[1.0, 2.0, 3.0], [0.5, 0.25, 1.5]]
    points = np.array([[*camera[0], 7.0], [*camera[1], 7.0], [np.nan] * 4], np.float32)
    if kind == 'las':
        laspy = pytest.importorskip('laspy')
        write_las(path, points, up)
        np.testing.assert_allclose(laspy.read(path).xyz[0], expected, atol=STEP)
    else:
        (write_ply if kind == 'ply' else write_pcd)(path, points, up)
        assert np.float32(expected).tobytes() in path.read_bytes()
    assert axes in path.read_bytes()
    xyz, rgb = read_cloud(path)
    np.testing.assert_allclose(xyz, camera, atol=STEP if kind == 'las' else 0)
    assert rgb.shape == (2, 3)
    np.testing.assert_array_equal(points[0], [*camera[0], 7.0])  # the caller's are as they were


@pytest.mark.parametrize('name', ['a.ply', 'a.pcd', 'a.las', 'a.npz', 'a.txt', 'missing.pcd'])
def test_no_cloud(tmp_path, name):
    """What is none is refused by name."""
    if name == 'a.las':
        pytest.importorskip('laspy')
    if not name.startswith('missing'):
        (tmp_path / name).write_bytes(b'hello')
    with pytest.raises(CloudFileError, match=name):
        read_cloud(tmp_path / name)


def test_half_a_pcd(tmp_path):
    """As a full disk would leave it."""
    write_pcd(tmp_path / 'a.pcd', points()[0])
    data = (tmp_path / 'a.pcd').read_bytes()
    (tmp_path / 'a.pcd').write_bytes(data[:-8])
    with pytest.raises(CloudFileError, match='cannot be read'):
        read_cloud(tmp_path / 'a.pcd')
