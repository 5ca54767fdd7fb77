# SPDX-License-Identifier: Apache-2.0
"""Read the calibration of a camera from a file, as the usual programs write them.

These are camera_calibration's YAML and INI (ost.txt), a CameraInfo as `ros2 topic echo` prints it,
Kalibr's camchain (and EuRoC's sensor.yaml), OpenCV's FileStorage as YAML, JSON or XML, and in that
the settings of ORB-SLAM and VINS. They differ in what they call the same numbers, so that a camera
is any mapping with a camera matrix, wherever it is in the file.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import yaml

from depth_pcd_ros.geometry.calibration import IDENTITY, Calibration, CameraError
from depth_pcd_ros.geometry.distortion import LENSES, canonical
from depth_pcd_ros.inputs.intrinsics import IntrinsicsError, Say

EXPECTED = (
    'expected a file as camera_calibration, Kalibr or OpenCV write it, or what ros2 topic echo '
    '--once prints of a camera_info topic'
)
# What the numbers are called, without case and punctuation.
_MATRIX = (
    'cameramatrix', 'k', 'intrinsics', 'intrinsicmatrix', 'm', 'mtx', 'projectionparameters',
)  # fmt: skip
_COEFFICIENTS = re.compile('d|(?:dist|distortion)(?:coeff|coeffs|coefficients|params|parameters)?')
_RECTIFICATION = ('rectificationmatrix', 'rectification')
_PROJECTION = ('projectionmatrix', 'projection')
_LAST_ROW = (0.0, 0.0, 0.0, 1.0)  # of a projection that is 4x4, as kinect2_bridge has it
_NAMED = ('fx', 'fy', 'cx', 'cy')  # a matrix by the names of its numbers
_COEFFICIENTS_NAMED = ('k1', 'k2', 'p1', 'p2', 'k3', 'k4', 'k5', 'k6')  # in OpenCV's order
_LENS = ('distortionmodel', 'cameramodel', 'modeltype')
# A word that tells, wherever it is, that a lens without a distortion_model need not be plumb_bob.
_WIDE = re.compile('fish_?eye(?!_?model)|equidistant|kannala', re.I)
_WIDTH, _HEIGHT = ('imagewidth', 'width'), ('imageheight', 'height')
_SIZE = ('resolution', 'imagesize')
# The first line of a calibration whose file begins with something else, a warning for example.
_BEGIN = re.compile(r'^(header|height|width|image_width|image_height|camera_name)\s*:', re.M)

# Errors of reading a file of another shape.
_MALFORMED = (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)


def read_camera_info(path: Path, camera_name: str = '', say: Say = lambda _: None) -> Calibration:
    """Read the calibration of the pictures of a camera: ROI and binning are applied.

    Args:
        path: the file.
        camera_name: which camera, where the file has several.
        say: gets what the file leaves open and how it is understood.

    Returns:
        The calibration; width and height are zero where the file has none. Its lens is not looked
        at: the distortion may be ignored.

    Raises:
        IntrinsicsError: no such file, not a calibration, or not the only one.
    """
    try:
        text = calibration_text(path)
        wide = _WIDE.search(text)
        calibration = _calibration(
            _chosen(_read(text), camera_name),
            lambda text: say(f'{path} {text}'),
            wide[0] if wide else '',
        )
        if calibration.width or calibration.height:
            calibration.check()
            calibration = calibration.of_image()
    except (CameraError, OSError, yaml.YAMLError, *_MALFORMED) as err:
        reason = ' '.join(str(err).split())
        raise IntrinsicsError(f'{path} is not a camera calibration: {reason}') from err
    return calibration


def calibration_text(path: Path) -> str:
    """Return the text of a file; what is no text is replaced, for the numbers are ASCII.

    Raises:
        OSError: it cannot be read.
    """
    with path.open('rb') as file:  # PowerShell's > writes UTF-16
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return path.read_text('utf-16' if is_utf16 else 'utf-8-sig', 'replace')


class _Loader(yaml.SafeLoader):
    """Takes values with tags of other programs (!!opencv-matrix) for what they look like."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


