# SPDX-License-Identifier: Apache-2.0
"""Images to RGB: every encoding against cv2 or arithmetic by hand."""

import sys
import types

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pcd_ros.messages import decode
from depth_pcd_ros.messages.encodings import SUPPORTED, ImageError
from test.support.image_messages import by_hand, message, raw_message

RNG = np.random.default_rng(0)
WIDTH, HEIGHT = 12, 8
SWAPPED = '>u2' if sys.byteorder == 'little' else '<u2'


def random_pixels(channels: int, dtype: type) -> np.ndarray:
    """Return (H, W, C), or (H, W) for one channel."""
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


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
    ('16UC3', *CHANNELS['bgr'], np.uint16),
    ('16UC4', *CHANNELS['bgra'], np.uint16),
]


@pytest.mark.parametrize('big', [False, True], ids=['little', 'big'])
@pytest.mark.parametrize('padding', [0, 1, 4])
@pytest.mark.parametrize(('encoding', 'channels', 'order', 'dtype'), PLAIN)
def test_plain_encodings(encoding, channels, order, dtype, padding, big):
    """Channels in order, alpha dropped, grey three times, 16 bits scaled by hand."""
    pixels = random_pixels(channels, dtype)
    eight = pixels if dtype == np.uint8 else by_hand(pixels)
    expected = np.dstack([eight] * 3) if order is None else eight[..., order]
    rgb = decode.rgb_from_msg(message(pixels, encoding, padding=padding, big=big))
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
        np.testing.assert_array_equal(decode.rgb_from_image(msg), expected)


@pytest.mark.parametrize(('name', 'code'), BAYER.items())
def test_bayer_patterns_by_hand(name, code):
    """A mosaic of one colour, laid out as the name says, gives that colour."""
    values = {'r': 200, 'g': 120, 'b': 40}
    pattern = np.array([values[letter] for letter in name[-4:]], np.uint8).reshape(2, 2)
    rgb = decode.rgb_from_image(message(np.tile(pattern, (6, 6)), f'{name}8'))
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
    rgb = decode.rgb_from_image(message(pixels, encoding, padding=padding))
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
    rgb = decode.rgb_from_image(planes_message(encoding, luma, chroma, padding))
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
    rgb = decode.rgb_from_image(planes_message('nv24', luma, chroma, padding))
    assert np.abs(rgb - bt601(luma, pairs[..., 0], pairs[..., 1])).max() <= 2.0
    if width % 2 == 0:
        shared = pairs[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
        nv24 = planes_message('nv24', luma, shared.reshape(height, -1), padding)
        nv12 = planes_message('nv12', luma, pairs[::2, ::2].reshape(height // 2, -1), padding)
        np.testing.assert_array_equal(decode.rgb_from_image(nv24), decode.rgb_from_image(nv12))


@pytest.mark.parametrize(('encoding', 'numerator'), [('nv12', 3), ('nv21', 3), ('nv24', 6)])
def test_step_of_all_planes(encoding, numerator):
    """Some drivers call all the bytes over the height a step, as the message definition has it."""
    data = RNG.integers(0, 256, WIDTH * HEIGHT * numerator // 2, np.uint8).tobytes()
    usual = raw_message(data, encoding, WIDTH, HEIGHT, WIDTH)
    other = raw_message(data, encoding, WIDTH, HEIGHT, WIDTH * numerator // 2)
    np.testing.assert_array_equal(decode.rgb_from_image(other), decode.rgb_from_image(usual))


def test_rgb8_is_not_copied():
    """Neither padded nor packed; and OpenCV takes the result as it is."""
    for padding in (0, 5):
        pixels = random_pixels(3, np.uint8)
        msg = message(pixels, 'rgb8', padding=padding)
        rgb = decode.rgb_from_image(msg)
        assert np.shares_memory(rgb, np.frombuffer(msg.data, np.uint8))
        np.testing.assert_array_equal(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), pixels[..., ::-1])


def test_sixteen_bits_are_rounded_as_by_hand():
    """For all 65536 values."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rgb = decode.rgb_from_image(message(values, 'mono16'))
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
    np.testing.assert_array_equal(decode.rgb_from_image(msg), pixels[..., ::-1])


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
        decode.rgb_from_msg(msg)
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
    rgb = decode.rgb_from_image(raw_message(bytes(9), 'exotic', 3, 3, 3))
    np.testing.assert_array_equal(rgb, np.full((3, 3, 3), 7))
    with pytest.raises(ImageError, match=r'cv_bridge: Unrecognized .*\[odd\]') as info:
        decode.rgb_from_image(raw_message(bytes(9), 'odd', 3, 3, 3))
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
        np.testing.assert_array_equal(decode.rgb_from_image(msg), expected, encoding)
        compared += 1
    assert compared >= 20


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
        rgb = decode.rgb_from_msg(msg)
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
            decode.rgb_from_msg(msg)
    else:
        assert decode.rgb_from_msg(msg).shape == (height, width, 3)
