# SPDX-License-Identifier: Apache-2.0
"""Photos turned upright with their calibration, and intrinsics fitted to a picture's size."""

import dataclasses
import struct
import sys

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from depth_pcd_ros.geometry.calibration import Calibration, CameraError, pinhole
from depth_pcd_ros.geometry.camera import Camera
from depth_pcd_ros.inputs.intrinsics import (
    Intrinsics,
    resized,
)
from depth_pcd_ros.inputs.orientation import upright, upright_calibration, upright_size
from depth_pcd_ros.inputs.photos import PhotoHeader, read_header, read_photo
from depth_pcd_ros.messages.encodings import ImageError

WIDTH, HEIGHT = 40, 30
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
SMOOTH = cv2.resize(RGB[:3, :4], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
PLUMB_BOB = (-0.25, 0.07, 0.004, -0.003, 0.01)
PRISM = (-0.2, 0.05, 0.004, -0.003, 0.01, 0.02, 0.03, -0.01, 0.002, -0.001, 0.003, 0.0005)
CALIBRATION = Calibration(
    WIDTH, HEIGHT, (35.0, 0.0, 18.2, 0.0, 33.0, 16.1, 0.0, 0.0, 1.0), 'plumb_bob', PLUMB_BOB
)


def exif(orientation=1, focal_35mm=0):
    """EXIF data with these entries."""
    data = Image.Exif()
    data[0x0112] = orientation
    if focal_35mm:
        data[0x8769] = {0xA405: focal_35mm}
    return data


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['png', 'tiff', 'webp'])
def test_upright_as_pillow(tmp_path, orientation, ending):
    """Every EXIF orientation is undone as Pillow's own exif_transpose does it for a PNG."""
    from PIL import ImageOps  # of Pillow 9.0 it turns a TIFF twice

    Image.fromarray(RGB).save(tmp_path / 'stored.png', exif=exif(orientation))
    with Image.open(tmp_path / 'stored.png') as photo:
        expected = np.asarray(ImageOps.exif_transpose(photo).convert('RGB'))
    path = tmp_path / f'photo.{ending}'
    lossless = {'lossless': True} if ending == 'webp' else {}
    Image.fromarray(RGB).save(path, exif=exif(orientation), **lossless)
    rgb, header = read_photo(path)
    np.testing.assert_array_equal(rgb, expected)
    size = (expected.shape[1], expected.shape[0])
    assert header == PhotoHeader(size, 1 if ending == 'tiff' else orientation)
    assert read_header(path) == header


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize(
    ('model', 'd'),
    [('plumb_bob', PLUMB_BOB), ('rational_polynomial', PRISM), ('equidistant', (0.1, 0.02, 0, 0))],
)
def test_calibration_turns_with_the_photo(orientation, model, d):
    """The ray of each upright pixel is that of the stored pixel, turned."""
    calibration = dataclasses.replace(CALIBRATION, distortion_model=model, d=d)
    stored = Camera.from_calibration(calibration)
    turned = Camera.from_calibration(upright_calibration(calibration, orientation))
    assert (turned.width, turned.height) == upright_size((WIDTH, HEIGHT), orientation)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    numbers = np.dstack([u, v, np.zeros_like(u)]).astype(np.uint8)
    source = upright(numbers, orientation)[..., :2]  # the stored pixel of each upright one
    rays = stored.unproject(source.astype(float))
    # Of a photo that is stored turned, the axes are; see how a step to the right looks.
    step_right = (source[0, 1].astype(int) - source[0, 0]).tolist()
    step_down = (source[1, 0].astype(int) - source[0, 0]).tolist()
    expected = np.stack([rays @ step_right, rays @ step_down], axis=-1)
    v, u = np.mgrid[: turned.height, : turned.width]
    found = turned.unproject(np.dstack([u, v]).astype(float))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tilted_sensor_is_not_turned():
    """What cannot be turned is refused, unless there is nothing to turn."""
    d = (*PRISM, 0.01, 0.0)
    tilted = dataclasses.replace(CALIBRATION, distortion_model='rational_polynomial', d=d)
    assert upright_calibration(tilted, 1).d == d
    with pytest.raises(CameraError, match='tilt'):
        upright_calibration(tilted, 6)