_Loader.add_multi_constructor('', _untagged)


def _read(text: str) -> dict[str, Mapping[str, Any]]:
    """Return the cameras of all documents by name, up to a document that repeats one."""
    for read in (_json, _xml, _ini):
        if others := _cameras(read(text)):
            return others
    text = re.sub(r'^%.*$', '', text, flags=re.M)  # OpenCV's %YAML:1.0 is no YAML
    found: dict[str, Mapping[str, Any]] = {}
    error: yaml.YAMLError | None = None
    for document in re.split(r'^---.*$', text, flags=re.M):
        begin = _BEGIN.search(document)
        cameras: dict[str, Mapping[str, Any]] = {}
        for part in (document, document[begin.start() :] if begin else ''):
            try:
                cameras = _cameras(yaml.load(part, _Loader))
                break
            except yaml.YAMLError as err:
                error = error or err
        if not cameras.keys().isdisjoint(found):
            break  # the next message of the same topic
        found.update(cameras)
    if not found:
        raise ValueError(f'{error or "it has no camera matrix"}; {EXPECTED}')
    return found


def _json(text: str) -> Any:
    """Return what JSON has, which YAML does not take with tabs; None of what is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _xml(text: str) -> Any:
    """Return what OpenCV's XML has as its YAML would have it; None of what is no XML."""
    if not text.lstrip().startswith('<'):
        return None

    def content(element: ElementTree.Element) -> Any:
        if len(element):
            return {child.tag: content(child) for child in element}
        words = (element.text or '').replace('"', ' ').split()
        return words if len(words) > 1 else words[0] if words else None

    try:
        return content(ElementTree.fromstring(text.strip()))
    except ElementTree.ParseError as err:
        raise ValueError(f'{err}; {EXPECTED}') from err


def _ini(text: str) -> dict[str, dict[str, Any]]:
    """Return the cameras of camera_calibration's INI: names, each with numbers in lines below."""
    cameras = {}
    for part in re.split(r'^\[image\]', text, flags=re.M)[1:]:
        section = re.search(r'^\[(.+)\]', part, re.M)
        blocks = re.findall(r'^([a-z][a-z ]*)\n((?:[-+.\de \t]+\n)+)', f'{part}\n', re.M)
        numbers = {name: block.split() for name, block in blocks}
        cameras[section[1] if section else ''] = {
            name: found if len(found) > 1 else found[0] for name, found in numbers.items() if found
        }
    return cameras


def _cameras(content: Any) -> dict[str, Mapping[str, Any]]:
    """Return the cameras in a document by the names that they, or their places, have."""
    found = list(_placed_cameras(content, ()))
    short = [str(c.get('camera_name') or c.get('name') or (*p[-1:], '')[0]) for p, c in found]
    if len(set(short)) < len(short):
        short = ['/'.join(place) for place, _ in found]
    return {name: camera for name, (_, camera) in zip(short, found, strict=True)}


