# SPDX-License-Identifier: Apache-2.0
"""depth-pcd evaluate as a user runs it, with a network whose errors are known."""

import csv
import json
import subprocess
import sys
import weakref

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('matplotlib')
pytest.importorskip('scipy')

from depth_pcd_ros.cli import main
from depth_pcd_ros.errors import DeviceLostError
from depth_pcd_ros.evaluate import advice, command
from depth_pcd_ros.evaluate.metrics import NAMES
from depth_pcd_ros.evaluate.recorded_truth import RecordedTruth
from depth_pcd_ros.evaluate.truth import Asked
from depth_pcd_ros.messages.decode import calibration_from_msg
from depth_pcd_ros.recordings.reader import open_recording
from depth_pcd_ros.recordings.store import TYPES
from depth_pcd_ros.settings import Settings

from ..support.converting import HEIGHT, WIDTH, interrupted_at, smooth
from ..support.fake_engine import FakeEngine
from ..support.ramp import RAMP, lidar
from ..support.recordings import START, camera, cameras, header, image, info, record

TRUE = 1.1 * np.broadcast_to(RAMP, (HEIGHT, WIDTH)).astype(np.float32)


@pytest.fixture(autouse=True)
def _ramp(monkeypatch):
    """The network's depth is a ramp; the truth is 1.1 times as far."""
    depth = np.broadcast_to(RAMP, (HEIGHT, WIDTH))
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine(depth))


def depth_image(i, pixels=TRUE, encoding='32FC1', frame_id='camera'):
    """The true depth of picture number i."""
    height, width = pixels.shape
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    step = pixels.itemsize * width
    image = TYPES['sensor_msgs/msg/Image']
    return image(header(i, frame_id), height, width, encoding, 0, step, data)


def recorded(tmp_path, truth, count=4, topic='/truth/depth/image'):
    """A recording of a camera with a true depth for each picture; `truth` makes its message."""
    return record(tmp_path / 'in', [*cameras(count), *[(topic, truth(i)) for i in range(count)]])


def evaluate(tmp_path, *options, out='out', source='in'):
    """Run the command on one or more inputs; return its exit code."""
    inputs = [str(tmp_path / name) for name in source.split()]
    words = ['evaluate', *inputs, '-o', str(tmp_path / out), '--model', 'demo']
    return main([*words, *options])


def report(tmp_path, out='out'):
    """report.json."""
    return json.loads((tmp_path / out / 'report.json').read_text())


def test_a_recording(tmp_path, capsys):
    """All files are there, the figures are those worked out by hand, and a sentence says what."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path) == 0
    (setting,) = report(tmp_path)['settings']
    assert list(setting['metrics']) == list(NAMES) == list(setting['aligned'])
    ratio = 1 / 1.1
    assert setting['metrics']['abs_rel'] == pytest.approx(1 - ratio, rel=1e-5)
    assert setting['metrics']['rmse_log'] == pytest.approx(-np.log(ratio), rel=1e-5)
    assert setting['metrics']['delta1'] == 1.0
    assert setting['aligned']['abs_rel'] == pytest.approx(0.0, abs=1e-6)
    assert setting['scale']['median'] == pytest.approx(1.1)
    assert setting['scale']['spread'] == pytest.approx(0.0, abs=1e-6)
    assert setting['frames'] == 4
    assert setting['name'] == 'demo'
    assert setting['parameters']['edge_filter'] == 88.0
    shares = {one['from_m']: one['pixels'] for one in setting['by_distance']}
    assert shares[0.0] == 0
    assert shares[2.0] == 4 * HEIGHT * WIDTH

    with (tmp_path / 'out' / 'frames.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert float(rows[0]['abs_rel']) == pytest.approx(1 - ratio, rel=1e-5)
    picture = cv2.imread(str(tmp_path / 'out' / rows[0]['picture']))
    assert picture.shape == (240, 5 * 320, 3)

    text = (tmp_path / 'out' / 'parameters.yaml').read_text()
    given = yaml.safe_load(text)['/**']['ros__parameters']
    assert given['depth_scale'] == pytest.approx(1.1, abs=1e-3)
    assert given['model'] == 'demo'
    Settings().replace(given)

    told = capsys.readouterr()
    assert 'wrong by 9.1% on average' in told.out
    assert 'depth_scale: 1.100 instead of 1' in told.out
    assert 'truth of /truth/depth/image, registered' in told.err


def test_the_page_needs_nothing_else(tmp_path):
    """One file: no address, all pictures and plots in it."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path, '--depth-scale', '1,1.1') == 0
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert page.count('<svg') == 4
    assert page.count('src="data:image/jpeg;base64,') == page.count('<img') == 3
    for word in ('href=', 'src="http', '@import', 'url(http', '<script', '<link'):
        assert word not in page.replace('xlink:href="#', '').replace('xlink:href="data:', ''), word
    assert 'AbsRel' in page
    assert 'depth_scale 1.1' in page


