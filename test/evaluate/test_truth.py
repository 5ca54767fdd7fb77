# SPDX-License-Identifier: Apache-2.0
"""Depth images and clouds of recordings, and folders of pairs, as the truth of a picture."""

import json
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_pcd_ros.evaluate.pairs import NYU, TUM, PairsError, find_pairs, read_depth
from depth_pcd_ros.evaluate.truth import DepthTruth, PointsTruth, TruthError
from depth_pcd_ros.frame import Frame, Picture
from depth_pcd_ros.geometry.calibration import pinhole
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.messages.depth import depth_from_msg
from depth_pcd_ros.messages.encodings import ImageError
from depth_pcd_ros.settings import Settings


def quiet(_):
    """What is said does not matter."""


def message(pixels, encoding, step=0, big=0):
    """A depth Image."""
    height, width = pixels.shape
    step = step or pixels.itemsize * width
    rows = np.zeros((height, step), np.uint8)
    rows[:, : pixels.itemsize * width] = np.ascontiguousarray(pixels).view(np.uint8)
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=big,
        data=rows.ravel(),
    )  # fmt: skip


def test_depth_images():
    """REP 118: millimetres or metres, any step and order of bytes; what is invalid is NaN."""
    millimetres = np.array([[1500, 0], [65535, 2]], np.uint16)
    expected = [[1.5, np.nan], [np.nan, 0.002]]
    np.testing.assert_allclose(depth_from_msg(message(millimetres, '16UC1')), expected)
    padded = message(millimetres.astype('>u2'), '16UC1', step=7, big=1)
    np.testing.assert_allclose(depth_from_msg(padded), expected)
    metres = np.array([[1.5, np.nan], [np.inf, 0.0]], np.float32)
    found = depth_from_msg(message(metres, '32FC1'))
    np.testing.assert_array_equal(found, [[1.5, np.nan], [np.nan, np.nan]])
    found = depth_from_msg(message(1000 * metres, '32FC1'), unit=0.001)
    np.testing.assert_allclose(found[0, 0], 1.5)


def test_compressed_depth():
    """A PNG after twelve bytes; floats are an inverse depth of 16 bits, a / (value - b)."""
    png = cv2.imencode('.png', np.array([[1500, 0], [2000, 4]], np.uint16))[1].tobytes()
    msg = SimpleNamespace(format='16UC1; compressedDepth png', data=bytes(12) + png)
    np.testing.assert_allclose(depth_from_msg(msg), [[1.5, np.nan], [2.0, 0.004]])
    head = bytes(4) + struct.pack('<ff', 3000.0, 500.0)
    msg = SimpleNamespace(format='32FC1; compressedDepth png', data=head + png)
    found = depth_from_msg(msg)
    np.testing.assert_allclose(found[:, 0], [3000 / 1000, 3000 / 1500])
    assert np.isnan(found[0, 1])
    plain = SimpleNamespace(format='png', data=png)
    np.testing.assert_allclose(depth_from_msg(plain)[0, 0], 1.5)


def test_what_is_no_depth():
    """Colour, too few bytes and a damaged PNG are errors of the frame."""
    depth = message(np.ones((2, 2), np.uint16), '16UC1')
    for change, cause in (
        ({'encoding': 'rgb8'}, 'no_depth'),
        ({'data': depth.data[:-1]}, 'short_data'),
        ({'width': 0}, 'empty_image'),
    ):
        with pytest.raises(ImageError) as caught:
            depth_from_msg(SimpleNamespace(**{**vars(depth), **change}))
        assert caught.value.cause == cause
    with pytest.raises(ImageError, match='no PNG with one channel'):
        depth_from_msg(SimpleNamespace(format='16UC1; compressedDepth png', data=b'x' * 40))
    with pytest.raises(ImageError, match='RVL is not read'):
        depth_from_msg(SimpleNamespace(format='16UC1; compressedDepth rvl', data=b'x' * 40))


CALIBRATION = pinhole(50.0, 50.0, 31.5, 23.5, (64, 48))
PICTURE = Picture(np.zeros((48, 64, 3), np.uint8), CALIBRATION)