def _placed_cameras(
    content: Any, place: tuple[str, ...], lens: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the cameras in a document, each with the keys that lead to it.

    What lens it is, `lens`, may be said around a camera.
    """
    if isinstance(content, dict):
        if _is_matrix(content.get(_key(content, _MATRIX))):
            yield place, {**lens, **content}
            return
        lens = {**lens, **{key: value for key, value in content.items() if _plain(key) in _LENS}}
        content = {**content, **_numbered(content), **_dotted(content)}
        for key, value in content.items():
            yield from _placed_cameras(value, (*place, str(key)), lens)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _placed_cameras(value, (*place, str(index)), lens)


def _dotted(content: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return the cameras of ORB-SLAM: Camera.fx, or Camera1.fx beside Camera.width of both."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in content.items():
        if match := re.fullmatch(r'(Camera\d?)\.(\w+)', str(key)):
            name = 'camera_model' if match[2] == 'type' else match[2]
            found.setdefault(match[1], {})[name] = value
    common = found.get('Camera', {})
    cameras = {name: {**common, **own} for name, own in found.items()}
    return {
        name: {
            **one,
            'intrinsics': {number: one[number] for number in _NAMED},
            'd': {number: one[number] for number in _COEFFICIENTS_NAMED if number in one},
        }
        for name, one in cameras.items()
        if one.keys() >= set(_NAMED)
    }


def _is_matrix(value: Any) -> bool:
    """Return whether it has numbers, or what ought to be some."""
    if isinstance(value, dict):
        return 'data' in value or _named(value) is not None
    for _ in range(3):
        if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            value = value[0]
    return isinstance(value, list)


def _named(matrix: Mapping[Any, Any]) -> list[Any] | None:
    """Return the numbers of a matrix that has just their names, in their order."""
    plain = {_plain(name): number for name, number in matrix.items()}
    return [plain[name] for name in _NAMED] if plain.keys() == set(_NAMED) else None


def _numbered(content: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return the cameras of a file that has M1, D1, M2, D2 or the like, by their ending."""
    split = {key: re.fullmatch('(.+?)_?([0-9]|left|right)', str(key), re.I) for key in content}
    endings = {s[2] for s in split.values() if s and _plain(s[1]) in _MATRIX}
    common = {key: value for key, value in content.items() if not split[key]}
    return {
        ending: {**common, **{s[1]: content[k] for k, s in split.items() if s and s[2] == ending}}
        for ending in sorted(endings)
    }


def _chosen(cameras: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    there = ', '.join(cameras)
    if name and name not in cameras:
        raise ValueError(f'it has no camera {name}; there is {there or "one without a name"}')
    if not name and len(cameras) > 1:
        raise ValueError(f'it has several cameras, choose one with --camera-name: {there}')
    return cameras[name] if name else next(iter(cameras.values()))


def _calibration(content: Mapping[str, Any], say: Say, wide: str) -> Calibration:
    distortion_model, d = _distortion(content, say, wide)
    key = _key(content, _MATRIX) or ''
    k = _numbers(content, key)
    if len(k) == 4:  # Kalibr's
        k = (k[0], 0.0, k[2], 0.0, k[1], k[3], 0.0, 0.0, 1.0)
    if len(k) != 9:
        raise ValueError(f'{key} has {len(k)} numbers, expected 9, or fx, fy, cx and cy')
    if any(k[6:8]):
        raise ValueError(f'{key} is not fx 0 cx, 0 fy cy, 0 0 1, row by row: {list(k)}')
    is_message = key in ('k', 'K')
    size = _key(content, _SIZE)
    width, height = (_number(content, names) for names in (_WIDTH, _HEIGHT))
    if size is not None:
        width, height = (int(number) for number in _numbers(content, size, 2))
    roi = content.get('roi') or {}
    if not isinstance(roi, dict):
        raise ValueError(f'roi is {roi}, expected x_offset, y_offset, width and height')
    return Calibration(
        width=width,
        height=height,
        k=k,
        distortion_model=distortion_model,
        d=d,
        r=_matrix(content, (*_RECTIFICATION, 'r' if is_message else ''), 9, IDENTITY),
        p=_matrix(content, (*_PROJECTION, 'p' if is_message else ''), 12, (0.0,) * 12, _LAST_ROW),
        binning_x=_number(content, ('binningx',)),
        binning_y=_number(content, ('binningy',)),
        roi=(
            _number(roi, ('xoffset',)),
            _number(roi, ('yoffset',)),
            _number(roi, _WIDTH),
            _number(roi, _HEIGHT),
        ),
    )


def _distortion(content: Mapping[str, Any], say: Say, wide: str) -> tuple[str, tuple[float, ...]]:
    """Return the distortion_model, as CameraInfo has it, and the coefficients.

    `wide` is a word for a wide lens, from anywhere in the file, '' where there is none.
    """
    names = (key for key in content if _COEFFICIENTS.fullmatch(_plain(key)))
    key = next((key for key in names if content[key] is not None), None)
    camera_model = canonical(str(content.get(_key(content, _LENS[1:]) or '') or ''))
    model = canonical(str(content.get('distortion_model') or ''))
    # OpenCV's own program, and the EEPROM of DepthAI's cameras
    if not model and {1, '1'} & {content.get('fisheye_model'), content.get('cameraType')}:
        model = 'equidistant'
    if camera_model not in ('', 'pinhole', model):
        if model or camera_model not in (*LENSES, 'fisheye'):
            raise ValueError(f'camera_model is {camera_model}, expected pinhole')
        model = camera_model  # camera_calibration wrote this once
    if model and key is None and model != 'none':
        raise ValueError(f'it has distortion_model {model}, but no distortion coefficients')
    d = () if key is None else _coefficients(content, key, model)
    if model == 'fisheye' and len(d) == 4:
        say("has distortion_model fisheye: taken for OpenCV's, which is equidistant")
        model = 'equidistant'
    if not model and any(d):
        if wide:
            raise ValueError(
                f'it speaks of {wide}, but {key} has no distortion_model: write beside it which '
                'one it is, equidistant or plumb_bob'
            )
        model = 'plumb_bob' if len(d) in (4, 5) else 'rational_polynomial'
        say(f'has no distortion_model: its {len(d)} coefficients are taken for those of {model}')
    elif not model:
        say('has no distortion: taken for an ideal lens')
    return model, d


def _coefficients(content: Mapping[str, Any], key: str, model: str) -> tuple[float, ...]:
    """Return D; of coefficients with names, in the order of the model."""
    named = content[key]
    wide = model in ('equidistant', 'fisheye')
    order = ('k1', 'k2', 'k3', 'k4') if wide else _COEFFICIENTS_NAMED
    are_named = isinstance(named, dict) and named.keys() <= set(order)
    if not are_named or not all(isinstance(number, (int, float)) for number in named.values()):
        return _numbers(content, key)
    if 'k4' in named and not wide and 'p1' not in named:
        raise ValueError(
            f'{key} has {", ".join(named)}, but no distortion_model says of which lens'
        )
    d = [float(named.get(name, 0.0)) for name in order]
    return tuple(d[: max(4, *(order.index(name) + 1 for name in named))]) if named else ()


def _plain(name: Any) -> str:
    return re.sub('[^a-z0-9]', '', str(name).lower())


def _key(content: Mapping[Any, Any], names: tuple[str, ...]) -> str | None:
    """Return the key that is one of these names, the first name first."""
    plain = {_plain(key): key for key in content if content[key] is not None}
    return next((plain[name] for name in names if name in plain), None)


def _number(content: Mapping[str, Any], names: tuple[str, ...]) -> int:
    key = _key(content, names)
    number = 0.0 if key is None else float(content[key])
    if not number.is_integer():
        raise ValueError(f'{key} is {number:g}, expected whole pixels')
    return int(number)


def _matrix(
    content: Mapping[str, Any],
    names: tuple[str, ...],
    count: int,
    default: tuple[float, ...],
    more: tuple[float, ...] = (),
) -> tuple[float, ...]:
    """Return the numbers of a matrix, with or without `more` behind them."""
    key = _key(content, names)
    if key is None:
        return default
    if more and (numbers := _numbers(content, key))[count:] == more:
        return numbers[:count]
    return _numbers(content, key, count)


def _numbers(content: Mapping[str, Any], key: str, count: int = 0) -> tuple[float, ...]:
    """Return the numbers of a matrix, row by row, however it is nested."""
    data = content[key]
    if isinstance(data, dict):
        if 'data' not in data and _named(data) is None:
            raise ValueError(f'{key} has {", ".join(map(str, data))}, expected numbers in a row')
        data = data['data'] if 'data' in data else _named(data)
    numbers = tuple(islice(_flat(data), 100))
    if count and len(numbers) != count:
        raise ValueError(f'{key} has {len(numbers)} numbers, expected {count}')
    return numbers


def _flat(data: Any) -> Iterator[float]:
    if isinstance(data, (list, tuple)):
        for part in data:
            yield from _flat(part)
    elif isinstance(data, (int, float, str)):
        yield float(data)
    else:
        raise ValueError(f'{data!r} is no number')