def test_settings_side_by_side(tmp_path, capsys):
    """Each value of one option with each of another; the best is named."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path, '--depth-scale', '1,1.1', '--edge-filter', '88,0') == 0
    found = report(tmp_path)
    names = [one['name'] for one in found['settings']]
    assert len(names) == 4
    assert {'depth_scale 1, edge_filter 88', 'depth_scale 1.1, edge_filter 0'} <= set(names)
    by_name = {one['name']: one for one in found['settings']}
    assert by_name['depth_scale 1, edge_filter 0']['metrics']['abs_rel'] > 0.09
    assert by_name['depth_scale 1.1, edge_filter 0']['metrics']['abs_rel'] < 1e-5
    assert by_name['depth_scale 1.1, edge_filter 0']['parameters']['edge_filter'] == 0.0
    assert found['best'].startswith('depth_scale 1.1')
    assert 'Best is depth_scale 1.1' in capsys.readouterr().out


def test_the_setting_that_throws_most_away_is_not_the_best(tmp_path, monkeypatch, capsys):
    """One half is seen twice as far: without it nothing is wrong, but half of it is missing."""
    far = np.broadcast_to(RAMP > 2.5, (HEIGHT, WIDTH))
    monkeypatch.setattr(command, 'create', lambda *_: FakeEngine(np.where(far, 2 * TRUE, TRUE)))
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path, '--max-range', '0,4', '--edge-filter', '0') == 0
    whole, cut = report(tmp_path)['settings']
    out = capsys.readouterr().out
    assert cut['metrics']['abs_rel'] < whole['metrics']['abs_rel']
    assert report(tmp_path)['best'] == 'max_range 0', out
    assert 'depth at 100% of the pixels with a truth' in out
    assert 'Not compared, for depth at far fewer pixels than 100%: max_range 4 (50%)' in out


def test_settings_are_compared_over_the_frames_that_both_have():
    """One lacks the hard frame, which says nothing against the other."""

    def row(frame, abs_rel):
        return {'frame': frame, 'coverage': 1.0, 'metrics': {'abs_rel': abs_rel}}

    rows = [[*(row(i, 0.1) for i in range(19)), row(19, 1.0)], [row(i, 0.12) for i in range(19)]]
    assert advice._coverages(rows) == pytest.approx([1.0, 0.95])
    assert advice._best([{'network_ms': 9.0}] * 2, rows, [0, 1]) == 0


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_units(tmp_path, encoding):
    """Millimetres in 16 bits are metres; --truth-scale is about what else there is."""
    pixels = np.rint(1000 * TRUE).astype(np.uint16) if encoding == '16UC1' else TRUE / 2
    recorded(tmp_path, lambda i: depth_image(i, pixels, encoding))
    options = [] if encoding == '16UC1' else ['--truth-scale', '2']
    assert evaluate(tmp_path, *options) == 0
    assert report(tmp_path)['settings'][0]['scale']['median'] == pytest.approx(1.1, rel=1e-3)


@pytest.mark.parametrize(
    ('truth', 'told'),
    [
        (lambda i: depth_image(i, 1000 * TRUE), 'a factor of 1000: millimetres taken for metres'),
        (lambda i: depth_image(i, 0 * TRUE), 'the truth has no valid pixel'),
        (lambda i: depth_image(i, np.nan * TRUE), 'the truth has no valid pixel'),
        (lambda i: depth_image(i, TRUE[:20, :30].copy()), 'the truth is 30x20, the picture 56x42'),
        (
            lambda i: depth_image(i + 300),
            'none of 4 pictures has a truth within 0.05 s: the nearest',
        ),
        (lambda i: depth_image(i, frame_id='other'), "from the truth of frame 'other' to the pict"),
    ],
)
def test_a_truth_that_is_none(tmp_path, capsys, truth, told):
    """It is said what is wrong; there is no report, and never a zero."""
    recorded(tmp_path, truth)
    assert evaluate(tmp_path) == 1
    err = capsys.readouterr().err
    assert told in err
    assert 'no frame could be measured: no report' in err
    assert not (tmp_path / 'out' / 'report.json').exists()


def test_the_remedies_work(tmp_path):
    """What the messages above advise."""
    recorded(tmp_path, lambda i: depth_image(i, 1000 * TRUE))
    assert evaluate(tmp_path, '--truth-scale', '0.001') == 0
    record(tmp_path / 'late', [*cameras(2), *[('/depth', depth_image(i + 2)) for i in (0, 1)]])
    assert evaluate(tmp_path, '--truth-tolerance', '0.3', source='late', out='out2') == 0


def test_truths_before_the_first_picture_are_let_go(tmp_path):
    """Minutes of depth images, of --start or of a clock that is behind, never lie in memory."""
    truths = [('/depth', depth_image(i)) for i in range(50)]
    record(tmp_path / 'in', [*truths, ('/cam/image_raw', image(49))])
    seen, alive = [], []
    with open_recording(tmp_path / 'in') as recording:
        decoded = recording.decoded

        def counted(topic):
            for time_ns, msg in decoded(topic):
                seen.append(weakref.ref(msg))
                alive.append(sum(one() is not None for one in seen))
                yield time_ns, msg

        recording.decoded = counted
        truth = RecordedTruth(
            recording, '/cam/image_raw', Asked(), optical_from_sensor=None, say=lambda _: None
        )
        found = truth.find(START + 49 * 10**8, 'camera')
    np.testing.assert_array_equal(found.depth, TRUE)
    assert len(alive) >= 50
    assert max(alive) < 5


@pytest.mark.parametrize(
    ('name', 'fx', 'is_straight'), [('image_raw', 50.0, False), ('image_rect_raw', 45.0, True)]
)
@pytest.mark.parametrize('given', [False, True])
def test_a_rectified_truth(tmp_path, name, fx, is_straight, given):
    """By its name: then P is its camera, and D was applied before; also of a given CameraInfo."""
    own = info(0)
    own.p[0] = 45.0
    beside = [] if given else [('/depth/camera_info', own)]
    topic = f'/depth/{name}'
    record(tmp_path / 'in', [*camera(0), *beside, (topic, depth_image(0))])
    asked = Asked(calibration=calibration_from_msg(own) if given else None)
    with open_recording(tmp_path / 'in') as recording:
        truth = RecordedTruth(
            recording, '/cam/image_raw', asked, optical_from_sensor=None, say=lambda _: None
        )
        found = truth.find(START, 'camera').camera
    assert found.fx == fx
    assert (not any(found.d)) == is_straight


def test_pictures_without_a_truth_are_left_out(tmp_path, capsys):
    """A truth that is less frequent than the pictures is no failure."""
    record(tmp_path / 'in', [*cameras(6), *[('/depth', depth_image(i)) for i in (0, 3)]])
    assert evaluate(tmp_path) == 0
    assert report(tmp_path)['settings'][0]['frames'] == 2
    assert '4 of 6 pictures have no truth within 0.05 s' in capsys.readouterr().err


def test_a_part_of_a_recording(tmp_path):
    """--every, --start and --end as convert has them."""
    recorded(tmp_path, depth_image, count=8)
    assert evaluate(tmp_path, '--every', '2', '--start', '0.15') == 0
    with (tmp_path / 'out' / 'frames.csv').open() as file:
        stamps = [float(row['stamp']) for row in csv.DictReader(file)]
    assert [round(10 * (stamp - 1.7e9)) for stamp in stamps] == [2, 4, 6]


def test_a_depth_camera_of_its_own(tmp_path):
    """Half the size and focal length, with a CameraInfo beside it, are moved into the picture."""
    half = np.ascontiguousarray(TRUE[::2, ::2])
    own = info(0, fx=25.0, width=28)
    own.height, own.d = 21, np.zeros(5)
    own.k = np.array([25.0, 0, 13.5, 0, 24.0, 10.0, 0, 0, 1.0])
    infos = [('/depth/camera_info', own)]
    images = [('/depth/image_raw', depth_image(i, half)) for i in range(3)]
    record(tmp_path / 'in', [*cameras(3), *infos, *images])
    assert evaluate(tmp_path, '--camera-info-topic', '/cam/camera_info') == 0
    setting = report(tmp_path)['settings'][0]
    assert setting['scale']['median'] == pytest.approx(1.1, rel=0.01)
    assert 0.15 < setting['known'] < 0.4  # a quarter of the pixels


def test_a_lidar(tmp_path, capsys):
    """A cloud with a known place; one that corrects the scale, too, is told."""
    record(tmp_path / 'in', [*cameras(3), *[('/lidar', lidar(i, 1.1)) for i in range(3)]])
    assert evaluate(tmp_path, '--scale-source', 'none,points', '--scale-smoothing', '0') == 0
    without, with_points = report(tmp_path)['settings']
    assert without['scale']['median'] == pytest.approx(1.1, rel=1e-2)
    assert with_points['scale']['median'] == pytest.approx(1.0, rel=1e-2)
    assert with_points['name'] == 'scale_source points'
    assert '/lidar corrects the scale and is the truth: that flatters' in capsys.readouterr().err


def test_a_folder_with_a_bad_photo(tmp_path, capsys):
    """The others are measured, and the exit code says that one was not."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f'{i}.jpg'), smooth(i))
        cv2.imwrite(str(folder / f'{i}.png'), np.rint(1000 * TRUE).astype(np.uint16))
    (folder / '1.jpg').write_bytes((folder / '1.jpg').read_bytes()[:300])
    camera = ['--fx', '50', '--fy', '48', '--cx', '27', '--cy', '20']
    assert evaluate(tmp_path, *camera) == 1
    assert report(tmp_path)['settings'][0]['frames'] == 2
    assert '2 of 3 pictures are measured' in capsys.readouterr().err