def frame():
    """A frame of that picture."""
    camera = Camera.from_calibration(CALIBRATION)
    depth = np.ones((48, 64), np.float32)
    return Frame(PICTURE.rgb, depth, depth.size, camera, CALIBRATION, 20.0, 0.0)


def test_a_registered_truth_has_the_pictures_size():
    """Pixel by pixel; another size is refused with both, and what would help."""
    truth = np.full((48, 64), 2.0, np.float32)
    found = DepthTruth(truth).over(frame(), PICTURE, Settings('demo'))
    np.testing.assert_array_equal(found, truth)
    small = DepthTruth(np.ones((24, 32), np.float32))
    with pytest.raises(TruthError, match=r'32x24, the picture 64x48.*--truth-camera-info'):
        small.over(frame(), PICTURE, Settings('demo'))
    with pytest.raises(TruthError, match='32x24, its CameraInfo 64x48'):
        DepthTruth(small.depth, frame().camera).over(frame(), PICTURE, Settings('demo'))
    own = Camera(32, 24, 25.0, 25.0, 15.5, 11.5)
    found = DepthTruth(small.depth, own).over(frame(), PICTURE, Settings('demo'))
    assert np.nanmedian(found) == 1.0


def test_points_in_another_frame():
    """A LiDAR whose x is ahead: (2, -0.4, 0.2) is 0.4 to the right and 0.2 above, 2 m ahead."""
    optical_from_lidar = (0.0, 0.0, 0.0, 0.5, -0.5, 0.5, 0.5)
    points = PointsTruth(np.array([[2.0, -0.4, 0.2]]), optical_from_lidar)
    found = points.over(frame(), PICTURE, Settings('demo'))
    assert [index.tolist() for index in np.nonzero(np.isfinite(found))] == [[18], [42]]
    assert found[18, 42] == pytest.approx(2.0)


