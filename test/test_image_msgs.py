# SPDX-License-Identifier: Apache-2.0
"""Messages to arrays and back: every encoding against cv2 or arithmetic by hand."""

import array
import struct
import sys
import time
import types

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('sensor_msgs.msg')

from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from depth_pcd_ros.calibration import Calibration
from depth_pcd_ros.camera import Camera, CameraError
from depth_pcd_ros.encodings import SUPPORTED, ImageError
from depth_pcd_ros.ros import image_msgs

RNG = np.random.default_rng(0)
WIDTH, HEIGHT = 12, 8
SWAPPED = '>u2' if sys.byteorder == 'little' else '<u2'


def message(pixels: np.ndarray, encoding: str, *, padding: int = 0, big: bool = False) -> Image:
    """Return an Image of (H, W[, C]) with some bytes of rubbish after each row."""
    if pixels.dtype == np.uint16:
        pixels = pixels.astype('>u2' if big else '<u2')
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.hstack([rows, RNG.integers(0, 256, (height, padding), np.uint8)])
    return raw_message(rows.tobytes(), encoding, width, height, rows.shape[1], big)


def raw_message(
    data: bytes, encoding: str, width: int, height: int, step: int, big: bool = False
) -> Image:
    """Return an Image with these bytes."""
    return Image(
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=big,
        data=array.array('B', data),
    )


def random_pixels(channels: int, dtype: type) -> np.ndarray:
    """Return (H, W, C), or (H, W) for one channel."""
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def by_hand(value: np.ndarray) -> np.ndarray:
    """Scale 16 to 8 bits: value * 255 / 65535 rounded, in integers."""
    return ((value.astype(np.int64) + 128) // 257).astype(np.uint8)


CHANNELS = {
    'rgb': (3, [0, 1, 2]),
    'bgr': (3, [2, 1, 0]),
    'rgba': (4, [0, 1, 2]),
    'bgra': (4, [2, 1, 0]),
    'mono': (1, None),
}
PLAIN = [
    *[(f'{name}8', *layout, np.uint8) for name, layout in CHANNELS.items()],
    *[(f'{name}16', *layout, np.uint16) for name, layout in CHANNELS.items()],
    ('8UC1', *CHANNELS['mono'], np.uint8),
    ('8UC3', *CHANNELS['bgr'], np.uint8),
    ('8UC4', *CHANNELS['bgra'], np.uint8),
    ('16UC1', *CHANNELS['mono'], np.uint16),
]


@pytest.mark.parametrize('big', [False, True], ids=['little', 'big'])
@pytest.mark.parametrize('padding', [0, 1, 4])
@pytest.mark.parametrize(('encoding', 'channels', 'order', 'dtype'), PLAIN)
def test_plain_encodings(encoding, channels, order, dtype, padding, big):
    """Channels in order, alpha dropped, grey three times, 16 bits scaled by hand."""
    pixels = random_pixels(channels, dtype)
    eight = pixels if dtype == np.uint8 else by_hand(pixels)
    expected = np.dstack([eight] * 3) if order is None else eight[..., order]
    rgb = image_msgs.rgb_from_msg(message(pixels, encoding, padding=padding, big=big))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, expected)


BAYER = {
    'bayer_rggb': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg': cv2.COLOR_BayerGB2RGB,
}


@pytest.mark.parametrize('padding', [0, 1, 6])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize(('name', 'code'), BAYER.items())
def test_bayer_encodings(name, code, bits, padding):
    """As cv_bridge: its conversion codes, in the sensor's depth, then scaled."""
    pixels = random_pixels(1, np.uint8 if bits == 8 else np.uint16)
    reference = cv2.cvtColor(pixels, code)
    expected = reference if bits == 8 else by_hand(reference)
    for big in (False, True):
        msg = message(pixels, f'{name}{bits}', padding=padding, big=big)
        np.testing.assert_array_equal(image_msgs.rgb_from_image(msg), expected)


@pytest.mark.parametrize(('name', 'code'), BAYER.items())
def test_bayer_patterns_by_hand(name, code):
    """A mosaic of one colour, laid out as the name says, gives that colour."""
    values = {'r': 200, 'g': 120, 'b': 40}
    pattern = np.array([values[letter] for letter in name[-4:]], np.uint8).reshape(2, 2)
    rgb = image_msgs.rgb_from_image(message(np.tile(pattern, (6, 6)), f'{name}8'))
    np.testing.assert_array_equal(rgb, np.full((12, 12, 3), (200, 120, 40)))