def test_rectified_photo_turns_too():
    """P and R: a point in front of the stored camera is at the upright camera's pixel."""
    rotation = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
    calibration = dataclasses.replace(
        CALIBRATION,
        r=tuple(rotation.ravel().tolist()),
        p=(34.0, 0.0, 19.0, -2.0, 0.0, 34.0, 15.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    )
    turned = upright_calibration(calibration, 6)  # shown turned clockwise
    x, y, z = rotation @ [0.3, 0.2, 2.0]
    stored_u, stored_v = (34.0 * x + 19.0 * z - 2.0) / z, (34.0 * y + 15.0 * z) / z
    p = np.array(turned.p).reshape(3, 4)
    r = np.array(turned.r).reshape(3, 3)
    u, v, w = p @ np.append(r @ [-0.2, 0.3, 2.0], 1.0)
    np.testing.assert_allclose((u / w, v / w), (HEIGHT - 1 - stored_v, stored_u), atol=1e-9)


def test_resized_keeps_the_picture():
    """A pixel's ray at half the size is that of the middle between the four it comes from."""
    half = Camera.from_calibration(resized(CALIBRATION, (WIDTH // 2, HEIGHT // 2)))
    full = Camera.from_calibration(CALIBRATION)
    np.testing.assert_allclose(half.unproject([3.0, 5.0]), full.unproject([6.5, 10.5]), atol=1e-9)


def test_numbers_without_a_size():
    """They are for the picture at hand."""
    given = Intrinsics(dataclasses.replace(CALIBRATION, width=0, height=0), '--camera-info x.yaml')
    assert given.fitted(PhotoHeader((WIDTH, HEIGHT)), lambda _: None) == CALIBRATION


def test_hfov():
    """90 degrees across 640 pixels: a focal length of 320, the middle between the pixels."""
    said = []
    calibration = Intrinsics(hfov=90.0).fitted(PhotoHeader((640, 480)), said.append)
    assert said == [
        '--hfov 90 across the upright picture, which is fx = fy = 320.0 px at 640x480; principal '
        'point in the middle'
    ]
    np.testing.assert_allclose(calibration.k, (320, 0, 319.5, 0, 320, 239.5, 0, 0, 1), rtol=1e-12)
    assert calibration.p == pinhole(*np.array(calibration.k)[[0, 4, 2, 5]], (640, 480)).p


def test_hfov_of_a_portrait():
    """It is across the picture all the same, and what does not depend on that is named."""
    said = []
    calibration = Intrinsics(hfov=90.0).fitted(PhotoHeader((480, 640)), said.append)
    assert calibration.k[0] == pytest.approx(240.0)
    assert 'taller than wide (--f35 does not depend on that), which is fx = fy = 240.0' in said[0]


def test_exif_is_used_and_said():
    """36 mm on the film's diagonal of 43.27 mm: 0.832 of the picture's diagonal."""
    said = []
    calibration = Intrinsics().fitted(PhotoHeader((4000, 3000), 1, 36.0), said.append)
    focal = 36.0 * 5000.0 / (36.0**2 + 24.0**2) ** 0.5
    np.testing.assert_allclose(calibration.k, (focal, 0, 1999.5, 0, focal, 1499.5, 0, 0, 1))
    assert len(said) == 1
    assert '36 mm' in said[0]
    assert 'fx = fy = 4160.3' in said[0]


@pytest.mark.parametrize(
    ('given', 'focal'),
    [
        ({'hfov': 90.0}, 4160.3),
        ({'f35': 50.0}, 4160.3),
        ({'hfov': 90.0, 'forced': True}, 2000.0),
        ({'f35': 50.0, 'forced': True}, 50.0 * 5000.0 / 43.2666),
    ],
)
def test_exif_comes_first(given, focal):
    """What was given serves photos without EXIF, unless it is forced; that is said."""
    said = []
    intrinsics = Intrinsics(**given)
    found = intrinsics.fitted(PhotoHeader((4000, 3000), 1, 36.0), said.append)
    assert found.k[0] == pytest.approx(focal, abs=0.1)
    assert ('--force-intrinsics' in ' '.join(said)) == ('forced' not in given)
    found = intrinsics.fitted(PhotoHeader((4000, 3000)), said.append)
    assert found.k[0] == pytest.approx(2000.0 if 'hfov' in given else 5778.1, abs=0.1)


@pytest.mark.parametrize('size', [(4000, 3000), (3000, 4000)])
def test_f35_does_not_depend_on_how_the_phone_was_held(size):
    """By the diagonal, which is the same."""
    said = []
    found = Intrinsics(f35=26.0).fitted(PhotoHeader(size), said.append)
    assert found.k[0] == found.k[4] == pytest.approx(26.0 * 5000.0 / 43.2666, abs=0.1)
    assert said[0].startswith('--f35 26 along the diagonal of the picture, which is fx = fy = 3004')


def test_pixels_that_are_not_square():
    """640x480 shown as 16:9 has pixels of 4:3: fx by the width, fy a third longer."""
    picture = PhotoHeader((640, 480), pixel_aspect=4.0 / 3.0)
    said = []
    found = Intrinsics(hfov=90.0).fitted(picture, said.append)
    np.testing.assert_allclose((found.k[0], found.k[4]), (320.0, 320.0 * 4.0 / 3.0))
    assert 'fx = 320.0, fy = 426.7 px' in said[0]
    found = Intrinsics(f35=36.0).fitted(picture, said.append)
    focal = 36.0 * np.hypot(640 * 4 / 3, 480) / 43.2666
    np.testing.assert_allclose((found.k[0], found.k[4]), (focal * 0.75, focal), rtol=1e-5)


@pytest.mark.parametrize('f35', [1.0, 65535.0])
def test_35mm_that_no_lens_has(f35):
    """What a GoPro Session writes is told, and is none."""
    with pytest.raises(CameraError, match=f'35 mm equivalent .* of {f35:g} mm, expected 5 to 5000'):
        Intrinsics().fitted(PhotoHeader((640, 480), 1, f35), lambda _: None)
    assert Intrinsics(hfov=90.0).fitted(PhotoHeader((640, 480), 1, f35), lambda _: None).k[
        0
    ] == pytest.approx(320)


def photo(path, orientation=1, scale=1, **entries):
    """A photo of 40x30 with these entries in its EXIF, by their tag in hexadecimal."""
    data = exif(orientation)
    if entries:  # not by get_ifd, which older Pillows forget
        data[0x8769] = {int(tag[1:], 16): value for tag, value in entries.items()}
    Image.fromarray(RGB[::scale, ::scale]).save(path, exif=data)
    return read_header(path)


FOCAL_PLANE = {'x920A': 4.0, 'xA20E': 8.0, 'xA20F': 10.0, 'xA210': 4}  # 5 mm x 3 mm


@pytest.mark.parametrize(
    ('changes', 'focal'),
    [
        ({}, (32.0, 40.0)),
        ({'xA002': 40, 'xA003': 30}, (32.0, 40.0)),
        ({'xA002': 400, 'xA003': 300, 'xA20E': 80.0, 'xA20F': 100.0}, (32.0, 40.0)),  # made smaller
        ({'xA210': 3, 'xA20E': 80.0, 'xA20F': 100.0}, (32.0, 40.0)),  # a centimetre
        ({'xA210': 2, 'xA20E': 203.2, 'xA20F': 254.0}, (32.0, 40.0)),  # an inch
        ({'orientation': 6}, (40.0, 32.0)),
        ({'scale': 2, 'xA002': 40, 'xA003': 30}, (16.0, 20.0)),
        ({'xA20E': 0.0}, (0.0, 0.0)),
        ({'xA20F': 1.0}, (0.0, 0.0)),  # a pixel eight times as long as wide
        ({'x920A': 0.0}, (0.0, 0.0)),
        ({'xA20E': 5000.0, 'xA20F': 5000.0}, (0.0, 0.0)),  # a sensor of 8 micrometres
        ({'xA002': 30, 'xA003': 40}, (0.0, 0.0)),  # of a photo turned since
    ],
)
def test_resolution_of_the_focal_plane(tmp_path, changes, focal):
    """4 mm at 8 and 10 pixels a millimetre."""
    header = photo(tmp_path / 'a.jpg', **{**FOCAL_PLANE, **changes})
    np.testing.assert_allclose(header.focal_px, focal, rtol=1e-5)
    if focal[0]:
        said = []
        found = Intrinsics().fitted(header, said.append)
        np.testing.assert_allclose((found.k[0], found.k[4]), focal, rtol=1e-5)
        assert 'focal length 4 mm at the resolution of the focal plane' in said[0]


@pytest.mark.parametrize(
    ('zoom', 'told'), [((2, 1), True), ((1, 1), False), ((0, 1), False), ((0, 0), False)]
)
@pytest.mark.parametrize('entries', [{'xA405': 26}, FOCAL_PLANE])
def test_digital_zoom_is_said(tmp_path, zoom, told, entries):
    """Whether it is in the focal length differs between cameras."""
    zoom = IFDRational(*zoom)
    header = photo(tmp_path / 'a.jpg', **{**entries, 'xA404': zoom})
    said = []
    Intrinsics().fitted(header, said.append)
    assert (', perhaps without its digital zoom of 2, which is fx' in said[0]) == told
    assert ('zoom' in said[0]) == told


@pytest.mark.parametrize(
    ('size', 'more'),
    [
        ((4032, 3024), ''),
        ((3024, 4032), ''),
        ((6000, 4000), ''),
        ((4000, 2250), '9 %'),  # 4000x3000 without a quarter of its height
        ((2250, 4000), '9 %'),
        ((3000, 3000), '18 %'),  # 4000x3000 without a quarter of its width
    ],
)
def test_a_shape_that_no_sensor_has(size, more):
    """Phones cut 16:9 and squares out of 4:3, and keep the focal length of the whole in EXIF."""
    said = []
    Intrinsics().fitted(PhotoHeader(size, focal_35mm=26.0), said.append)
    expected = f'26 mm ({more} more, if it is cut out of 4:3)' if more else '26 mm, which'
    assert expected in said[0]


def test_what_exif_lacks_is_said(tmp_path):
    """A focal length in mm alone is not enough."""
    header = photo(tmp_path / 'a.jpg', x920A=4.25)
    lacking = (
        '4.25 mm, but neither its 35 mm equivalent nor the resolution of the focal plane: give'
    )
    with pytest.raises(CameraError, match=lacking):
        Intrinsics().fitted(header, lambda _: None)


@pytest.mark.parametrize('mark', ['Apple', 'GPano'])
@pytest.mark.parametrize('given', [{}, {'hfov': 60.0}])
def test_a_panorama_is_no_picture_of_one_lens(tmp_path, mark, given):
    """Its EXIF has the focal length of a lens, which is not its own."""
    header = photo(tmp_path / 'a.jpg', xA405=26, **({'xA401': 6} if mark == 'Apple' else {}))
    if mark == 'GPano':
        xmp = b'http://ns.adobe.com/xap/1.0/\0<x GPano:ProjectionType="equirectangular"/>'
        data = (tmp_path / 'a.jpg').read_bytes()
        part = b'\xff\xe1' + struct.pack('>H', len(xmp) + 2) + xmp
        (tmp_path / 'a.jpg').write_bytes(data[:2] + part + data[2:])
        header = read_header(tmp_path / 'a.jpg')
    assert read_photo(tmp_path / 'a.jpg')[1] == header
    with pytest.raises(CameraError, match='it is a panorama'):
        Intrinsics(**given).fitted(header, lambda _: None)
    assert Intrinsics(hfov=60.0, forced=True).fitted(header, lambda _: None).width == WIDTH


@pytest.mark.parametrize(
    'value', [(0, 0), (24, 0), float('nan'), float('inf'), -24.0, 'wide', b'\\0', (24, 1, 35, 1)]
)
def test_odd_numbers_in_exif(tmp_path, monkeypatch, value):
    """0/0 and other values that are no number are as none, and the photo is read."""
    path = tmp_path / 'a.jpg'
    photo(path)
    if isinstance(value, tuple) and len(value) == 2:
        value = IFDRational(*value)
    entries = {0xA405: value, 0x920A: value, 0xA20E: value, 0xA20F: value, 0xA210: value}
    monkeypatch.setattr(Image.Exif, 'get_ifd', lambda self, tag: entries)
    monkeypatch.setattr(Image.Exif, 'get', lambda self, tag, default=None: value)
    rgb, header = read_photo(path)
    assert rgb.shape == RGB.shape
    assert (header.size, header.focal_35mm, header.focal_px) == ((WIDTH, HEIGHT), 0.0, (0.0, 0.0))


def test_none_is_refused():
    """Without any intrinsics, with the ways to give them."""
    with pytest.raises(CameraError, match=r'--camera-info.*--fx.*--hfov.*EXIF'):
        Intrinsics().fitted(PhotoHeader((640, 480)), lambda _: None)


@pytest.mark.parametrize(
    ('size', 'scale'), [((40, 30), 0), ((80, 60), 2), ((20, 15), 0.5), ((321, 241), 8.025)]
)
def test_scaled_and_said(size, scale):
    """Numbers for another size of the same shape are scaled, and that is said."""
    said = []
    given = Intrinsics(calibration=CALIBRATION, origin='--camera-info x.yaml')
    calibration = given.fitted(PhotoHeader(size), said.append)
    assert (calibration.width, calibration.height) == size
    assert bool(said) == bool(scale)
    if scale:
        assert '--camera-info x.yaml is for 40x30 and scaled' in said[0]
        np.testing.assert_allclose(calibration.k[0], 35.0 * scale)
        assert calibration.d == PLUMB_BOB


@pytest.mark.parametrize('size', [(40, 31), (41, 30), (30, 40), (640, 360), (400, 304)])
def test_another_shape_is_refused(size):
    """Numbers for another aspect ratio are never stretched."""
    given = Intrinsics(calibration=CALIBRATION, origin='--camera-info x.yaml')
    with pytest.raises(CameraError, match='40x30, another aspect ratio'):
        given.fitted(PhotoHeader(size), lambda _: None)


def test_calibration_of_the_stored_photo():
    """A sensor's calibration fits a phone's photo that is shown upright."""
    said = []
    given = Intrinsics(calibration=CALIBRATION, origin='--camera-info x.yaml')
    calibration = given.fitted(PhotoHeader((HEIGHT, WIDTH), 6), said.append)
    assert calibration == upright_calibration(CALIBRATION, 6)
    assert 'turned upright' in said[0]


@pytest.mark.parametrize(('orientation', 'turned'), [(0, False), (1, False), (3, True)])
def test_calibration_of_a_photo_upside_down(orientation, turned):
    """A phone held the other way round: a sensor's calibration is turned, though both sizes fit."""
    picture = PhotoHeader((WIDTH, HEIGHT), orientation)
    given = Intrinsics(calibration=CALIBRATION, origin='--camera-info x.yaml')
    expected = upright_calibration(CALIBRATION, 3) if turned else CALIBRATION
    assert given.fitted(picture, lambda _: None) == expected
    # numbers without a size are for what is shown
    shown = Intrinsics(calibration=dataclasses.replace(CALIBRATION, width=0, height=0))
    assert shown.with_size((WIDTH, HEIGHT), 'why').fitted(picture, lambda _: None) == CALIBRATION


@pytest.mark.parametrize(
    ('mode', 'ending'),
    [
        *((mode, 'png') for mode in ('RGB', 'RGBA', 'L', 'LA', 'P', '1')),
        *((mode, 'jpg') for mode in ('RGB', 'L', 'CMYK')),
        *((mode, 'tiff') for mode in ('L', 'RGBA')),
        *(('RGB', ending) for ending in ('bmp', 'ppm', 'webp')),
    ],
)
def test_colour_models(tmp_path, mode, ending):
    """Every colour model becomes the RGB that Pillow makes of it."""
    path = tmp_path / f'photo.{ending}'
    Image.fromarray(SMOOTH).convert(mode).save(path)
    with Image.open(path) as photo:
        expected = np.asarray(photo.convert('RGB')).astype(int)
    rgb, _ = read_photo(path)
    assert rgb.shape == expected.shape
    # JPEG decoders and CMYK formulas differ a little
    assert np.abs(rgb - expected).max() <= (0 if ending not in ('jpg', 'webp') else 6)


def test_16_bits(tmp_path):
    """All 16 bits count: value * 255 / 65535."""
    for channels in (1, 3):
        ramp = np.linspace(0, 65535, 256 * channels).astype(np.uint16).reshape(16, 16, channels)
        path = tmp_path / 'deep.png'
        cv2.imwrite(str(path), ramp)
        rgb, _ = read_photo(path)
        expected = np.broadcast_to(np.rint(ramp[..., ::-1] * (255.0 / 65535.0)), (16, 16, 3))
        np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize(('ending', 'named'), [('bmp', 'jpg'), ('png', 'jpg'), ('tiff', 'png')])
def test_misnamed(tmp_path, ending, named):
    """A photo is read as what it is, whatever its name ends with."""
    path = tmp_path / f'photo.{ending}'
    Image.fromarray(RGB).save(path)
    rgb, _ = read_photo(path.rename(path.with_suffix(f'.{named}')))
    np.testing.assert_array_equal(rgb, RGB)


def test_200_megapixels(tmp_path):
    """The orientation and focal length of a phone's largest photos, of which this is the header."""
    path = tmp_path / 'a.jpg'
    Image.fromarray(RGB).save(path, exif=exif(6, 24))
    sizes = (struct.pack('>HH', *size) for size in ((HEIGHT, WIDTH), (12240, 16320)))
    path.write_bytes(path.read_bytes().replace(*sizes))
    assert read_header(path) == PhotoHeader((12240, 16320), 6, 24.0)


@pytest.mark.parametrize('named', ['heic', 'jpg'])
def test_heic(tmp_path, named):
    """A phone's HEIC, turned by its own header, comes upright and with its focal length."""
    pytest.importorskip('pillow_heif').register_heif_opener()
    smooth = cv2.resize(SMOOTH, (320, 240))
    stored = np.ascontiguousarray(np.rot90(smooth))  # to the left: orientation 6 turns it back
    Image.fromarray(stored).save(tmp_path / 'a.heic', exif=exif(6, 26).tobytes(), quality=95)
    rgb, header = read_photo((tmp_path / 'a.heic').rename(tmp_path / f'photo.{named}'))
    assert header == PhotoHeader((320, 240), 1, 26.0)
    assert np.abs(rgb.astype(int) - smooth).mean() < 4


def test_damaged_heic(tmp_path):
    """A HEIC that is cut off."""
    pytest.importorskip('pillow_heif').register_heif_opener()
    Image.fromarray(RGB).save(tmp_path / 'a.heic')
    data = (tmp_path / 'a.heic').read_bytes()
    (tmp_path / 'a.heic').write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match='damaged or cut off'):
        read_photo(tmp_path / 'a.heic')


def test_heic_without_its_library(tmp_path, monkeypatch):
    """What a HEIC needs is told."""
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    (tmp_path / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic' + bytes(12))
    assert read_header(tmp_path / 'a.heic') is None
    with pytest.raises(ImageError, match='pip install pillow-heif'):
        read_photo(tmp_path / 'a.heic')


def damaged(data):
    """Ways to damage a file."""
    return {'empty': b'', 'half': data[: len(data) // 2], 'text': b'hello', 'head': data[:20]}


@pytest.mark.filterwarnings('error', 'ignore::ResourceWarning')  # of tests before it
@pytest.mark.parametrize('damage', ['empty', 'half', 'text', 'head'])
@pytest.mark.parametrize('ending', ['png', 'jpg', 'webp', 'bmp', 'tiff'])
def test_damaged(tmp_path, ending, damage):
    """A damaged photo is refused, in one line; its header is not trusted."""
    path = tmp_path / f'photo.{ending}'
    Image.fromarray(RGB).save(path)
    path.write_bytes(damaged(path.read_bytes())[damage])
    with pytest.raises(ImageError) as info:
        read_photo(path)
    assert '\n' not in str(info.value).strip()
    if damage != 'half':
        assert read_header(path) is None