def save(path, pixels):
    """Write a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


RGB = np.zeros((480, 640, 3), np.uint8)
DEPTH = np.full((480, 640), 2560, np.uint16)


@pytest.mark.parametrize(
    ('photo', 'depth', 'metres'),
    [
        ('a.jpg', 'a.png', 2.56),
        ('x/rgb.png', 'x/depth.png', 2.56),
        ('rgb/1.png', 'depth/1.png', 2.56),
        ('color/img_7.jpg', 'depth/depth_7.png', 2.56),
        ('kitchen/rgb_00045.jpg', 'kitchen/sync_depth_00045.png', 2.56),
        (
            'raw/2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000005.png',
            'val/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png',
            10.0,
        ),
        (
            'image/2011_09_26_drive_0002_sync_image_0000000005_image_02.png',
            'gt/2011_09_26_drive_0002_sync_groundtruth_depth_0000000005_image_02.png',
            10.0,
        ),
    ],
)
def test_layouts(tmp_path, photo, depth, metres):
    """Photo and depth find each other by name, and the unit is that of the layout."""
    save(tmp_path / photo, RGB)
    save(tmp_path / depth, DEPTH)
    (pair,) = find_pairs(tmp_path, quiet)
    assert (pair.photo, pair.depth) == (tmp_path / photo, tmp_path / depth)
    assert np.nanmedian(read_depth(pair)) == pytest.approx(metres)
    assert np.nanmedian(read_depth(pair, unit=0.01)) == pytest.approx(25.6)
    assert (pair.calibration == NYU) == ('sync_depth' in depth)


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [
        ('a.png', np.uint16),
        *((name, dtype) for name in ('a.tif', 'a.npy') for dtype in (np.uint16, np.float32)),
    ],
)
def test_the_unit_is_that_of_the_numbers(tmp_path, name, dtype):
    """Millimetres in 16 bits, metres in floats, whatever the ending."""
    save(tmp_path / 'a.jpg', RGB)
    pixels = np.full((480, 640), 2000 if dtype is np.uint16 else 2, dtype)
    if name == 'a.npy':
        np.save(tmp_path / name, pixels)
    else:
        save(tmp_path / name, pixels)
    (pair,) = find_pairs(tmp_path, quiet)
    assert np.nanmedian(read_depth(pair)) == pytest.approx(2.0)
    assert np.nanmedian(read_depth(pair, unit=0.01)) == pytest.approx(pixels[0, 0] / 100)


def test_pairs_are_in_the_order_of_their_numbers(tmp_path):
    """Without leading zeros, too: row n of poses.txt is of picture n."""
    for i in range(12):
        save(tmp_path / f'{i}.jpg', RGB)
        save(tmp_path / f'{i}.png', DEPTH)
    rows = [f'1 0 0 {i} 0 1 0 0 0 0 1 0\n' for i in range(12)]
    (tmp_path / 'poses.txt').write_text(''.join(rows))
    pairs = find_pairs(tmp_path, quiet)
    assert [pair.name for pair in pairs] == [str(i) for i in range(12)]
    assert [pair.world_from_camera[0] for pair in pairs] == list(range(12))


def test_other_pictures_are_not_taken_for_each_other(tmp_path):
    """Numbers belong to names: of two rooms and two frames each, every depth has its photo."""
    names = [f'{room}/{kind}_{i}.png' for room in 'ab' for kind in ('rgb', 'depth') for i in (0, 1)]
    for name in names:
        save(tmp_path / name, DEPTH if 'depth' in name else RGB)
    pairs = find_pairs(tmp_path, quiet)
    assert [(p.name, p.depth.parent.name, p.depth.stem) for p in pairs] == [
        ('a/rgb_0', 'a', 'depth_0'), ('a/rgb_1', 'a', 'depth_1'),
        ('b/rgb_0', 'b', 'depth_0'), ('b/rgb_1', 'b', 'depth_1'),
    ]  # fmt: skip


def test_intrinsics_beside_the_photo(tmp_path):
    """intrinsics.json has the camera and the units in a metre."""
    save(tmp_path / 'rgb.png', RGB)
    save(tmp_path / 'depth.png', DEPTH)
    numbers = {'fx': 500, 'fy': 510, 'cx': 320, 'cy': 240, 'width': 640, 'height': 480}
    (tmp_path / 'intrinsics.json').write_text(json.dumps({**numbers, 'depth_scale': 5000}))
    (pair,) = find_pairs(tmp_path, quiet)
    assert pair.calibration == pinhole(500, 510, 320, 240, (640, 480))
    assert np.nanmedian(read_depth(pair)) == pytest.approx(0.512)
    (tmp_path / 'intrinsics.json').write_text('{"fx": 500}')
    with pytest.raises(PairsError, match=r"KeyError: 'fy'.*expected fx, fy, cx, cy"):
        find_pairs(tmp_path, quiet)


def test_tum(tmp_path):
    """Stamps within 20 ms belong together, and have the pose of groundtruth.txt."""
    for name in ('rgb/1.00.png', 'rgb/1.10.png'):
        save(tmp_path / name, RGB)
    for name in ('depth/1.01.png', 'depth/1.15.png'):
        save(tmp_path / name, DEPTH)
    (tmp_path / 'rgb.txt').write_text('# stamp name\n1.00 rgb/1.00.png\n1.10 rgb/1.10.png\n')
    (tmp_path / 'depth.txt').write_text('1.01 depth/1.01.png\n1.15 depth/1.15.png\n')
    (tmp_path / 'groundtruth.txt').write_text('# t\n1.005 1 2 3 0 0 0 1\n')
    (pair,) = find_pairs(tmp_path, quiet)
    assert pair.depth.name == '1.01.png'
    assert pair.stamp_ns == 10**9
    assert pair.calibration == TUM
    assert pair.world_from_camera == (1, 2, 3, 0, 0, 0, 1)
    assert np.nanmedian(read_depth(pair)) == pytest.approx(2560 / 5000)


def test_poses(tmp_path):
    """A 3 x 4 matrix for each pair, row by row; another number of rows is refused."""
    save(tmp_path / 'a.jpg', RGB)
    save(tmp_path / 'a.png', DEPTH)
    # a quarter turn about z
    (tmp_path / 'poses.txt').write_text('0 -1 0 5  1 0 0 6  0 0 1 7\n')
    (pair,) = find_pairs(tmp_path, quiet)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(pair.world_from_camera, (5, 6, 7, 0, 0, half, half), atol=1e-12)
    (tmp_path / 'poses.txt').write_text('0 -1 0 5  1 0 0 6  0 0 1 7\n' * 2)
    with pytest.raises(PairsError, match='2 rows for 1 pairs'):
        find_pairs(tmp_path, quiet)


TUM_FILES = {'rgb.txt': b'1.0 rgb/1.png\n', 'depth.txt': b'1.0 depth/1.png\n'}
DRIVE = '2011_09_26_drive_0002_sync'


@pytest.mark.parametrize(
    ('files', 'reason'),
    [
        ({**TUM_FILES, 'rgb.txt': b'\xff\xfe\0'}, r'rgb\.txt cannot be read: '),
        ({**TUM_FILES, 'rgb.txt': b'a b\n'}, r"rgb\.txt: 'a b' does not begin with a stamp"),
        ({**TUM_FILES, 'rgb.txt': b'1.0 \n'}, r"rgb\.txt: '1\.0 ' has nothing behind the stamp"),
        ({**TUM_FILES, 'rgb.txt': b'3.0 rgb/1.png\n'}, r'1 in depth\.txt none are within 0\.02 s'),
        ({**TUM_FILES, 'groundtruth.txt': b'1.0 1 2 3\n'}, "has '1 2 3', expected 7 numbers"),
        ({**TUM_FILES, 'groundtruth.txt': b'1.0 1 2 3 a 0 0 1\n'}, 'expected 7 numbers'),
        ({**TUM_FILES, 'groundtruth.txt': b'1.0 1 2 nan 0 0 0 1\n'}, 'expected 7 numbers'),
        ({'poses.txt': b'1 0 0\n'}, r"poses\.txt has '1 0 0', expected 12 numbers"),
        ({'poses.txt': b''}, '0 rows for 1 pairs'),
        ({f'intrinsics/{DRIVE}_image_05_image_02.txt': b'P: 1'}, "txt has 'P: 1', expected 9 n"),
        ({f'intrinsics/{DRIVE}_image_05_image_02.txt': b''}, "txt has '', expected 9 numbers"),
        ({'calib_cam_to_cam.txt': b'P_rect_02: 700 0\n'}, "txt has '700 0', expected 12 numbers"),
    ],
)
@pytest.mark.filterwarnings('error', 'ignore::ResourceWarning')  # of tests before it
def test_damaged_files_beside_the_pictures(tmp_path, files, reason):
    """In a sentence, with what was found."""
    photo, depth = 'rgb/1.png', 'depth/1.png'
    if any('intrinsics/' in name for name in files):
        photo = f'image/{DRIVE}_image_05_image_02.png'
        depth = f'groundtruth_depth/{DRIVE}_groundtruth_depth_05_image_02.png'
    elif 'calib_cam_to_cam.txt' in files:
        photo = f'{DRIVE}/image_02/data/05.png'
        depth = f'{DRIVE}/proj_depth/groundtruth/image_02/05.png'
    save(tmp_path / photo, RGB)
    save(tmp_path / depth, DEPTH)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PairsError, match=reason):
        find_pairs(tmp_path, quiet)


def test_a_folder_without_pairs(tmp_path):
    """It is said what there is, and what was expected."""
    with pytest.raises(PairsError, match='it is empty'):
        find_pairs(tmp_path, quiet)
    save(tmp_path / 'a.jpg', RGB)
    save(tmp_path / 'b.png', DEPTH)
    with pytest.raises(PairsError, match=r'1 \.jpg, 1 \.png.*rgb/NAME and depth/NAME'):
        find_pairs(tmp_path, quiet)


def test_a_depth_that_cannot_be_read(tmp_path):
    """Colour and damage are errors of the frame."""
    save(tmp_path / 'rgb.png', RGB)
    save(tmp_path / 'depth.png', RGB)
    (pair,) = find_pairs(tmp_path, quiet)
    with pytest.raises(TruthError, match=r'\(480, 640, 3\) uint8, expected one channel'):
        read_depth(pair)
    pair.depth.write_bytes(b'no picture')
    with pytest.raises(TruthError, match='is no picture'):
        read_depth(pair)