def bt601(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """RGB by BT.601 with limited range, in floats."""
    y, u, v = 1.164 * (y.astype(float) - 16.0), u.astype(float) - 128.0, v.astype(float) - 128.0
    rgb = np.stack([y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u], axis=-1)
    return np.clip(rgb, 0.0, 255.0)


@pytest.mark.parametrize('padding', [0, 2, 5])
@pytest.mark.parametrize(
    ('encoding', 'code', 'luma'),
    [
        ('yuv422', cv2.COLOR_YUV2RGB_UYVY, 1),
        ('uyvy', cv2.COLOR_YUV2RGB_UYVY, 1),
        ('yuv422_yuy2', cv2.COLOR_YUV2RGB_YUYV, 0),
        ('yuyv', cv2.COLOR_YUV2RGB_YUYV, 0),
    ],
)
def test_yuv422(encoding, code, luma, padding):
    """Equal to cv2, which is near BT.601."""
    pixels = RNG.integers(16, 236, (HEIGHT, WIDTH, 2), np.uint8)
    rgb = image_msgs.rgb_from_image(message(pixels, encoding, padding=padding))
    np.testing.assert_array_equal(rgb, cv2.cvtColor(pixels, code))
    chroma = np.repeat(pixels[..., 1 - luma].reshape(HEIGHT, -1, 2), 2, axis=1)
    expected = bt601(pixels[..., luma], chroma[..., 0], chroma[..., 1])
    assert np.abs(rgb - expected).max() <= 2.0


def planes_message(encoding, luma, chroma, padding, step=None):
    """Return an Image of a luma plane (H, W) and chroma (rows, bytes), padded alike."""
    step = step or luma.shape[1] + padding
    pad = luma.shape[1] + padding
    data = np.zeros((luma.shape[0], pad), np.uint8)
    data[:, : luma.shape[1]] = luma
    factor = 2 if encoding == 'nv24' else 1
    more = np.zeros((chroma.shape[0], factor * pad), np.uint8)
    more[:, : chroma.shape[1]] = chroma
    return raw_message(
        data.tobytes() + more.tobytes(), encoding, luma.shape[1], luma.shape[0], step
    )


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(
    ('encoding', 'code'), [('nv12', cv2.COLOR_YUV2RGB_NV12), ('nv21', cv2.COLOR_YUV2RGB_NV21)]
)
def test_yuv420(encoding, code, padding):
    """Equal to cv2, which is near BT.601."""
    planes = RNG.integers(16, 236, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    luma, chroma = planes[:HEIGHT], planes[HEIGHT:]
    rgb = image_msgs.rgb_from_image(planes_message(encoding, luma, chroma, padding))
    np.testing.assert_array_equal(rgb, cv2.cvtColor(planes, code))
    u_first = encoding == 'nv12'
    pairs = chroma.reshape(HEIGHT // 2, WIDTH // 2, 2).repeat(2, axis=0).repeat(2, axis=1)
    expected = bt601(luma, pairs[..., 0 if u_first else 1], pairs[..., 1 if u_first else 0])
    assert np.abs(rgb - expected).max() <= 2.0


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(('width', 'height'), [(WIDTH, HEIGHT), (7, 5)])
def test_nv24(width, height, padding):
    """Each pixel has its own chroma; near BT.601, and equal to nv12 where four share it."""
    luma = RNG.integers(16, 236, (height, width), np.uint8)
    pairs = RNG.integers(16, 236, (height, width, 2), np.uint8)
    chroma = pairs.reshape(height, -1)
    rgb = image_msgs.rgb_from_image(planes_message('nv24', luma, chroma, padding))
    assert np.abs(rgb - bt601(luma, pairs[..., 0], pairs[..., 1])).max() <= 2.0
    if width % 2 == 0:
        shared = pairs[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
        nv24 = planes_message('nv24', luma, shared.reshape(height, -1), padding)
        nv12 = planes_message('nv12', luma, pairs[::2, ::2].reshape(height // 2, -1), padding)
        np.testing.assert_array_equal(
            image_msgs.rgb_from_image(nv24), image_msgs.rgb_from_image(nv12)
        )


@pytest.mark.parametrize(('encoding', 'numerator'), [('nv12', 3), ('nv21', 3), ('nv24', 6)])
def test_step_of_all_planes(encoding, numerator):
    """Some drivers call all the bytes over the height a step, as the message definition has it."""
    data = RNG.integers(0, 256, WIDTH * HEIGHT * numerator // 2, np.uint8).tobytes()
    usual = raw_message(data, encoding, WIDTH, HEIGHT, WIDTH)
    other = raw_message(data, encoding, WIDTH, HEIGHT, WIDTH * numerator // 2)
    np.testing.assert_array_equal(
        image_msgs.rgb_from_image(other), image_msgs.rgb_from_image(usual)
    )


def test_rgb8_is_not_copied():
    """Neither padded nor packed; and OpenCV takes the result as it is."""
    for padding in (0, 5):
        pixels = random_pixels(3, np.uint8)
        msg = message(pixels, 'rgb8', padding=padding)
        rgb = image_msgs.rgb_from_image(msg)
        assert np.shares_memory(rgb, np.frombuffer(msg.data, np.uint8))
        np.testing.assert_array_equal(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), pixels[..., ::-1])


def test_sixteen_bits_are_rounded_as_by_hand():
    """For all 65536 values."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rgb = image_msgs.rgb_from_image(message(values, 'mono16'))
    np.testing.assert_array_equal(rgb[..., 1], by_hand(values))
    np.testing.assert_array_equal(rgb[0, [0, 128, 129], 0], [0, 0, 1])
    assert rgb[255, 255, 0] == 255


def test_longer_data_than_needed():
    """What follows the last row does not matter, and neither does the type of the buffer."""
    pixels = random_pixels(3, np.uint8)
    msg = types.SimpleNamespace(
        data=np.frombuffer(pixels.tobytes() + b'more', np.uint8),
        encoding='bgr8',
        width=WIDTH,
        height=HEIGHT,
        step=3 * WIDTH,
        is_bigendian=0,
    )
    np.testing.assert_array_equal(image_msgs.rgb_from_image(msg), pixels[..., ::-1])


@pytest.mark.parametrize(
    ('msg', 'cause', 'text'),
    [
        (raw_message(b'', 'rgb8', 0, 0, 0), 'empty_image', '0x0 with 0 bytes'),
        (raw_message(bytes(9), 'rgb8', 0, 3, 3), 'empty_image', '0x3'),
        (raw_message(bytes(9), 'rgb8', 3, 0, 3), 'empty_image', '3x0'),
        (raw_message(b'', 'rgb8', 3, 3, 9), 'empty_image', '3x3 with 0 bytes'),
        (raw_message(bytes(26), 'rgb8', 3, 3, 9), 'short_data', '26 bytes, expected 27'),
        (raw_message(bytes(24), 'rgb8', 3, 3, 8), 'bad_step', '8 bytes, expected at least 9'),
        (raw_message(bytes(24), 'mono16', 5, 2, 9), 'bad_step', 'expected at least 10'),
        (raw_message(bytes(24), 'rgb8', 3, 3, 0), 'bad_step', '0 bytes'),
        (raw_message(bytes(27), 'rgb9', 3, 3, 9), 'unknown_encoding', "'rgb9' is not one of rgb8"),
        (raw_message(bytes(36), '32FC1', 3, 3, 12), 'unknown_encoding', "'32FC1'"),
        (raw_message(bytes(18), 'yuv422', 3, 3, 6), 'odd_size', 'width is 3, yuv422'),
        (raw_message(bytes(64), 'nv12', 5, 4, 5), 'odd_size', 'width is 5, nv12'),
        (raw_message(bytes(64), 'nv21', 4, 5, 4), 'odd_size', 'height is 5, nv21'),
        (raw_message(bytes(23), 'nv12', 4, 4, 4), 'short_data', '23 bytes, expected 24'),
        (raw_message(bytes(47), 'nv24', 4, 4, 4), 'short_data', '47 bytes, expected 48'),
        (raw_message(bytes(64), 'nv12', 4, 4, 3), 'bad_step', '3 bytes, expected at least 4'),
    ],
)
def test_bad_images_are_refused(msg, cause, text):
    """Each with its own cause, and the numbers in the message."""
    with pytest.raises(ImageError, match=text) as info:
        image_msgs.rgb_from_msg(msg)
    assert info.value.cause == cause


@pytest.fixture
def fake_cv_bridge(monkeypatch):
    """A stand-in for cv_bridge, which has no wheel: it knows one more encoding."""

    class CvBridgeError(TypeError):
        pass

    class CvBridge:
        def imgmsg_to_cv2(self, msg, desired_encoding):
            assert desired_encoding == 'rgb8'
            if msg.encoding != 'exotic':
                raise CvBridgeError(f'Unrecognized image encoding [{msg.encoding}]')
            return np.full((msg.height, msg.width, 3), 7, np.uint8)

    module = types.SimpleNamespace(CvBridge=CvBridge, CvBridgeError=CvBridgeError)
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)


@pytest.mark.usefixtures('fake_cv_bridge')
def test_other_encodings_go_through_cv_bridge():
    """Where it is installed; what it does not know either is refused with its reason."""
    rgb = image_msgs.rgb_from_image(raw_message(bytes(9), 'exotic', 3, 3, 3))
    np.testing.assert_array_equal(rgb, np.full((3, 3, 3), 7))
    with pytest.raises(ImageError, match=r'cv_bridge: Unrecognized .*\[odd\]') as info:
        image_msgs.rgb_from_image(raw_message(bytes(9), 'odd', 3, 3, 3))
    assert info.value.cause == 'unknown_encoding'


def test_cv_bridge_agrees():
    """Where cv_bridge is installed and knows an encoding, our answer is its answer."""
    cv_bridge = pytest.importorskip('cv_bridge')
    data = RNG.integers(0, 256, HEIGHT * WIDTH * 8, np.uint8).tobytes()
    compared = 0
    for encoding in SUPPORTED:
        msg = raw_message(data, encoding, WIDTH, HEIGHT, WIDTH * 8)
        try:
            expected = cv_bridge.CvBridge().imgmsg_to_cv2(msg, 'rgb8')
        except cv_bridge.CvBridgeError:  # types without a meaning, and nv12
            continue
        np.testing.assert_array_equal(image_msgs.rgb_from_image(msg), expected, encoding)
        compared += 1
    assert compared >= 20


# Compressed


def smooth(channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """Return a smooth picture, (48, 64, C), that JPEG keeps."""
    v, u = np.mgrid[0:48, 0:64]
    planes = [4 * u, 5 * v, 2 * u + 2 * v][:channels]
    picture = np.dstack(planes).astype(dtype)
    return picture if dtype == np.uint8 else picture * 257


def compressed(picture: np.ndarray, extension: str, picture_format: str) -> CompressedImage:
    """Return a CompressedImage of a picture that is BGR, as cv2 wants it."""
    return compressed_bytes(cv2.imencode(extension, picture)[1].tobytes(), picture_format)


def compressed_bytes(data: bytes, picture_format: str) -> CompressedImage:
    """Return a CompressedImage with these bytes."""
    return CompressedImage(format=picture_format, data=array.array('B', data))


@pytest.mark.parametrize(
    ('extension', 'picture_format', 'tolerance'),
    [
        ('.jpg', 'jpeg', 8),
        ('.jpg', 'jpg', 8),
        ('.jpg', '', 8),
        ('.jpg', 'rgb8; jpeg compressed bgr8', 8),
        ('.jpg', 'bgr8; jpeg compressed bgr8', 8),
        ('.jpg', 'yuv422_yuy2; jpeg compressed bgr8', 8),
        ('.jpg', 'bayer_rggb8; jpeg compressed bgr8', 8),
        ('.png', 'png', 0),
        ('.png', 'rgb8; png compressed bgr8', 0),
        ('.png', 'bgra8; png compressed bgr8', 0),
        ('.png', 'jpeg', 0),
        ('.webp', 'webp', 40),
    ],
)
def test_compressed_colours(extension, picture_format, tolerance):
    """Whatever the format string, the colours are those of the picture, within the codec's loss."""
    rgb = smooth()
    msg = compressed(rgb[..., ::-1], extension, picture_format)
    decoded = image_msgs.rgb_from_msg(msg)
    assert decoded.shape == (48, 64, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - rgb).max() <= tolerance
    reference = cv2.imdecode(np.frombuffer(msg.data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded, reference[..., ::-1])


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8'])
def test_compressed_without_bgr(encoding):
    """'compressed rgb8' says that OpenCV was given RGB instead of BGR."""
    rgb = smooth()
    msg = compressed(rgb, '.png', f'{encoding}; png compressed rgb8')
    np.testing.assert_array_equal(image_msgs.rgb_from_compressed(msg), rgb)


@pytest.mark.parametrize('picture_format', ['mono8; jpeg compressed mono8', 'jpeg'])
def test_compressed_grey(picture_format):
    """Grey is grey three times."""
    grey = smooth(1)[..., 0]
    decoded = image_msgs.rgb_from_compressed(compressed(grey, '.jpg', picture_format))
    assert (decoded == decoded[..., :1]).all()
    assert np.abs(decoded[..., 0].astype(int) - grey).max() <= 4


def test_compressed_sixteen_bits():
    """Scaled as a raw image is."""
    rgb = RNG.integers(0, 65536, (48, 64, 3), np.uint16)
    msg = compressed(rgb[..., ::-1], '.png', 'rgb16; png compressed bgr16')
    np.testing.assert_array_equal(image_msgs.rgb_from_compressed(msg), by_hand(rgb))
    grey = compressed(rgb[..., 0], '.png', 'mono16; png compressed ')
    np.testing.assert_array_equal(
        image_msgs.rgb_from_compressed(grey)[..., 2], by_hand(rgb[..., 0])
    )


def test_compressed_alpha_is_dropped():
    """A transparent PNG keeps its colours."""
    bgra = np.dstack([smooth(), np.full((48, 64), 3, np.uint8)])
    decoded = image_msgs.rgb_from_compressed(compressed(bgra, '.png', 'png'))
    np.testing.assert_array_equal(decoded, bgra[..., 2::-1])


@pytest.mark.parametrize('bits', [8, 16])
def test_compressed_mosaic(bits):
    """A Bayer mosaic in a PNG is interpolated as a raw one; one in grey is grey."""
    mosaic = RNG.integers(0, 2**bits, (48, 64), np.uint8 if bits == 8 else np.uint16)
    encoding = f'bayer_grbg{bits}'
    msg = compressed(mosaic, '.png', f'{encoding}; png compressed ')
    np.testing.assert_array_equal(
        image_msgs.rgb_from_msg(msg), image_msgs.rgb_from_msg(message(mosaic, encoding))
    )
    grey = compressed(mosaic, '.png', f'{encoding}; jpeg compressed mono8')
    np.testing.assert_array_equal(
        image_msgs.rgb_from_msg(grey), image_msgs.rgb_from_msg(message(mosaic, f'mono{bits}'))
    )


def with_exif_rotation(jpeg: bytes) -> bytes:
    """Insert an EXIF header with orientation 6, a quarter turn, and an end marker in a comment."""
    tiff = (
        b'II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00'
        + bytes(4)
    )
    exif = b'Exif\x00\x00' + tiff
    comment = b'a thumbnail would end with \xff\xd9 here'
    return b''.join(
        [
            jpeg[:2],
            b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif,
            b'\xff\xfe' + struct.pack('>H', len(comment) + 2) + comment,
            jpeg[2:],
        ]
    )


def test_exif_orientation_is_ignored():
    """The calibration is that of the sensor, however the camera was held."""
    jpeg = cv2.imencode('.jpg', smooth())[1].tobytes()
    turned = with_exif_rotation(jpeg)
    buffer = np.frombuffer(turned, np.uint8)
    assert cv2.imdecode(buffer, cv2.IMREAD_COLOR).shape == (64, 48, 3)  # the header works
    decoded = image_msgs.rgb_from_compressed(compressed_bytes(turned, 'jpeg'))
    np.testing.assert_array_equal(
        decoded, image_msgs.rgb_from_compressed(compressed_bytes(jpeg, 'jpeg'))
    )


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.webp', 'progressive'])
@pytest.mark.parametrize('fraction', [0.02, 0.3, 0.7, 0.95, 1.0])
def test_truncated_pictures_are_refused(extension, fraction):
    """Wherever they are cut off; OpenCV would fill half of a JPEG with grey."""
    parameters = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1] if extension == 'progressive' else []
    noise = RNG.integers(0, 256, (48, 64, 3), np.uint8)
    suffix = '.jpg' if extension == 'progressive' else extension
    whole = cv2.imencode(suffix, noise, parameters)[1].tobytes()
    assert image_msgs.rgb_from_msg(compressed_bytes(whole, suffix[1:])).shape == (48, 64, 3)
    if suffix == '.jpg':
        whole = with_exif_rotation(whole)
    cut = whole[: min(int(len(whole) * fraction), len(whole) - 2)]
    with pytest.raises(ImageError, match=f'{len(cut)} bytes: it is damaged or cut off') as info:
        image_msgs.rgb_from_msg(compressed_bytes(cut, suffix[1:]))
    assert info.value.cause == 'corrupt_picture'


def test_jpeg_with_bytes_after_its_end():
    """USB cameras pad their pictures."""
    jpeg = cv2.imencode('.jpg', smooth())[1].tobytes()
    padded = image_msgs.rgb_from_msg(compressed_bytes(jpeg + bytes(100), 'jpeg'))
    np.testing.assert_array_equal(padded, image_msgs.rgb_from_msg(compressed_bytes(jpeg, 'jpeg')))


@pytest.mark.parametrize('position', [0.01, 0.2, 0.5, 0.9])
def test_damaged_png_is_refused(position):
    """One wrong byte anywhere."""
    noise = RNG.integers(0, 256, (48, 64, 3), np.uint8)
    png = bytearray(cv2.imencode('.png', noise)[1].tobytes())
    png[int(len(png) * position)] ^= 0x10
    with pytest.raises(ImageError) as info:
        image_msgs.rgb_from_msg(compressed_bytes(bytes(png), 'png'))
    assert info.value.cause == 'corrupt_picture'


@pytest.mark.parametrize(
    ('msg', 'cause', 'text'),
    [
        (compressed_bytes(b'', 'jpeg'), 'empty_image', "format 'jpeg' is empty"),
        (compressed_bytes(b'rubbish', 'jpeg'), 'corrupt_picture', "'jpeg' with 7 bytes"),
        (compressed_bytes(b'\xff\xd8\xff', 'jpeg'), 'corrupt_picture', 'cut off'),
        (compressed_bytes(b'rubbish', 'h264'), 'unknown_format', "'h264' is not one of jpeg"),
        (compressed_bytes(b'rubbish', ''), 'unknown_format', "'' is not one of"),
        (
            compressed_bytes(b'x' * 20, '16UC1; compressedDepth png'),
            'unknown_format',
            'is a depth image',
        ),
    ],
)
def test_bad_compressed_images_are_refused(msg, cause, text):
    """Each with its own cause."""
    with pytest.raises(ImageError, match=text) as info:
        image_msgs.rgb_from_msg(msg)
    assert info.value.cause == cause


def test_picture_with_whole_frame_but_no_content():
    """All markers are there and nothing between them: OpenCV's refusal is told."""
    jpeg = b'\xff\xd8\xff\xda\x00\x02\xff\xd9'
    with pytest.raises(ImageError, match='OpenCV cannot decode it') as info:
        image_msgs.rgb_from_msg(compressed_bytes(jpeg, 'jpeg'))
    assert info.value.cause == 'corrupt_picture'


# To messages

HEADER = Header(frame_id='camera')
HEADER.stamp.sec = 12


def test_depth_in_metres():
    """32FC1: the numbers as they are."""
    depth = np.array([[1.5, np.nan], [0.25, 70.0], [3.0, 4.0]], np.float32)
    assert image_msgs.depth_image_msg(depth, '32FC1', HEADER) == Image(
        header=HEADER,
        height=3,
        width=2,
        encoding='32FC1',
        is_bigendian=sys.byteorder == 'big',
        step=8,
        data=array.array('B', depth.tobytes()),
    )


def test_depth_in_millimetres():
    """16UC1: rounded; NaN, nothing, negative, and what 16 bits do not hold are 0."""
    depth = [[1.2344, 1.2346, np.nan], [65.535, 65.536, -1.0], [0.0, np.inf, 0.0006]]
    expected = np.array([[1234, 1235, 0], [65535, 0, 0], [0, 0, 1]], np.uint16)
    assert image_msgs.depth_image_msg(np.array(depth, np.float32), '16UC1', HEADER) == Image(
        header=HEADER,
        height=3,
        width=3,
        encoding='16UC1',
        is_bigendian=sys.byteorder == 'big',
        step=6,
        data=array.array('B', expected.tobytes()),
    )


def test_depth_in_another_encoding():
    """Is refused by name."""
    with pytest.raises(ValueError, match='64FC1'):
        image_msgs.depth_image_msg(np.ones((2, 2), np.float32), '64FC1', HEADER)


def test_strided_views_make_messages():
    """What stride leaves is packed."""
    depth = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3]
    msg = image_msgs.depth_image_msg(depth, '32FC1', HEADER)
    assert (msg.height, msg.width, msg.step) == (2, 2, 8)
    np.testing.assert_array_equal(np.frombuffer(msg.data, np.float32), [0, 3, 12, 15])


def test_colour_message_round_trip():
    """A bgr8 message is read back as RGB."""
    bgr = random_pixels(3, np.uint8)
    msg = image_msgs.bgr_image_msg(bgr, HEADER)
    assert (msg.encoding, msg.step, msg.header) == ('bgr8', 3 * WIDTH, HEADER)
    np.testing.assert_array_equal(image_msgs.rgb_from_msg(msg), bgr[..., ::-1])


def test_messages_are_made_fast():
    """Without a check of every byte, which takes a second for 8 MB."""
    depth = np.ones((1080, 1920), np.float32)
    start = time.perf_counter()
    image_msgs.depth_image_msg(depth, '32FC1', HEADER)
    assert time.perf_counter() - start < 0.2


def camera_info(**changes) -> CameraInfo:
    """Return a CameraInfo with something in every field."""
    fields = {
        'header': HEADER,
        'width': 640,
        'height': 480,
        'distortion_model': 'plumb_bob',
        'd': [-0.1, 0.02, 0.001, -0.0005, 0.0],
        'k': [500.0, 0.0, 320.5, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0],
        'r': [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        'p': [490.0, 0.0, 321.5, -4.0, 0.0, 491.0, 241.5, 0.0, 0.0, 0.0, 1.0, 0.0],
        'binning_x': 2,
        'binning_y': 4,
        'roi': RegionOfInterest(x_offset=8, y_offset=16, width=320, height=240, do_rectify=True),
    }
    return CameraInfo(**{**fields, **changes})


def test_calibration_from_camera_info():
    """Every field, in plain numbers that can be hashed."""
    calibration = image_msgs.calibration_from_msg(camera_info())
    assert calibration == Calibration(
        width=640,
        height=480,
        distortion_model='plumb_bob',
        d=(-0.1, 0.02, 0.001, -0.0005, 0.0),
        k=(500.0, 0.0, 320.5, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0),
        r=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        p=(490.0, 0.0, 321.5, -4.0, 0.0, 491.0, 241.5, 0.0, 0.0, 0.0, 1.0, 0.0),
        binning_x=2,
        binning_y=4,
        roi=(8, 16, 320, 240),
        do_rectify=True,
    )
    assert hash(calibration) == hash(image_msgs.calibration_from_msg(camera_info()))


def test_camera_info_round_trip():
    """The whole message, header included."""
    msg = camera_info()
    assert image_msgs.camera_info_msg(image_msgs.calibration_from_msg(msg), HEADER) == msg


# Anything at all: a result or the area's own error

sizes = st.one_of(st.integers(0, 20), st.sampled_from([2**16, 2**31, 2**32 - 1]))
encodings = st.one_of(st.sampled_from(SUPPORTED), st.text(max_size=8))


@settings(max_examples=400, deadline=None)
@given(
    data=st.binary(max_size=1500),
    encoding=encodings,
    width=sizes,
    height=sizes,
    step=st.one_of(st.integers(0, 130), sizes),
    big=st.booleans(),
)
def test_random_images(data, encoding, width, height, step, big):
    """An RGB picture of the size the message says, or an ImageError."""
    msg = raw_message(data, encoding, width, height, step, big)
    try:
        rgb = image_msgs.rgb_from_msg(msg)
    except ImageError:
        return
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8


@settings(max_examples=300, deadline=None)
@given(
    encoding=st.sampled_from(SUPPORTED),
    width=st.integers(1, 7),
    height=st.integers(1, 7),
    padding=st.integers(0, 5),
    big=st.booleans(),
)
def test_small_images(encoding, width, height, padding, big):
    """Every encoding at every small size gives a picture, or says that the size is odd."""
    step = 8 * width + padding
    msg = raw_message(bytes(range(256)) * 11, encoding, width, height, step, big)
    even_width = encoding.startswith(('yu', 'uyvy', 'nv12', 'nv21'))
    even_height = encoding in ('nv12', 'nv21')
    if (even_width and width % 2) or (even_height and height % 2):
        with pytest.raises(ImageError, match=f'{encoding} needs an even one'):
            image_msgs.rgb_from_msg(msg)
    else:
        assert image_msgs.rgb_from_msg(msg).shape == (height, width, 3)


pictures = [
    cv2.imencode(extension, RNG.integers(0, 256, (9, 11, 3), np.uint8))[1].tobytes()
    for extension in ('.jpg', '.png', '.webp')
]
formats = st.sampled_from(
    ['jpeg', 'png', 'webp', '', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed ', ';']
)


@settings(max_examples=400, deadline=None)
@given(
    picture=st.sampled_from([b'', *pictures]),
    cut=st.integers(0, 1000),
    changes=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=4),
    tail=st.binary(max_size=20),
    picture_format=st.one_of(formats, st.text(max_size=20)),
)
def test_random_compressed_images(picture, cut, changes, tail, picture_format):
    """An RGB picture, or an ImageError."""
    data = bytearray(picture[:cut])
    for position, value in changes:
        if position < len(data):
            data[position] = value
    msg = compressed_bytes(bytes(data) + tail, picture_format)
    try:
        rgb = image_msgs.rgb_from_msg(msg)
    except ImageError:
        return
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert rgb.dtype == np.uint8


numbers = st.one_of(st.floats(-2.0, 2.0), st.floats(), st.sampled_from([0.0, 1.0, 500.0]))
models = st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '', 'fov'])


@settings(max_examples=400, deadline=None)
@given(
    width=sizes,
    height=sizes,
    model=models,
    d=st.one_of(
        st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=14), st.lists(numbers, max_size=15)
    ),
    focal=st.one_of(st.floats(1.0, 1000.0), numbers),
    others=st.lists(numbers, min_size=4, max_size=4),
    binning=st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, 2**32 - 1])),
    roi=st.one_of(st.just((0, 0, 0, 0)), st.tuples(sizes, sizes, sizes, sizes)),
    rectified=st.booleans(),
)
def test_random_camera_infos(width, height, model, d, focal, others, binning, roi, rectified):
    """A camera that answers for its pixels, or a CameraError."""
    a, b, c, e = others
    x, y, roi_width, roi_height = roi
    msg = camera_info(
        width=width,
        height=height,
        distortion_model=model,
        d=d,
        k=[focal, 0.0, a, 0.0, focal, b, 0.0, 0.0, 1.0],
        p=[focal, 0.0, c, 0.0, 0.0, e, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=binning[0],
        binning_y=binning[1],
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=roi_width, height=roi_height),
    )
    try:
        camera = Camera.from_calibration(image_msgs.calibration_from_msg(msg), rectified=rectified)
    except CameraError:
        return
    assert 0 < camera.width <= width
    assert 0 < camera.height <= height
    if camera.width * camera.height < 1000:
        assert camera.rays.shape == (camera.height, camera.width, 2)
    corners = np.array([(u, v) for u in (0, camera.width - 1) for v in (0, camera.height - 1)])
    rays = camera.unproject(corners)
    assert rays.shape == (4, 2)
    back = camera.project(np.column_stack([rays, np.ones(4)]))
    if camera.distorts:  # an ideal camera of absurd numbers is limited by float64 alone
        seen = np.isfinite(back[:, 0])
        scale = (
            1.0
            + np.abs(corners[seen])
            + sum(map(abs, (camera.fx, camera.fy, camera.cx, camera.cy)))
        )
        assert (np.abs(back[seen] - corners[seen]) <= 1e-6 * scale).all()