def test_pictures_of_one_name(tmp_path):
    """Two rooms with a 0.jpg: each row has the picture of its own."""
    for room, grey in (('a', 50), ('b', 200)):
        (tmp_path / room).mkdir()
        cv2.imwrite(str(tmp_path / room / '0.jpg'), np.full((HEIGHT, WIDTH, 3), grey, np.uint8))
        cv2.imwrite(str(tmp_path / room / '0.png'), np.rint(1000 * TRUE).astype(np.uint16))
    assert evaluate(tmp_path, '--hfov', '60', source='a b') == 0
    with (tmp_path / 'out' / 'frames.csv').open() as file:
        rows = list(csv.DictReader(file))
    pictures = [cv2.imread(str(tmp_path / 'out' / row['picture'])) for row in rows]
    greys = [picture[120, 160].mean() for picture in pictures]
    assert greys == pytest.approx([50, 200], abs=10)


def test_a_steady_camera(tmp_path):
    """Where the poses are known, the temporal error is measured: none, of a camera that stands."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f'{i}.jpg'), smooth(i))
        cv2.imwrite(str(folder / f'{i}.png'), np.rint(1000 * TRUE).astype(np.uint16))
    (folder / 'poses.txt').write_text('1 0 0 0 0 1 0 0 0 0 1 0\n' * 3)
    assert evaluate(tmp_path, '--hfov', '60', '--edge-filter', '0') == 0
    setting = report(tmp_path)['settings'][0]
    assert setting['temporal_alignment_error'] == pytest.approx(0.0, abs=1e-6)


def test_a_held_scale_is_told(tmp_path, capsys):
    """How often, why, and in the report."""
    lidars = [('/lidar', lidar(0, 1.1)), ('/lidar', lidar(9, 1.1))]
    record(tmp_path / 'in', [*cameras(4), *[('/depth', depth_image(i)) for i in range(4)], *lidars])
    options = ['--scale-source', 'points', '--scale-timeout', '0.15', '--truth-topic', '/depth']
    assert evaluate(tmp_path, *options) == 0
    assert report(tmp_path)['settings'][0]['scale_held'] == 0.5
    assert 'the scale was held for 2 of 4 pictures, stale' in capsys.readouterr().err


def odometry(i, x):
    """An Odometry of the camera itself, at x [m] to the right."""
    pose = TYPES['geometry_msgs/msg/Pose'](
        TYPES['geometry_msgs/msg/Point'](x, 0.0, 0.0),
        TYPES['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0),
    )
    vector = TYPES['geometry_msgs/msg/Vector3'](0.0, 0.0, 0.0)
    return TYPES['nav_msgs/msg/Odometry'](
        header(i, 'odom'),
        'camera',
        TYPES['geometry_msgs/msg/PoseWithCovariance'](pose, np.zeros(36)),
        TYPES['geometry_msgs/msg/TwistWithCovariance'](
            TYPES['geometry_msgs/msg/Twist'](vector, vector), np.zeros(36)
        ),
    )


@pytest.mark.parametrize('speed', [0.0, 0.2])
def test_odometry_of_a_recording(tmp_path, speed):
    """A ramp that comes along with the camera is steady only where the camera stands."""
    told = [('/odom', odometry(i, speed * i)) for i in range(3)]
    truths = [('/depth', depth_image(i)) for i in range(3)]
    record(tmp_path / 'in', [*cameras(3), *truths, *told])
    assert evaluate(tmp_path, '--edge-filter', '0') == 0
    error = report(tmp_path)['settings'][0]['temporal_alignment_error']
    # 0.2 m are 50 x 0.2 / 2.5 = 4 of 56 pixels, over which the depth changes by 1 / 14 of a metre
    expected = 0.0 if not speed else 100 * (4 / 55) / 2.5
    assert error == pytest.approx(expected, abs=1e-6 if not speed else 0.6)


def test_resume(tmp_path, capsys):
    """After Ctrl-C, what was measured stays; the report is that of one run."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path, out='once') == 0
    with interrupted_at(command.Results, 'add', 2):
        assert evaluate(tmp_path) == 130
    assert not (tmp_path / 'out' / 'report.json').exists()
    assert evaluate(tmp_path) == 2
    assert '--force overwrites, --resume goes on' in capsys.readouterr().err
    with interrupted_at(command.Results, 'add', 2):  # only two are left to measure
        assert evaluate(tmp_path, '--resume') == 0
    for one in (once := report(tmp_path, 'once'), again := report(tmp_path)):
        one['settings'][0].pop('network_ms')
        one.pop('advice')
    assert again == once
    # another setting is added to those that are there
    with interrupted_at(command.Results, 'add', 4):
        assert evaluate(tmp_path, '--resume', '--depth-scale', '1,1.1') == 0
    assert len(report(tmp_path)['settings']) == 2
    assert evaluate(tmp_path, '--force') == 0
    assert len(report(tmp_path)['settings']) == 1


