# SPDX-License-Identifier: Apache-2.0
"""Compressed images to RGB: colours, damage, and anything at all."""

import array
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pcd_ros.messages import decode
from depth_pcd_ros.messages.encodings import ImageError
from depth_pcd_ros.recordings.store import TYPES
from test.support.image_messages import by_hand, message

RNG = np.random.default_rng(0)


def smooth(channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """Return a smooth picture, (48, 64, C), that JPEG keeps."""
    v, u = np.mgrid[0:48, 0:64]
    planes = [4 * u, 5 * v, 2 * u + 2 * v][:channels]
    picture = np.dstack(planes).astype(dtype)
    return picture if dtype == np.uint8 else picture * 257


def compressed(picture: np.ndarray, extension: str, picture_format: str) -> Any:
    """Return a CompressedImage of a picture that is BGR, as cv2 wants it."""
    return compressed_bytes(cv2.imencode(extension, picture)[1].tobytes(), picture_format)


def compressed_bytes(data: bytes, picture_format: str) -> Any:
    """Return a CompressedImage with these bytes."""
    kind = TYPES['sensor_msgs/msg/CompressedImage']
    return kind(None, picture_format, array.array('B', data))


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
        ('.tiff', 'rgb8; tiff compressed bgr8', 0),
        ('.webp', 'webp', 40),
    ],
)
def test_compressed_colours(extension, picture_format, tolerance):
    """Whatever the format string, the colours are those of the picture, within the codec's loss."""
    rgb = smooth()
    msg = compressed(rgb[..., ::-1], extension, picture_format)
    decoded = decode.rgb_from_msg(msg)
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
    np.testing.assert_array_equal(decode.rgb_from_msg(msg), rgb)


@pytest.mark.parametrize('picture_format', ['mono8; jpeg compressed mono8', 'jpeg'])
def test_compressed_grey(picture_format):
    """Grey is grey three times."""
    grey = smooth(1)[..., 0]
    decoded = decode.rgb_from_msg(compressed(grey, '.jpg', picture_format))
    assert (decoded == decoded[..., :1]).all()
    assert np.abs(decoded[..., 0].astype(int) - grey).max() <= 4


def test_compressed_sixteen_bits():
    """Scaled as a raw image is."""
    rgb = RNG.integers(0, 65536, (48, 64, 3), np.uint16)
    msg = compressed(rgb[..., ::-1], '.png', 'rgb16; png compressed bgr16')
    np.testing.assert_array_equal(decode.rgb_from_msg(msg), by_hand(rgb))
    grey = compressed(rgb[..., 0], '.png', 'mono16; png compressed ')
    np.testing.assert_array_equal(decode.rgb_from_msg(grey)[..., 2], by_hand(rgb[..., 0]))


def test_compressed_alpha_is_dropped():
    """A transparent PNG keeps its colours."""
    bgra = np.dstack([smooth(), np.full((48, 64), 3, np.uint8)])
    decoded = decode.rgb_from_msg(compressed(bgra, '.png', 'png'))
    np.testing.assert_array_equal(decoded, bgra[..., 2::-1])


@pytest.mark.parametrize('bits', [8, 16])
def test_compressed_mosaic(bits):
    """A Bayer mosaic in a PNG is interpolated as a raw one; one in grey is grey."""
    mosaic = RNG.integers(0, 2**bits, (48, 64), np.uint8 if bits == 8 else np.uint16)
    encoding = f'bayer_grbg{bits}'
    msg = compressed(mosaic, '.png', f'{encoding}; png compressed ')
    np.testing.assert_array_equal(
        decode.rgb_from_msg(msg), decode.rgb_from_msg(message(mosaic, encoding))
    )
    grey = compressed(mosaic, '.png', f'{encoding}; jpeg compressed mono8')
    np.testing.assert_array_equal(
        decode.rgb_from_msg(grey), decode.rgb_from_msg(message(mosaic, f'mono{bits}'))
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
    decoded = decode.rgb_from_msg(compressed_bytes(turned, 'jpeg'))
    np.testing.assert_array_equal(decoded, decode.rgb_from_msg(compressed_bytes(jpeg, 'jpeg')))


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.webp', 'progressive'])
@pytest.mark.parametrize('fraction', [0.02, 0.3, 0.7, 0.95, 1.0])
def test_truncated_pictures_are_refused(extension, fraction):
    """Wherever they are cut off; OpenCV would fill half of a JPEG with grey."""
    parameters = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1] if extension == 'progressive' else []
    noise = RNG.integers(0, 256, (48, 64, 3), np.uint8)
    suffix = '.jpg' if extension == 'progressive' else extension
    whole = cv2.imencode(suffix, noise, parameters)[1].tobytes()
    assert decode.rgb_from_msg(compressed_bytes(whole, suffix[1:])).shape == (48, 64, 3)
    if suffix == '.jpg':
        whole = with_exif_rotation(whole)
    cut = whole[: min(int(len(whole) * fraction), len(whole) - 2)]
    with pytest.raises(ImageError, match=f'{len(cut)} bytes: it is damaged or cut off') as info:
        decode.rgb_from_msg(compressed_bytes(cut, suffix[1:]))
    assert info.value.cause == 'corrupt_picture'


