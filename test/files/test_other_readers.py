# SPDX-License-Identifier: Apache-2.0
"""What depth-pcd convert writes, opened by the programs that people open it with."""

import numpy as np
import pytest
import yaml
from PIL import Image

from depth_pcd_ros.cli import main

from ..support.converting import CAMERA, DEMO, HEIGHT, WIDTH, smooth
from ..support.recordings import cameras, read, record


@pytest.fixture
def cloud(tmp_path):
    """A photo in all formats: the paths of its files by ending, its valid points and colours."""
    pytest.importorskip('torch')
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    args = ['convert', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--write', 'ply,pcd,npz,las', '--edge-filter', '70']) == 0
    arrays = np.load(tmp_path / 'out' / 'a.npz')
    valid = np.isfinite(arrays['xyz']).all(axis=-1)
    assert 0 < valid.sum() < WIDTH * HEIGHT
    return tmp_path / 'out' / 'a', arrays['xyz'][valid], arrays['rgb'][valid]


def test_trimesh(cloud):
    """A PLY in trimesh."""
    trimesh = pytest.importorskip('trimesh')
    path, xyz, rgb = cloud
    found = trimesh.load(path.with_suffix('.ply'))
    np.testing.assert_array_equal(found.vertices.astype(np.float32), xyz)
    np.testing.assert_array_equal(found.colors[:, :3], rgb)


@pytest.mark.parametrize('ending', ['.ply', '.pcd'])
def test_open3d(cloud, ending):
    """A PLY and a PCD in Open3D, which is too large to be installed for this alone."""
    open3d = pytest.importorskip('open3d')
    path, xyz, rgb = cloud
    found = open3d.io.read_point_cloud(str(path.with_suffix(ending)), remove_nan_points=True)
    np.testing.assert_array_equal(np.asarray(found.points).astype(np.float32), xyz)
    np.testing.assert_allclose(255 * np.asarray(found.colors), rgb, atol=1e-6)


def test_laspy(cloud):
    """A LAS in laspy: to half a step of 0.1 mm, the colours in 16 bits."""
    laspy = pytest.importorskip('laspy')
    path, xyz, rgb = cloud
    found = laspy.read(path.with_suffix('.las'))
    np.testing.assert_allclose(found.xyz, xyz, rtol=0, atol=0.5001e-4)
    colours = np.column_stack([found.red, found.green, found.blue])
    np.testing.assert_array_equal(colours, rgb.astype(np.uint16) * 256)
    returns = np.column_stack([found.return_number, found.number_of_returns])
    assert (returns == 1).all()  # some programs leave out what is no return


def test_las_without_colours(tmp_path):
    """A LAS of a cloud without colours has no place for them."""
    laspy = pytest.importorskip('laspy')
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    args = ['convert', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--write', 'las', '--cloud-fields', 'xyz']) == 0
    found = laspy.read(tmp_path / 'out' / 'a.las')
    assert len(found) > 0
    assert found.point_format.id == 0


def test_mcap(tmp_path):
    """A recording in the library that Foxglove is built on: all it needs is in the file."""
    reader = pytest.importorskip('mcap.reader')
    decoder = pytest.importorskip('mcap_ros2.decoder')
    record(tmp_path / 'in', cameras(3))
    assert (
        main(['convert', str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *DEMO, '--copy']) == 0
    )
    out = tmp_path / 'out' / 'in'
    found = {}
    with (out / 'in.mcap').open('rb') as file:
        opened = reader.make_reader(file, decoder_factories=[decoder.DecoderFactory()])
        for schema, channel, message, decoded in opened.iter_decoded_messages():
            assert (schema.encoding, channel.message_encoding) == ('ros2msg', 'cdr')
            found.setdefault(channel.topic, []).append((message.log_time, decoded))
        summary = opened.get_summary()
    assert {index.compression for index in summary.chunk_indexes} == {'zstd'}
    expected = read(out)
    assert set(found) == set(expected)
    for (time_ns, cloud), (expected_ns, of) in zip(
        found['/points'], expected['/points'], strict=True
    ):
        assert time_ns == expected_ns
        assert (cloud.height, cloud.width, cloud.header.frame_id) == (HEIGHT, WIDTH, 'camera')
        assert bytes(cloud.data) == of.data.tobytes()


def test_metadata_of_humble(tmp_path):
    """The version of metadata.yaml that Humble reads, whose QoS profiles are texts."""
    record(tmp_path / 'in', cameras(1))
    assert main(['convert', str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *DEMO]) == 0
    content = yaml.safe_load((tmp_path / 'out' / 'in' / 'metadata.yaml').read_text())
    content = content['rosbag2_bagfile_information']
    assert content['version'] == 8
    assert content['storage_identifier'] == 'mcap'
    assert content['relative_file_paths'] == ['in.mcap']
    for topic in content['topics_with_message_count']:
        assert topic['message_count'] == 1
        assert topic['topic_metadata']['serialization_format'] == 'cdr'
        assert isinstance(topic['topic_metadata']['offered_qos_profiles'], str)
