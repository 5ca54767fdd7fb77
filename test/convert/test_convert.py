# SPDX-License-Identifier: Apache-2.0
"""The command depth-pcd convert as a user runs it, on photos and videos."""

import os
import re
import resource
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_pcd_ros.cli import main
from depth_pcd_ros.convert.options import FORMATS, SETTINGS
from depth_pcd_ros.convert.outputs import WRITERS
from depth_pcd_ros.files.ply import read_ply
from depth_pcd_ros.settings import OPTIONS, Settings

from ..support import golden
from ..support.converting import (
    CAMERA,
    DEMO,
    HEIGHT,
    WIDTH,
    contents,
    listed,
    photos,
    smooth,
    video,
)
from ..support.recordings import cameras, record

GOLDEN = Path(__file__).resolve().parents[1] / 'data' / 'golden'
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('device', ['cpu', 'auto'])
def test_golden(tmp_path, device):
    """With the golden checkpoint, each vertex is the official depth unprojected by hand."""
    recorded = golden.load('vits')
    rgb, expected = recorded['rgb_0'], recorded['depth_0']
    model = golden.official_file(tmp_path, golden.INDOOR, 0)
    Image.fromarray(rgb).save(tmp_path / 'photo.png')

    args = ['convert', str(tmp_path / 'photo.png'), '-o', str(tmp_path / 'out'), *CAMERA]
    args += ['--model', model, '--input-size', str(recorded['input_size_0'])]
    args += ['--device', device, '--precision', 'fp32']
    args += ['--edge-filter', '0', '--min-depth', '0', '--write', 'ply,npy']
    assert main(args) == 0
    depth = np.load(tmp_path / 'out' / 'photo.depth.npy')
    np.testing.assert_allclose(depth, expected, rtol=0, atol=1e-3)
    xyz, colours = read_ply(tmp_path / 'out' / 'photo.ply')
    v, u = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    by_hand = np.dstack([expected * (u - 27) / 50, expected * (v - 20) / 48, expected])
    np.testing.assert_allclose(xyz, by_hand.reshape(-1, 3), rtol=0, atol=1e-3)
    np.testing.assert_array_equal(colours, rgb.reshape(-1, 3))


def test_every_format(tmp_path):
    """What is in each kind of file."""
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    out = tmp_path / 'out'
    args = ['convert', str(tmp_path / 'a.png'), '-o', str(out), *CAMERA, *DEMO]
    assert main([*args, '--write', ','.join(FORMATS)]) == 0
    assert listed(out) == sorted(f'a{writer.ending}' for writer in WRITERS.values())
    depth = np.load(out / 'a.depth.npy')
    assert depth.dtype == np.float32
    valid = np.isfinite(depth)
    arrays = np.load(out / 'a.npz')
    np.testing.assert_array_equal(arrays['xyz'][..., 2], depth)
    np.testing.assert_array_equal(arrays['rgb'], smooth(0))
    xyz, colours = read_ply(out / 'a.ply')
    np.testing.assert_array_equal(xyz, arrays['xyz'][valid])
    np.testing.assert_array_equal(colours, smooth(0)[valid])
    millimetres = cv2.imread(str(out / 'a.depth.png'), cv2.IMREAD_UNCHANGED)
    assert millimetres.dtype == np.uint16
    np.testing.assert_array_equal(millimetres, np.rint(1000 * np.nan_to_num(depth)))
    header = (out / 'a.pcd').read_bytes().split(b'DATA')[0]
    assert f'WIDTH {WIDTH}\nHEIGHT {HEIGHT}'.encode() in header
    assert cv2.imread(str(out / 'a.preview.png')).shape == (HEIGHT, 3 * WIDTH, 3)


def test_formats_are_the_same():
    """Those that can be asked for and those that can be written."""
    assert list(FORMATS) == list(WRITERS)