def test_resume_with_force_keeps_what_was_measured(tmp_path):
    """As of convert, only what had other options is made again."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path) == 0
    with interrupted_at(command.Results, 'add', 0):
        assert evaluate(tmp_path, '--resume', '--force') == 0
    with interrupted_at(command.Results, 'add', 4):
        assert evaluate(tmp_path, '--resume', '--force', '--truth-scale', '2') == 0
    (setting,) = report(tmp_path)['settings']  # that of the other option cannot be compared
    assert setting['scale']['median'] == pytest.approx(2.2)


def test_resume_on_another_day(tmp_path):
    """The means are those of the inputs that the title names."""
    record(tmp_path / 'mon', [*cameras(2), *[('/depth', depth_image(i)) for i in range(2)]])
    record(
        tmp_path / 'tue', [*cameras(3), *[('/depth', depth_image(i, TRUE / 2)) for i in range(3)]]
    )
    assert evaluate(tmp_path, source='mon') == 0
    assert evaluate(tmp_path, '--resume', source='tue') == 0
    (setting,) = report(tmp_path)['settings']
    assert (setting['frames'], report(tmp_path)['inputs']) == (3, [str(tmp_path / 'tue')])
    assert setting['scale']['median'] == pytest.approx(0.55)
    with interrupted_at(command.Results, 'add', 0):
        assert evaluate(tmp_path, '--resume', source='mon tue') == 0
    assert report(tmp_path)['settings'][0]['frames'] == 5


def test_resume_adds_a_setting(tmp_path):
    """Those of earlier runs stay in the report, and the names tell them apart."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path) == 0
    assert evaluate(tmp_path, '--resume', '--depth-scale', '1.1') == 0
    found = report(tmp_path)
    assert [one['name'] for one in found['settings']] == ['depth_scale 1', 'depth_scale 1.1']
    assert found['best'] == 'depth_scale 1.1'
    assert found['settings'][0]['metrics']['abs_rel'] > 0.09
    assert evaluate(tmp_path, '--resume', '--edge-filter', '0') == 0
    assert len(report(tmp_path)['settings']) == 3