def test_jpeg_with_bytes_after_its_end():
    """USB cameras pad their pictures."""
    jpeg = cv2.imencode('.jpg', smooth())[1].tobytes()
    padded = decode.rgb_from_msg(compressed_bytes(jpeg + bytes(100), 'jpeg'))
    np.testing.assert_array_equal(padded, decode.rgb_from_msg(compressed_bytes(jpeg, 'jpeg')))


@pytest.mark.parametrize('fraction', [0.02, 0.5, 0.95])
@pytest.mark.parametrize('parameters', [[], [cv2.IMWRITE_TIFF_COMPRESSION, 1]])
def test_truncated_tiff_is_refused(fraction, parameters):
    """image_transport has had it since Iron."""
    noise = RNG.integers(0, 65536, (48, 64, 3), np.uint16)
    tiff = cv2.imencode('.tiff', noise, parameters)[1].tobytes()
    whole = decode.rgb_from_msg(compressed_bytes(tiff, 'rgb16; tiff compressed bgr16'))
    assert np.abs(whole[..., ::-1] - noise / 257.0).max() <= 0.5
    with pytest.raises(ImageError, match='cannot decode'):
        decode.rgb_from_msg(compressed_bytes(tiff[: int(len(tiff) * fraction)], 'tiff'))


def test_a_tiff_that_is_no_picture():
    """Floats are not taken for colours."""
    tiff = cv2.imencode('.tiff', np.ones((4, 6), np.float32))[1].tobytes()
    with pytest.raises(ImageError, match='8 or 16 bits'):
        decode.rgb_from_msg(compressed_bytes(tiff, 'tiff'))


@pytest.mark.parametrize('position', [0.01, 0.2, 0.5, 0.9])
def test_damaged_png_is_refused(position):
    """One wrong byte anywhere."""
    noise = RNG.integers(0, 256, (48, 64, 3), np.uint8)
    png = bytearray(cv2.imencode('.png', noise)[1].tobytes())
    png[int(len(png) * position)] ^= 0x10
    with pytest.raises(ImageError) as info:
        decode.rgb_from_msg(compressed_bytes(bytes(png), 'png'))
    assert info.value.cause == 'corrupt_picture'


@pytest.mark.parametrize(
    ('msg', 'cause', 'text'),
    [
        (compressed_bytes(b'', 'jpeg'), 'empty_image', "format 'jpeg' is empty"),
        (compressed_bytes(b'rubbish', 'jpeg'), 'corrupt_picture', "'jpeg' with 7 bytes"),
        (
            compressed_bytes(b'\0\0\0\x0cjP  \r\n\x87\n', 'jpeg2000'),
            'corrupt_picture',
            'bytes: it begins with .*jP  .*, as no jpeg, png, tiff, webp does',
        ),
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
        decode.rgb_from_msg(msg)
    assert info.value.cause == cause


def test_picture_with_whole_frame_but_no_content():
    """All markers are there and nothing between them: OpenCV's refusal is told."""
    jpeg = b'\xff\xd8\xff\xda\x00\x02\xff\xd9'
    with pytest.raises(ImageError, match='OpenCV cannot decode it') as info:
        decode.rgb_from_msg(compressed_bytes(jpeg, 'jpeg'))
    assert info.value.cause == 'corrupt_picture'


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
        rgb = decode.rgb_from_msg(msg)
    except ImageError:
        return
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert rgb.dtype == np.uint8