def test_mixed_folder(tmp_path, capsys):
    """All kinds of photos are converted, what is broken is told in one line each."""
    folder = tmp_path / 'in'
    photos(folder, 1)
    picture = Image.fromarray(smooth(5))
    for mode, name in (('L', 'grey.png'), ('RGBA', 'rgba.png'), ('CMYK', 'cmyk.jpg')):
        picture.convert(mode).save(folder / name)
    cv2.imwrite(str(folder / 'deep.png'), smooth(6).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(folder / 'phone.jpg', exif=exif)
    whole = (folder / 'phone.jpg').read_bytes()
    (folder / 'corrupt.jpg').write_bytes(whole[: len(whole) // 2])
    (folder / 'zero.png').touch()
    (folder / 'notes.txt').write_text('not an input')
    Image.fromarray(smooth(7, 64, 64)).save(folder / 'square.png')

    args = ['convert', str(folder), '-o', str(tmp_path / 'out'), *CAMERA, '--size', '56x42', *DEMO]
    assert main([*args, '--write', 'npy']) == 1
    good = ['below/0', 'cmyk', 'deep', 'grey', 'phone', 'rgba']
    assert sorted(contents(tmp_path / 'out')) == [f'{name}.depth.npy' for name in good]
    for name in good:  # the phone's too: upright
        assert np.load(tmp_path / 'out' / f'{name}.depth.npy').shape == (HEIGHT, WIDTH)
    lines = capsys.readouterr().err.replace('\r', '\n').splitlines()
    for name, reason in (
        ('corrupt.jpg', 'damaged or cut off'),
        ('zero.png', 'empty'),
        ('square.png', 'another aspect ratio'),
    ):
        told = [line for line in lines if name in line]
        assert len(told) == 1, told
        assert reason in told[0]
    assert lines[-1] == 'depth-pcd convert: 6 converted, 3 failed'


@pytest.mark.parametrize('kind', ['photos', 'recording'])
def test_no_valid_point_is_told(tmp_path, capsys, kind):
    """Once for each input, with what may be the reason."""
    if kind == 'photos':
        photos(tmp_path / 'in', 1)
    else:
        record(tmp_path / 'in', cameras(2))
    args = ['convert', str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *DEMO, '--force']
    args += ['--hfov', '60'] if kind == 'photos' else []
    assert main([*args, '--min-depth', '11.9']) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if 'no valid point' in line]
    assert len(told) == 1
    assert '--min-depth, --max-range, --edge-filter' in told[0]
    assert main(args) == 0
    assert 'no valid point' not in capsys.readouterr().err


def test_depth_images_among_photos(tmp_path, capsys):
    """A data set has them in a folder beside; that they become clouds is said once."""
    photos(tmp_path / 'in', 1)
    depth = tmp_path / 'in' / 'depth'
    depth.mkdir()
    for i in range(2):
        cv2.imwrite(str(depth / f'{i}.png'), smooth(i)[..., 0].astype(np.uint16) * 20)
    args = ['convert', str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *DEMO, '--hfov', '60']
    assert main(args) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if '16 bits of grey' in line]
    assert len(said) == 1
    assert f'{depth} has PNG of 16 bits of grey, as depth images are' in said[0]


def test_exif_focal_length(tmp_path, capsys):
    """The focal length of a phone's photo is used, and said."""
    exif = Image.Exif()
    exif[0x8769] = {0xA405: 28}
    Image.fromarray(smooth(0)).save(tmp_path / 'phone.jpg', exif=exif)
    args = ['convert', str(tmp_path / 'phone.jpg'), '-o', str(tmp_path / 'out'), *DEMO]
    assert main([*args, '--write', 'npz']) == 0
    xyz = np.load(tmp_path / 'out' / 'phone.npz')['xyz']
    focal = 28 * np.hypot(WIDTH, HEIGHT) / np.hypot(36, 24)
    assert f'28 mm, which is fx = fy = {focal:.1f} px' in capsys.readouterr().err
    x, _, z = np.moveaxis(xyz.astype(float), -1, 0)
    columns = np.where(np.isfinite(z), np.arange(WIDTH), np.nan)
    np.testing.assert_allclose(focal * x / z + (WIDTH - 1) / 2, columns, atol=1e-3)


def test_an_unknown_lens_can_be_ignored(tmp_path, capsys):
    """It is refused, and what the sentence proposes helps."""
    calibration = tmp_path / 'a.yaml'
    calibration.write_text(
        f'image_width: {WIDTH}\nimage_height: {HEIGHT}\n'
        'camera_matrix: [50, 0, 28, 0, 50, 21, 0, 0, 1]\n'
        'distortion_model: plum\ndistortion_coefficients: [0.1, 0.2]\n'
    )
    args = ['convert', photos(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *DEMO]
    args += ['--camera-info', str(calibration)]
    assert main(args) == 2
    assert "distortion_model 'plum' is unknown" in (told := capsys.readouterr().err)
    assert 'distortion: ignore takes the lens for an ideal one' in told
    assert main([*args, '--distortion', 'ignore']) == 0


def test_photos_with_and_without_exif(tmp_path):
    """One run serves photos with and without EXIF; `--force-intrinsics` treats all alike."""
    folder = tmp_path / 'in'
    folder.mkdir()
    exif = Image.Exif()
    exif[0x8769] = {0xA405: 28}
    Image.fromarray(smooth(0)).save(folder / 'phone.jpg', exif=exif)
    Image.fromarray(smooth(0)).save(folder / 'web.png')
    args = ['convert', str(folder), *DEMO, '--hfov', '60', '--write', 'npz']
    focals = {}
    for out, option in (('own', ()), ('forced', ('--force-intrinsics',))):
        assert main([*args, '-o', str(tmp_path / out), *option]) == 0
        for name in ('phone', 'web'):
            x, _, z = np.moveaxis(np.load(tmp_path / out / f'{name}.npz')['xyz'][:, 10], -1, 0)
            focals[out, name] = np.nanmedian((10 - (WIDTH - 1) / 2) * z / x)
    by_hfov = WIDTH / 2 / np.tan(np.radians(30))
    assert focals['own', 'phone'] == pytest.approx(28 * np.hypot(WIDTH, HEIGHT) / 43.2666, rel=1e-4)
    for key in (('own', 'web'), ('forced', 'phone'), ('forced', 'web')):
        assert focals[key] == pytest.approx(by_hfov, rel=1e-4)


def test_what_exif_lacks_is_said(tmp_path, capsys):
    """Before anything is computed, for the first photo that has something."""
    exif = Image.Exif()
    exif[0x8769] = {0x920A: 4.25}
    Image.fromarray(smooth(0)).save(tmp_path / 'phone.jpg', exif=exif)
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    inputs = [str(tmp_path / name) for name in ('a.png', 'phone.jpg')]
    assert main(['convert', *inputs, '-o', str(tmp_path / 'out'), *DEMO]) == 2
    told = capsys.readouterr().err
    assert 'phone.jpg: EXIF has the focal length, 4.25 mm, but neither its 35 mm' in told
    assert '--f35 MM' in told


def with_pixel_aspect(data, across, down):
    """An MPEG-4 file whose samples have pixels of this shape (ISO/IEC 14496-12, 12.1.4: pasp)."""
    box = struct.pack('>I4sII', 16, b'pasp', across, down)
    end = data.index(b'mp4v', data.index(b'stsd')) - 4  # of the sample's box, behind its length
    end += struct.unpack_from('>I', data, end)[0]
    data = bytearray(data)
    for kind in (b'moov', b'trak', b'mdia', b'minf', b'stbl', b'stsd', b'mp4v'):
        at = data.index(kind, data.index(b'moov')) - 4
        struct.pack_into('>I', data, at, struct.unpack_from('>I', data, at)[0] + len(box))
    assert data.index(b'mdat') < data.index(b'moov')  # so that the pictures stay where they are
    return bytes(data[:end] + box + data[end:])


def turned(data, a=0, b=1, c=-1, d=0):
    """An MPEG-4 file whose pictures are shown turned to the right (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(data)
    start = data.index(b'tkhd') + 44
    assert struct.unpack_from('>9i', data, start) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    one = 1 << 16
    struct.pack_into('>9i', data, start, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    return bytes(data)


@pytest.mark.parametrize(
    ('is_turned', 'told', 'fy'),
    [
        (False, 'fx = 32.0, fy = 42.7 px at 64x48', 32.0 * 4 / 3),
        (True, 'fx = 24.0, fy = 18.0 px at 48x64', 24.0 * 3 / 4),
    ],
)
def test_video_of_pixels_that_are_not_square(tmp_path, capsys, is_turned, told, fy):
    """Pixels of 4:3: fy is a third longer than fx; of 3:4 where the picture is turned."""
    path = tmp_path / 'dv.mp4'
    video(path, [0], 'mp4v', (64, 48))
    data = with_pixel_aspect(path.read_bytes(), 4, 3)
    path.write_bytes(turned(data) if is_turned else data)
    args = ['convert', str(path), '-o', str(tmp_path / 'out'), '--hfov', '90', *DEMO]
    assert main([*args, '--write', 'npz']) == 0
    assert told in capsys.readouterr().err
    xyz = np.load(tmp_path / 'out' / 'dv' / '000000.npz')['xyz']
    y, z = xyz[5, :, 1], xyz[5, :, 2]
    assert np.nanmedian((5 - (len(xyz) - 1) / 2) * z / y) == pytest.approx(fy, rel=1e-4)


def test_video(tmp_path):
    """A video gives its pictures by number, in a folder of its name."""
    args = ['convert', video(tmp_path / 'clip.avi', 3), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main(args) == 0
    found = contents(tmp_path / 'out')
    assert sorted(found) == [f'clip/{i:06d}.ply' for i in range(3)]
    _, colours = read_ply(tmp_path / 'out' / 'clip' / '000002.ply')
    assert np.abs(colours.mean(axis=0) - smooth(2).reshape(-1, 3).mean(axis=0)).max() < 8
    assert main(args) == 2
    (tmp_path / 'out' / 'clip' / '000001.ply').unlink()
    assert main([*args, '--resume']) == 0
    assert contents(tmp_path / 'out') == found


def test_video_of_a_turned_phone(tmp_path, capsys):
    """A video that says how it is turned becomes upright, and the intrinsics with it."""
    path = tmp_path / 'phone.mp4'
    video(path, [0] * 3, 'mp4v', (64, 48))
    path.write_bytes(turned(path.read_bytes()))

    args = ['convert', str(path), '-o', str(tmp_path / 'out'), *DEMO, '--write', 'npz']
    camera = ['--fx', '50', '--fy', '48', '--cx', '30', '--cy', '20', '--size', '64x48']
    assert main([*args, *camera]) == 0
    assert 'is turned upright' in capsys.readouterr().err
    arrays = np.load(tmp_path / 'out' / 'phone' / '000000.npz')
    expected = np.rot90(smooth(0, 64, 48), -1).astype(int)
    assert np.abs(arrays['rgb'] - expected).mean() < 6
    x, y, z = np.moveaxis(arrays['xyz'].astype(float), -1, 0)
    v, u = np.mgrid[:64, :48]
    valid = np.isfinite(z)
    # what was at (u, v) is at (47 - v, u)
    np.testing.assert_allclose((48 * x / z + 47 - 20)[valid], u[valid], atol=1e-3)
    np.testing.assert_allclose((50 * y / z + 30)[valid], v[valid], atol=1e-3)


@pytest.mark.parametrize(
    ('matrix', 'shown'),
    [
        ((-1, 0, 0, 1), lambda stored: stored[:, ::-1]),
        ((1, 0, 0, -1), lambda stored: stored[::-1]),
        ((0, 1, 1, 0), lambda stored: stored.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda stored: stored[::-1, ::-1].transpose(1, 0, 2)),
        ((0, -1, 1, 0), np.rot90),
    ],
)
def test_video_that_is_mirrored(tmp_path, matrix, shown):
    """As the header says, where OpenCV only turns it; as ffmpeg shows it."""
    path = tmp_path / 'selfie.mp4'
    video(path, [0], 'mp4v', (64, 48))
    path.write_bytes(turned(path.read_bytes(), *matrix))
    args = ['convert', str(path), '-o', str(tmp_path / 'out'), *DEMO, '--hfov', '60']
    assert main([*args, '--write', 'npz']) == 0
    rgb = np.load(tmp_path / 'out' / 'selfie' / '000000.npz')['rgb']
    expected = shown(smooth(0, 64, 48)).astype(int)
    assert rgb.shape == expected.shape
    assert np.abs(rgb - expected).mean() < 6


@pytest.mark.parametrize(('seeds', 'told'), [([0] * 4, True), ([0] + [1] * 5, False)])
def test_pictures_that_are_all_the_same_are_told(tmp_path, capsys, seeds, told):
    """As OpenCV 5.0 gives interlaced video, with exit code 0 and without an error of its own."""
    clip = video(tmp_path / 'clip.avi', seeds)
    assert main(['convert', clip, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]) == 0
    said = capsys.readouterr().err
    assert ('clip.avi: its first 3 pictures are the same to the bit' in said) == told
    assert ('ffmpeg -i IN -vf yadif OUT' in said) == told


@pytest.mark.parametrize('part', [0.0, 0.6])
def test_damaged_video(tmp_path, part, capfd):
    """A video without a picture fails; one that is cut off gives what it has, and that is said."""
    path = tmp_path / 'clip.avi'
    video(path, 10)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    args = ['convert', str(path), '-o', str(tmp_path / 'out'), *CAMERA, '--size', '56x42', *DEMO]
    assert main(args) == (0 if part else 1)
    told = capfd.readouterr().err
    count = len(contents(tmp_path / 'out')) if part else 0
    assert count < 10
    assert (f'{count} pictures could be read, ' if count else 'cannot read it as a video') in told


def test_up(tmp_path):
    """Clouds for viewers are turned, arrays are as the camera sees them, and view undoes it."""
    args = ['convert', photos(tmp_path / 'in', 1), *CAMERA, *DEMO, '--write', 'ply,npz']
    for up in ('', 'z'):
        out = ['-o', str(tmp_path / f'out{up}'), *(['--up', up] if up else [])]
        assert main([*args, *out]) == 0
    plain, turned = (tmp_path / out / 'below' / '0.ply' for out in ('out', 'outz'))
    assert b'comment axes: x right, y ahead, z up\n' in turned.read_bytes()
    for mine, its in zip(read_ply(plain), read_ply(turned), strict=True):
        np.testing.assert_array_equal(mine, its)
    arrays = [contents(tmp_path / out)['below/0.npz'] for out in ('out', 'outz')]
    assert arrays[0] == arrays[1]


def test_clouds_of_voxels(tmp_path):
    """The options of the cloud act on all files: an unorganized one, and its preview."""
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    args = ['convert', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    args += ['--voxel-size', '0.1', '--cloud-fields', 'xyz', '--stride', '2']
    assert main([*args, '--write', 'ply,pcd,npz,preview']) == 0
    xyz, colours = read_ply(tmp_path / 'out' / 'a.ply')
    assert 0 < len(xyz) < WIDTH * HEIGHT / 4
    assert colours is None
    arrays = np.load(tmp_path / 'out' / 'a.npz')
    assert list(arrays) == ['xyz']
    np.testing.assert_array_equal(arrays['xyz'], xyz)
    assert f'WIDTH {len(xyz)}\nHEIGHT 1\n'.encode() in (tmp_path / 'out' / 'a.pcd').read_bytes()
    preview = cv2.imread(str(tmp_path / 'out' / 'a.preview.png'))
    assert preview.shape == (HEIGHT // 2, 3 * WIDTH // 2, 3)


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ([], 'no intrinsics: give --camera-info FILE.*--fx.*--hfov.*EXIF.*CameraInfo'),
        (['--fx', '5', '--cx', '3'], '--fy, --cy is missing'),
        ([*CAMERA, '--hfov', '60'], 'given twice'),
        (['--hfov', '0'], '--hfov is 0, expected 1 to 168'),
        (['--hfov', '171'], '--hfov is 171, expected 1 to 168'),
        (['--f35', '1'], '--f35 is 1, expected 5 to 5000 mm'),
        (['--f35', '26', '--hfov', '60'], 'given twice'),
        ([*CAMERA, '--force-intrinsics'], '--force-intrinsics goes with --hfov or --f35'),
        (['--hfov', '60', '--camera-name', 'left'], '--camera-name goes with --camera-info'),
        (['--hfov', '60', '--size', '4x3'], '--size goes with'),
        ([*CAMERA[:-1], '99'], r'cy = 99 in K is no principal point of an image of 56x42'),
        (['--fx', '-5', *CAMERA[2:]], 'must be above zero'),
        (
            ['--fx', '0.9', '--fy', '1.1', '--cx', '0.5', '--cy', '0.5'],
            'fx = 0.9 and fy = 1.1 in K are no focal lengths of an image of 56x42: .* in pixels',
        ),
        (['--camera-info', 'nothing.yaml'], 'nothing.yaml'),
        ([*CAMERA, '--edge-filter', '95'], 'edge_filter is 95.0, expected from 0 to 89.9 deg'),
        ([*CAMERA, '--input-size', '500'], 'multiple of 14'),
        ([*CAMERA, '--model', 'indoor'], "unknown model 'indoor'"),
        ([*CAMERA, '--device', 'tpu'], "device is 'tpu'"),
    ],
)
def test_usage(tmp_path, capsys, arguments, reason):
    """Wrong usage is told in a line, with exit code 2, and nothing is written."""
    args = ['convert', photos(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *DEMO, *arguments]
    assert main(args) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert re.search(reason, told), told
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'arguments',
    [
        ['--write', 'ply,obj'],
        ['--size', '640'],
        ['--stride', 'two'],
        ['--precision', 'fp8'],
    ],
)
def test_usage_seen_by_argparse(tmp_path, arguments):
    """What argparse refuses."""
    with pytest.raises(SystemExit) as info:
        main(['convert', 'x.png', '-o', str(tmp_path / 'out'), *CAMERA, *arguments])
    assert info.value.code == 2


def test_missing_input(tmp_path, capsys):
    """An input that is not there fails; the others are converted."""
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    (tmp_path / 'b.xyz').touch()
    inputs = [str(tmp_path / name) for name in ('a.png', 'b.xyz', 'nothing.png')]
    assert main(['convert', *inputs, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]) == 1
    told = capsys.readouterr().err
    assert 'nothing.png: no such file' in told
    assert re.search(r'b.xyz: it is no photo.*should end with one of \.bmp, .*, \.mcap', told)
    assert list(contents(tmp_path / 'out')) == ['a.ply']


@pytest.mark.parametrize('out', ['file', 'file/below'])
def test_no_output_folder(tmp_path, capsys, out):
    """It is told before any picture is converted."""
    (tmp_path / 'file').touch()
    args = ['convert', photos(tmp_path / 'in'), '-o', str(tmp_path / out), *CAMERA, *DEMO]
    assert main(args) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert f'{tmp_path / out} cannot be written to' in told[0]


def test_failures_of_a_video_are_told_once(tmp_path, capsys):
    """Not for each of its pictures."""
    path = video(tmp_path / 'clip.avi', 4)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        code = main(['convert', path, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1
    told = capsys.readouterr().err
    assert told.count('File too large') == 1
    assert 'clip.avi: 4 times OSError' in told
    assert contents(tmp_path / 'out') == {}


def test_names_that_are_too_long(tmp_path, capsys):
    """A name that is too long, or whose outputs' would be, fails for itself."""
    long = 245 * 'x' + '.png'
    for name in ('a.png', long):
        Image.fromarray(smooth(0)).save(tmp_path / name)
    inputs = [str(tmp_path / name) for name in (long, 300 * 'y' + '.png', 'a.png')]
    args = ['convert', *inputs, '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    assert main([*args, '--write', 'preview']) == 1
    assert listed(tmp_path / 'out') == ['a.preview.png']
    assert capsys.readouterr().err.count('File name too long') == 2


def test_names_that_are_not_utf8(tmp_path):
    """A photo is converted; a video, which OpenCV would crash on, is refused."""
    photo, clip = (os.fsencode(tmp_path) + name for name in (b'/\xe9.png', b'/\xe8.avi'))
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    os.rename(tmp_path / 'a.png', photo)
    os.rename(video(tmp_path / 'a.avi', 2), clip)
    args = [sys.executable, '-m', 'depth_pcd_ros.cli', 'convert', photo, clip]
    args += ['-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    done = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, errors='replace')
    assert done.returncode == 1, done.stderr
    assert 'its name is not UTF-8: rename it' in done.stderr
    assert '1 converted, 1 failed' in done.stderr


def test_damaged_photo_without_intrinsics(tmp_path, capsys):
    """That it is damaged is told, not that its EXIF has no focal length."""
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8\xff')
    assert main(['convert', str(tmp_path / 'a.jpg'), '-o', str(tmp_path / 'out'), *DEMO]) == 1
    assert 'a.jpg: compressed image of format' in capsys.readouterr().err


def test_a_failed_write_is_told(tmp_path, capsys):
    """A file that cannot be written fails, and the next one is tried."""
    args = ['convert', photos(tmp_path / 'in'), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'below').write_text('a file where a folder should be')
    assert main(args) == 1
    assert 'below' in capsys.readouterr().err
    assert sorted(contents(tmp_path / 'out')) == ['1.ply', '2.ply', 'below']


def test_options_are_the_nodes(capsys, monkeypatch):
    """Every parameter of the node that is not about topics is an option, with its default."""
    # convert's own hfov is one of the ways to give intrinsics
    assert set(OPTIONS) - set(SETTINGS) == {
        *('image_transport', 'frames', 'autostart', 'hfov', 'cameras', 'max_batch'),
        *('merged_points', 'merged_frame', 'merged_timeout', 'frame_transform'),
    }
    monkeypatch.setenv('COLUMNS', '1000')
    with pytest.raises(SystemExit):
        main(['convert', '--help'])
    shown = ' '.join(capsys.readouterr().out.split())
    for name in SETTINGS:
        assert f'--{name.replace("_", "-")}' in shown
        default = getattr(Settings, name)
        if isinstance(default, tuple):
            default = ' '.join(map(str, default))
        if not isinstance(default, bool):
            assert f'(default: {default})' in shown


def test_no_ros_needed(tmp_path):
    """Neither rclpy nor a message package is imported."""
    Image.fromarray(smooth(0)).save(tmp_path / 'a.png')
    args = ['convert', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'out'), *CAMERA, *DEMO]
    code = (
        'import sys\n'
        'for name in ("rclpy", "sensor_msgs", "std_msgs", "cv_bridge"):\n'
        '    sys.modules[name] = None\n'
        'from depth_pcd_ros.cli import main\n'
        f'sys.exit(main({args!r}))'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
    assert (tmp_path / 'out' / 'a.ply').exists()