def test_resume_with_new_weights_in_the_same_file(tmp_path):
    """It is another model (here what is in the file does not matter)."""
    recorded(tmp_path, depth_image)
    model = tmp_path / 'mine.pth'
    model.write_bytes(b'1')
    assert evaluate(tmp_path, '--model', str(model)) == 0
    model.write_bytes(b'2')
    with interrupted_at(command.Results, 'add', 3):
        assert evaluate(tmp_path, '--resume', '--model', str(model)) == 130
    assert evaluate(tmp_path, '--resume', '--model', str(model)) == 0
    (setting,) = report(tmp_path)['settings']
    assert (setting['name'], setting['frames']) == ('mine.pth', 4)


def test_a_typo_costs_no_measurement(tmp_path):
    """What --force will replace stays until there is something in its place."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path) == 0
    assert evaluate(tmp_path, '--force', '--camera-info', 'typo.yaml') == 2
    with interrupted_at(command.Results, 'add', 0):
        assert evaluate(tmp_path, '--force') == 130
    with interrupted_at(command.Results, 'add', 0):  # nothing is left to measure
        assert evaluate(tmp_path, '--resume') == 0
    assert evaluate(tmp_path, '--force', '--depth-scale', '1.1') == 0
    assert len(report(tmp_path)['settings']) == 1


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (['--depth-scale', '1,-3'], 'depth_scale is -3.0, expected from 0.01 to 100'),
        (['--distortion', 'rays,none'], "distortion is 'none', expected one of rays"),
        (['--truth-camera-info', 'missing.yaml'], 'missing.yaml'),
    ],
)
def test_wrong_usage(tmp_path, capsys, options, told):
    """A value that is not allowed is refused before anything is read."""
    recorded(tmp_path, depth_image)
    assert evaluate(tmp_path, *options) == 2
    assert told in capsys.readouterr().err


def test_calibrations_as_powershell_writes_them(tmp_path):
    """That of the pictures and that of the truth may be in UTF-16, as for convert."""
    recorded(tmp_path, depth_image)
    path = tmp_path / 'camera.yaml'
    path.write_text(
        f'image_width: {WIDTH}\nimage_height: {HEIGHT}\n'
        f'camera_matrix: [[50, 0, {WIDTH / 2}], [0, 50, {HEIGHT / 2}], [0, 0, 1]]\n',
        'utf-16',
    )
    options = ('--camera-info', str(path), '--truth-camera-info', str(path))
    assert evaluate(tmp_path, *options) == 0
    assert report(tmp_path)['settings'][0]['frames'] == 4


def test_a_device_that_is_lost_is_no_wrong_usage(tmp_path, capsys, monkeypatch):
    """The exit code is that of something that has failed (the loss is a fake)."""

    def lost(*_):
        raise DeviceLostError('cuda:0: CUDA error: an illegal memory access was encountered')

    recorded(tmp_path, depth_image)
    monkeypatch.setattr(FakeEngine, '_run', lost)
    assert evaluate(tmp_path) == 1
    assert 'depth-pcd evaluate: cuda:0: CUDA error: an illegal' in capsys.readouterr().err


def test_inputs_that_are_none(tmp_path, capsys):
    """No such folder, no pairs in it, and no truth in a recording."""
    assert evaluate(tmp_path) == 2
    assert 'no such recording or folder' in capsys.readouterr().err
    (tmp_path / 'in').mkdir()
    assert evaluate(tmp_path) == 2
    assert 'has no pairs of a photo and a depth' in capsys.readouterr().err
    assert evaluate(tmp_path, '--scale-source', 'none,range') == 2
    assert 'a folder of photos: scale_source range is for rec' in capsys.readouterr().err
    record(tmp_path / 'in' / 'rec', cameras(2))
    assert evaluate(tmp_path) == 1
    assert 'it lacks a depth image or PointCloud2 topic' in capsys.readouterr().err


def test_missing_packages(tmp_path):
    """It is said what to install before anything is measured; nothing needs them earlier."""
    recorded(tmp_path, depth_image)
    program = (
        'import importlib.util, sys; sys.modules.update(matplotlib=None, scipy=None); '
        'find = importlib.util.find_spec; from depth_pcd_ros.evaluate import command; '
        'command.find_spec = lambda name: None if sys.modules.get(name, 0) is None else find(name);'
        "from depth_pcd_ros.cli import main; sys.exit(main(['evaluate', *sys.argv[1:]]))"
    )
    words = [sys.executable, '-c', program, str(tmp_path / 'in'), '-o', str(tmp_path / 'out')]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert 'pip install matplotlib scipy' in done.stderr
