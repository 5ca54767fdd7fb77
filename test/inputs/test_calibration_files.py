# SPDX-License-Identifier: Apache-2.0
"""Calibration files as programs write them; OpenCV's are written by OpenCV itself here."""

import dataclasses
import json
import re

import cv2
import numpy as np
import pytest

from depth_pcd_ros.geometry.calibration import Calibration
from depth_pcd_ros.geometry.distortion import canonical
from depth_pcd_ros.inputs.calibration_files import read_camera_info
from depth_pcd_ros.inputs.intrinsics import IntrinsicsError

PLUMB_BOB = (-0.25, 0.07, 0.004, -0.003, 0.01)
K = (35.0, 0.0, 18.2, 0.0, 33.0, 16.1, 0.0, 0.0, 1.0)
CALIBRATION = Calibration(40, 30, K, 'plumb_bob', PLUMB_BOB)

YAML = """\
image_width: 40
image_height: 30
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [35, 0, 18.2, 0, 33, 16.1, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.25, 0.07, 0.004, -0.003, 0.01]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [34, 0, 19, 0, 0, 34, 15, 0, 0, 0, 1, 0]}
"""


def test_camera_info_file(tmp_path):
    """The YAML of camera_calibration."""
    path = tmp_path / 'front.yaml'
    path.write_text(YAML)
    assert read_camera_info(path) == dataclasses.replace(
        CALIBRATION,
        p=(34.0, 0.0, 19.0, 0.0, 0.0, 34.0, 15.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


ECHOED = """\
header:
  stamp: {sec: 7, nanosec: 5}
  frame_id: camera
height: 60
width: 90
distortion_model: plumb_bob
d: [-0.25, 0.07, 0.004, -0.003, 0.01]
k: [70.0, 0.0, 42.4, 0.0, 66.0, 32.2, 0.0, 0.0, 1.0]
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p: [68.0, 0.0, 44.0, 0.0, 0.0, 68.0, 30.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 2
binning_y: 2
roi: {x_offset: 6, y_offset: 0, height: 60, width: 80, do_rectify: false}
---
"""


@pytest.mark.parametrize('names', ['dkrp', 'DKRP'])
def test_echoed_camera_info(tmp_path, names):
    """What `topic echo` prints of ROS 2 and of ROS 1, for the pictures of its ROI and binning."""
    path = tmp_path / 'front.yaml'
    path.write_text(
        re.sub('^[dkrp]:', lambda found: names['dkrp'.index(found[0][0])] + ':', ECHOED, flags=re.M)
    )
    assert read_camera_info(path) == dataclasses.replace(
        CALIBRATION,
        p=(34.0, 0.0, 19.0, 0.0, 0.0, 34.0, 15.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


@pytest.mark.parametrize(
    ('old', 'new', 'reason'),
    [
        ('camera_matrix', 'matrix', 'no camera matrix; expected a file as'),
        ('distortion_coefficients', 'distorsion', 'but no distortion coefficients'),
        ('18.2, 0,', '18.2,', 'camera_matrix has 8 numbers, expected 9'),
        ('[35', '[.nan', 'not finite'),
        (YAML, '[1, 2', 'while parsing'),
        (
            YAML,
            'a word',
            'no camera matrix; expected a file as camera_calibration, Kalibr or',
        ),
        (YAML, '1 PINHOLE 40 30 35 33 18 16', 'no camera matrix; expected a file as'),
        (YAML, '[1, 2]', 'no camera matrix; expected a file as'),
        (YAML, '', 'no camera matrix; expected a file as'),
    ],
)
def test_bad_camera_info_file(tmp_path, old, new, reason):
    """What is wrong is said, with the file."""
    path = tmp_path / 'front.yaml'
    path.write_text(YAML.replace(old, new))
    with pytest.raises(IntrinsicsError, match=reason) as info:
        read_camera_info(path)
    assert 'front.yaml' in str(info.value)
    assert '\n' not in str(info.value)


def read(tmp_path, text, *name):
    """The calibration in a file with this text, and what was said of it."""
    said = []
    path = tmp_path / 'front.yaml'
    path.write_text(text)
    return read_camera_info(path, *name, say=said.append), ' '.join(said)


def test_without_a_distortion_model(tmp_path):
    """As camera_calibration once wrote it; OpenCV's order says what is meant."""
    text = YAML.replace('distortion_model: plumb_bob\n', '')
    calibration, said = read(tmp_path, text)
    assert (calibration.distortion_model, calibration.d) == ('plumb_bob', PLUMB_BOB)
    assert 'front.yaml has no distortion_model: its 5 coefficients' in said
    assert 'plumb_bob' in said
    calibration, said = read(tmp_path, text.replace('0.01]', '0.01, 0.2, 0.1, 0.3]'))
    assert calibration.distortion_model == 'rational_polynomial'
    assert 'its 8 coefficients are taken for those of rational_polynomial' in said
    calibration, said = read(tmp_path, text.replace('camera_name', 'camera_model: plumb_bob\n#'))
    assert (calibration.distortion_model, said) == ('plumb_bob', '')
    calibration, said = read(tmp_path, re.sub('distortion_coeff.*', '', text))
    assert calibration.d == ()
    assert 'has no distortion: taken for an ideal lens' in said


def test_fisheye_is_that_of_opencv(tmp_path):
    """Among calibration programs the name has one meaning."""
    text = YAML.replace('plumb_bob', 'fisheye').replace('-0.003, 0.01]', '-0.003]')
    calibration, said = read(tmp_path, text)
    assert (calibration.distortion_model, calibration.d) == ('equidistant', PLUMB_BOB[:4])
    assert 'equidistant' in said


@pytest.mark.parametrize(
    'before',
    [
        'WARNING: topic [/camera_info] does not appear to be published yet\n',
        'A message was lost!!!\n\ttotal count change:1\n\ttotal count: 1---\n',
        '---\n',
        'a: 1\n---\n',
        '\ufeff',
        '%YAML 1.2\n---\n',
    ],
)
def test_echo_after_something_else(tmp_path, before):
    """A line or a document before it is left out, and so is another message after it."""
    after = ECHOED.replace('70.0', '71.0') + '^C\n'
    assert read(tmp_path, before + ECHOED + after)[0].k == K


CAMCHAIN = """\
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.25, 0.07, 0.004, -0.003]
  distortion_model: radtan
  intrinsics: [35.0, 33.0, 18.2, 16.1]
  resolution: [40, 30]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.11]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: [0.02, -0.01, 0.003, -0.001]
  distortion_model: equidistant
  intrinsics: [36.0, 34.0, 19.2, 15.1]
  resolution: [40, 30]
  rostopic: /cam1/image_raw
"""


def test_camchain_of_kalibr(tmp_path):
    """One of several cameras has to be chosen; the names are listed."""
    with pytest.raises(IntrinsicsError, match=r'several cameras.*--camera-name: cam0, cam1\Z'):
        read(tmp_path, CAMCHAIN)
    with pytest.raises(IntrinsicsError, match=r'no camera cam2; there is cam0, cam1\Z'):
        read(tmp_path, CAMCHAIN, 'cam2')
    assert read(tmp_path, CAMCHAIN, 'cam0') == (
        dataclasses.replace(CALIBRATION, d=PLUMB_BOB[:4]),
        '',
    )
    calibration, _ = read(tmp_path, CAMCHAIN, 'cam1')
    assert calibration.k == (36.0, 0.0, 19.2, 0.0, 34.0, 15.1, 0.0, 0.0, 1.0)
    assert calibration.distortion_model == 'equidistant'
    assert read(tmp_path, CAMCHAIN[: CAMCHAIN.index('cam1:')])[0].k == K  # the only one
    for model in ('omni', 'eucm', 'ds'):
        with pytest.raises(IntrinsicsError, match=f'camera_model is {model}, expected pinhole'):
            read(tmp_path, CAMCHAIN.replace('pinhole', model), 'cam0')


def test_sensor_of_euroc(tmp_path):
    """EuRoC's sensor.yaml has Kalibr's numbers under other names."""
    text = """\
%YAML:1.0
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
rate_hz: 20
resolution: [40, 30]
camera_model: pinhole
intrinsics: [35.0, 33.0, 18.2, 16.1] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.25, 0.07, 0.004, -0.003]
"""
    assert read(tmp_path, text)[0] == dataclasses.replace(CALIBRATION, d=PLUMB_BOB[:4])


def opencv_file(path, **values):
    """Write values with OpenCV's FileStorage."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in values.items():
        storage.write(name, value)
    storage.release()


@pytest.mark.parametrize('ending', ['yaml', 'yml', 'json', 'xml'])
@pytest.mark.parametrize(
    ('names', 'fisheye'),
    [
        (('camera_matrix', 'distortion_coefficients', 'image_width', 'image_height'), 1),
        (('camera_matrix', 'distortion_coefficients', 'image_Width', 'image_Height'), 0),
        (('cameraMatrix', 'distCoeffs', 'imageWidth', 'imageHeight'), 0),
        (('K', 'D', 'width', 'height'), 0),
    ],
)
def test_opencv(tmp_path, ending, names, fisheye):
    """What cv2.FileStorage writes, under the names that are in use."""
    path = tmp_path / f'out.{ending}'
    d = np.array(PLUMB_BOB[: 4 if fisheye else 5])
    values = dict(zip(names, (np.array(K).reshape(3, 3), d, 40, 30), strict=True))
    opencv_file(path, calibration_time='today', fisheye_model=fisheye, **values)
    calibration = read_camera_info(path)
    assert (calibration.width, calibration.height, calibration.k) == (40, 30, K)
    assert calibration.d == tuple(d)
    assert calibration.distortion_model == ('equidistant' if fisheye else 'plumb_bob')


def test_xml_below_an_empty_line(tmp_path):
    """Such as a file that was pasted."""
    path = tmp_path / 'out.xml'
    opencv_file(path, camera_matrix=np.array(K).reshape(3, 3), image_width=40, image_height=30)
    path.write_text('\n' + path.read_text())
    assert read_camera_info(path).k == K


OST = """\
# oST version 5.0 parameters


[image]

width
40

height
30

[narrow_stereo]

camera matrix
35.000000 0.000000 18.200000
0.000000 33.000000 16.100000
0.000000 0.000000 1.000000

distortion
-0.250000 0.070000 0.004000 -0.003000 0.010000

rectification
1.000000 0.000000 0.000000
0.000000 1.000000 0.000000
0.000000 0.000000 1.000000

projection
34.000000 0.000000 19.000000 0.000000
0.000000 34.000000 15.000000 0.000000
0.000000 0.000000 1.000000 0.000000
"""


def test_ini_of_camera_calibration(tmp_path):
    """Its ost.txt, and that of a stereo camera."""
    calibration, said = read(tmp_path, OST)
    assert calibration == dataclasses.replace(
        CALIBRATION, p=(34.0, 0.0, 19.0, 0.0, 0.0, 34.0, 15.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    )
    assert 'plumb_bob' in said
    left, right = (OST.replace('stereo', f'stereo/{side}') for side in ('left', 'right'))
    both = left + right.replace('35.0', '36.0')
    with pytest.raises(IntrinsicsError, match='name: narrow_stereo/left, narrow_stereo/right'):
        read(tmp_path, both)
    assert read(tmp_path, both, 'narrow_stereo/right')[0].k[0] == 36.0


@pytest.mark.parametrize(
    ('encode', 'comment'),
    [('utf-16', '# größer\n'), ('latin-1', '# größer\n'), ('utf-8', '# größer\n')],
)
def test_encodings_of_text(tmp_path, encode, comment):
    """PowerShell writes UTF-16; and the numbers do not depend on a comment."""
    path = tmp_path / 'front.yaml'
    path.write_bytes((comment + YAML).encode(encode))
    assert read_camera_info(path).k == K


def test_a_file_that_is_no_text(tmp_path):
    """Such as the archive that camera_calibration saves."""
    path = tmp_path / 'calibrationdata.tar.gz'
    path.write_bytes(b'\x1f\x8b\x08\0' + bytes(range(256)))
    with pytest.raises(IntrinsicsError, match='expected a file as camera_calibration'):
        read_camera_info(path)


@pytest.mark.parametrize(
    'name', ['distortionCoeff', 'dist_coeff', 'distortion', 'distortion_params', 'Distortion']
)
def test_names_of_the_coefficients(tmp_path, name):
    """They are not overlooked."""
    text = YAML.replace('distortion_coefficients', name)
    assert read(tmp_path, text)[0].d == PLUMB_BOB


def test_cameras_of_one_name(tmp_path):
    """Their places tell them apart, and none is taken for the other; as DepthAI writes them."""
    cameras = [
        [n, {'intrinsicMatrix': [[35 + n, 0, 18.2], [0, 33, 16.1], [0, 0, 1]]}] for n in range(2)
    ]
    text = json.dumps({'cameraData': cameras})
    with pytest.raises(IntrinsicsError, match='name: cameraData/0/1, cameraData/1/1'):
        read(tmp_path, text)
    assert read(tmp_path, text, 'cameraData/1/1')[0].k[0] == 36.0


def test_a_matrix_by_names(tmp_path):
    """As Zivid and others have it; with more names than those it is another model."""
    matrix = {'CX': 18.2, 'CY': 16.1, 'FX': 35.0, 'FY': 33.0}
    text = json.dumps({'image_size': [40, 30], 'CameraMatrix': matrix})
    assert read(tmp_path, text)[0].k == K
    with pytest.raises(IntrinsicsError, match='no camera matrix; expected a file as'):
        read(tmp_path, json.dumps({'intrinsics': {**matrix, 'alpha': 0.5}}))


def test_stereo_of_opencv(tmp_path):
    """The intrinsics.yml of its stereo_calib: two cameras and no size."""
    other = np.array(K).reshape(3, 3) + np.diag([1.0, 1.0, 0.0])
    path = tmp_path / 'intrinsics.yml'
    opencv_file(
        path,
        **{'M1': np.array(K).reshape(3, 3), 'D1': np.array([PLUMB_BOB]), 'M2': other},
        D2=np.zeros((1, 14)),
    )
    with pytest.raises(IntrinsicsError, match=r'choose one with --camera-name: 1, 2\Z'):
        read_camera_info(path)
    first, second = (read_camera_info(path, name) for name in '12')
    assert (first.k, first.d, first.width) == (K, PLUMB_BOB, 0)
    assert second.k[0] == 36.0


@pytest.mark.parametrize('matrix', [[list(K[:3]), list(K[3:6]), list(K[6:])], list(K)])
@pytest.mark.parametrize('wrapped', [True, False])
def test_matrices_nested_or_flat(tmp_path, matrix, wrapped):
    """By row, with `data` around them or not, and deep in a file of parameters."""
    camera = {
        'image_size': [40, 30],
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': matrix} if wrapped else matrix,
        'dist_coeffs': [list(PLUMB_BOB)],
    }
    text = json.dumps({'/**': {'ros__parameters': {'rate': 3.0, 'front': camera}}})
    assert read(tmp_path, text)[0] == CALIBRATION
    assert read(tmp_path, text, 'front')[0] == CALIBRATION


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (
            YAML.replace('35, 0, 18.2, 0, 33, 16.1, 0, 0, 1', '35, 0, 0, 0, 33, 0, 18.2, 16.1, 1'),
            'row',
        ),
        (YAML.replace('35, 0', '1.9, 0').replace('33, 16', '1.4, 16'), r'fx = 1.9 .* 40x30'),
        (YAML.replace('18.2, 0,', '0, 0,'), 'cx = 0 in K'),
        (
            YAML.replace('35, 0, 18.2, 0, 33, 16.1, 0, 0, 1', '0, 0, 0, 0, 0, 0, 0, 0, 1'),
            'K is all zero',
        ),
        (YAML.replace('35, 0', 'a, 0'), "could not convert string to float: 'a'"),
        (YAML.replace('image_width: 40', 'image_width: wide'), "float: 'wide'"),
        ('camera_matrix: &a [*a]\n', 'recursion'),
        ('camera_matrix: !!python/object/apply:os.system [echo]\n', "float: 'echo'"),
        (
            YAML.replace('image_width: 40', 'image_width: 40.5'),
            'image_width is 40.5, expected whole',
        ),
        (YAML.replace('35, 0', '1' + '0' * 400 + ', 0'), 'int too large'),
        (YAML.replace('35, 0', '[null], 0'), 'None is no number'),
        (YAML + 'roi: [1, 2, 3, 4]\n', r'roi is \[1, 2, 3, 4\], expected x_offset'),
        ('# oST version 5.0\n\n[image]\n\nwidth\n40\n', 'expected a file as camera_calibration'),
        (YAML.replace('{rows: 1, cols: 5, data:', '{k1:'), 'has k1, expected numbers in a row'),
        ('cam0: {camera_model: ds, intrinsics: [-0.2, 0.6, 35, 33, 18, 16]}', 'camera_model is ds'),
        ('<opencv_storage><camera_matrix>', 'no element found.*expected a file as'),
        ('k: 3\nd: 4\n', 'no camera matrix'),
        ('<?xml version="1.0"?>\n<opencv_storage>\n</opencv_storage>\n', 'no camera matrix'),
    ],
)
def test_hostile_files(tmp_path, text, reason):
    """In one line, with what was found."""
    with pytest.raises(IntrinsicsError, match=reason) as info:
        read(tmp_path, text)
    assert '\n' not in str(info.value)


ORB_SLAM = """\
%YAML:1.0
Camera.type: "PinHole"
Camera1.fx: 35.0
Camera1.fy: 33.0
Camera1.cx: 18.2
Camera1.cy: 16.1
Camera1.k1: -0.25
Camera1.k2: 0.07
Camera1.p1: 0.004
Camera1.p2: -0.003
Camera1.k3: 0.01
Camera.width: 40
Camera.height: 30
"""
VINS = """\
%YAML:1.0
---
model_type: PINHOLE
camera_name: camera
image_width: 40
image_height: 30
distortion_parameters: {k1: -0.25, k2: 0.07, p1: 0.004, p2: -0.003}
projection_parameters: {fx: 35.0, fy: 33.0, cx: 18.2, cy: 16.1}
"""


def test_numbers_with_names(tmp_path):
    """ORB-SLAM's and VINS' settings; D in OpenCV's order, whatever theirs is."""
    assert read(tmp_path, ORB_SLAM)[0] == CALIBRATION
    one = ORB_SLAM.replace('Camera1', 'Camera').replace('Camera.type: "PinHole"\n', '')
    assert read(tmp_path, one)[0] == CALIBRATION
    wide = re.sub(r'Camera1\.(p1|p2|k3).*\n', '', ORB_SLAM) + 'Camera1.k3: 0.2\nCamera1.k4: 0.1\n'
    fisheye, _ = read(tmp_path, wide.replace('PinHole', 'KannalaBrandt8'))
    assert fisheye.d == (-0.25, 0.07, 0.2, 0.1)
    assert canonical(fisheye.distortion_model) == 'equidistant'
    with pytest.raises(IntrinsicsError, match='no distortion_model says of which lens'):
        read(tmp_path, wide)
    assert read(tmp_path, VINS)[0] == dataclasses.replace(CALIBRATION, d=PLUMB_BOB[:4])
    with pytest.raises(IntrinsicsError, match='camera_model is mei, expected pinhole'):
        read(tmp_path, VINS.replace('PINHOLE', 'MEI'))


MATRIX = [[35, 0, 18.2], [0, 33, 16.1], [0, 0, 1]]


@pytest.mark.parametrize(
    'content',
    [
        {  # Gyroflow's profile of a lens
            'distortion_model': 'opencv_fisheye',
            'fisheye_params': {'camera_matrix': MATRIX, 'distortion_coeffs': [0.1, 0.2, 0.3, 0.4]},
        },
        {  # the EEPROM of DepthAI's cameras
            'cameraData': [
                [0, {'cameraType': 1, 'intrinsicMatrix': MATRIX,
                     'distortionCoeff': [0.1, 0.2, 0.3, 0.4] + [0.0] * 10}]
            ]
        },
    ],
)  # fmt: skip
def test_a_wide_lens_by_other_words(tmp_path, content):
    """What is said around a camera, or by a number, is not overlooked."""
    calibration, _ = read(tmp_path, json.dumps(content))
    assert calibration.distortion_model.endswith(('fisheye', 'equidistant'))
    assert calibration.d[:4] == (0.1, 0.2, 0.3, 0.4)
    assert not any(calibration.d[4:])


@pytest.mark.parametrize('word', ['fisheye_params', 'my_FishEye', 'kannala_brandt', 'equidistant'])
def test_a_wide_lens_that_is_only_spoken_of(tmp_path, word):
    """It is not taken for plumb_bob, which has four coefficients, too."""
    text = json.dumps({word: {'camera_matrix': MATRIX, 'distortion_coeffs': [0.1, 0.2, 0.3, 0.4]}})
    with pytest.raises(IntrinsicsError, match=r'speaks of .+, but distortion_coeffs has no'):
        read(tmp_path, text)


def test_json_with_tabs(tmp_path):
    """YAML does not take them."""
    camera = {'image_size': [40, 30], 'camera_matrix': MATRIX, 'dist_coeffs': list(PLUMB_BOB)}
    assert read(tmp_path, json.dumps(camera, indent='\t'))[0] == CALIBRATION


def test_a_projection_of_four_rows(tmp_path):
    """As kinect2_bridge has it."""
    last = '0, 0, 1, 0, 0, 0, 0, 1]'
    assert read(tmp_path, YAML.replace('0, 0, 1, 0]', last))[0] == read(tmp_path, YAML)[0]
    with pytest.raises(IntrinsicsError, match='projection_matrix has 16 numbers, expected 12'):
        read(tmp_path, YAML.replace('0, 0, 1, 0]', last.replace('1]', '2]')))


def test_a_list_of_cameras(tmp_path):
    """By their names, or their places."""
    rest = YAML.replace('camera_name: front\n', '').replace('\n', '\n  ')
    text = f'cameras:\n- name: left\n  {rest}\n- {rest}\n'
    with pytest.raises(IntrinsicsError, match=r'choose one with --camera-name: left, 1\Z'):
        read(tmp_path, text)
    assert read(tmp_path, text, 'left')[0].k == K


def test_the_lens_is_not_looked_at(tmp_path):
    """`distortion: ignore` helps, as the sentence of an unknown model says."""
    assert read(tmp_path, YAML.replace('plumb_bob', 'fov'))[0].distortion_model == 'fov'


def test_many_aliases(tmp_path):
    """A matrix that would be a billion numbers is not counted to its end."""
    lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]']
    lines += [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]' for i in range(1, 9)]
    with pytest.raises(IntrinsicsError, match='has 100 numbers'):
        read(tmp_path, '\n'.join([*lines, 'camera_matrix: *a8']))
