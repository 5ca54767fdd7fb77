# SPDX-License-Identifier: Apache-2.0
"""Every default is written once: the YAML file and the README's table agree with the code."""

import array
import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from depth_pcd_ros.settings import OPTIONS, Settings, SettingsError, of_cameras

ROOT = Path(__file__).resolve().parents[1]
# several numbers are a tuple in the code and a list in YAML
DEFAULTS = {
    name: list(value) if isinstance(value, tuple) else value
    for name, value in dataclasses.asdict(Settings()).items()
}


def test_yaml_has_every_default():
    """config/depth_pcd.yaml has each parameter, in order, with its default and its type."""
    document = yaml.safe_load((ROOT / 'config' / 'depth_pcd.yaml').read_text())
    parameters = document['/**']['ros__parameters']
    assert list(parameters.items()) == list(DEFAULTS.items())
    assert [type(value) for value in parameters.values()] == [type(v) for v in DEFAULTS.values()]


def test_yaml_explains_every_parameter():
    """The comment above each parameter is its description, unit and mark."""
    text = (ROOT / 'config' / 'depth_pcd.yaml').read_text()
    flat = re.sub(r'\s*\n\s*# ', ' ', text)
    for name, option in OPTIONS.items():
        unit = f' [{option.unit}]' if option.unit else ''
        live = ' *' if option.live else ''
        assert f'{option.description}{unit}{live}\n    {name}: ' in flat, name


def test_readme_table_is_the_code():
    """The README's table has a row for each parameter, with default and description."""
    readme = (ROOT / 'README.md').read_text()
    for name, option in OPTIONS.items():
        default = DEFAULTS[name]
        shown = str(default).lower() if isinstance(default, bool) else default
        shown = "''" if shown == '' else shown
        unit = f' [{option.unit}]' if option.unit else ''
        live = ' *' if option.live else ''
        assert f'| `{name}`{live}{unit} | `{shown}` | {option.description} |' in readme


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'stride': 0}, 'stride is 0, expected from 1 to 64 px'),
        ({'stride': True}, 'stride is True (bool), expected int'),
        ({'depth_scale': float('nan')}, 'depth_scale is nan, expected from 0.01 to 100'),
        ({'precision': 'int8'}, "precision is 'int8', expected one of auto, fp32, fp16, bf16"),
        ({'input_size': 3000}, 'input_size is 3000, expected from 0 to 2016 px'),
        (
            {'max_range': 0.05},
            'max_range is 0.05 m, expected 0 or more than min_depth, 0.1 m',
        ),
        ({'strid': 2}, "unknown setting 'strid'"),
        ({'scale_bounds': (0.5,)}, 'scale_bounds is [0.5] (list), expected 2 floats'),
        ({'scale_bounds': (1, 2)}, 'scale_bounds is [1, 2] (list), expected 2 floats'),
        ({'scale_bounds': 0.5}, 'scale_bounds is 0.5 (float), expected 2 floats'),
        ({'scale_bounds': (0.0, 2.0)}, 'scale_bounds is [0.0, 2.0], expected from 0.01 to 100'),
        ({'scale_bounds': [2.0, 0.5]}, 'scale_bounds are [2.0, 0.5], expected the lower one first'),
        ({'scale_transform': [0.0] * 3 + [1.0] * 4}, 'a quaternion of length 1 at its end, not 2'),
        ({'scale_source': 'plane'}, 'camera_height is 0.0, expected more with scale_source plane'),
        ({'cameras': 'front'}, "cameras is 'front' (str), expected a list of names"),
        ({'cameras': ['front', 2]}, "cameras is ['front', 2] (list), expected a list of names"),
        ({'cameras': ['front', '2nd']}, "cameras has '2nd', expected letters, digits and _"),
        ({'cameras': ['a/b']}, "cameras has 'a/b', expected"),
        ({'cameras': ['front', 'rear', 'front']}, "cameras has 'front' 2 times"),
        (
            {'merged_points': True, 'merged_frame': 'base'},
            'merged_points is true, expected cameras',
        ),
        ({'merged_points': True, 'cameras': ['a']}, "merged_frame is '', expected a frame with"),
    ],
)
def test_a_wrong_value_is_named(changes, told):
    """A wrong value is refused with the value and what is allowed."""
    with pytest.raises(SettingsError) as err:
        Settings().replace(changes)
    assert told in str(err.value)


def test_several_numbers():
    """As a list, a tuple or the array that ROS has; kept as a tuple."""
    for value in ([0.8, 1.2], (0.8, 1.2), array.array('d', [0.8, 1.2])):
        assert Settings().replace({'scale_bounds': value}).scale_bounds == (0.8, 1.2)


def test_replace_keeps_the_rest():
    """A change returns new settings and leaves the old ones as they are."""
    before = Settings()
    after = before.replace({'stride': 4})
    assert (before.stride, after.stride) == (1, 4)
    assert dataclasses.replace(after, stride=1) == before


def test_the_example_of_three_cameras():
    """config/three_cameras.yaml is accepted, and says of each camera what it means."""
    document = yaml.safe_load((ROOT / 'config' / 'three_cameras.yaml').read_text())
    values = {}
    for name, value in document['/**']['ros__parameters'].items():
        own = value.items() if isinstance(value, dict) else [('', value)]
        for one, its in own:
            values[f'{name}.{one}' if one else name] = tuple(its) if isinstance(its, list) else its
    found = of_cameras(values)
    assert list(found) == ['front', 'left', 'rear']
    assert [one.rectified for one in found.values()] == [False, False, True]
    assert [one.stride for one in found.values()] == [2, 2, 2]
    assert [one.max_range for one in found.values()] == [0.0, 0.0, 5.0]
    assert all(one.merged_points and one.merged_frame == 'base_link' for one in found.values())


def test_settings_of_cameras():
    """Each camera has the common settings, and its own where it has some."""
    found = of_cameras(
        {
            'cameras': ['front', 'rear'],
            'stride': 2,
            'depth_scale': 1.1,
            'front.depth_scale': 0.9,
            'rear.rectified': True,
            'rear.scale_bounds': [0.8, 1.2],
        }
    )
    common = Settings(cameras=('front', 'rear'), stride=2, depth_scale=1.1)
    assert found == {
        'front': dataclasses.replace(common, depth_scale=0.9),
        'rear': dataclasses.replace(common, rectified=True, scale_bounds=(0.8, 1.2)),
    }


def test_what_a_source_needs_may_be_each_cameras_own():
    """The heights of two cameras above the floor, without a common one."""
    values = {'cameras': ['front', 'rear'], 'scale_source': 'plane', 'front.camera_height': 0.5}
    with pytest.raises(SettingsError, match=r'^rear\.camera_height is 0\.0, expected more with'):
        of_cameras(values)
    found = of_cameras({**values, 'rear.camera_height': 0.7})
    assert [one.camera_height for one in found.values()] == [0.5, 0.7]


@pytest.mark.parametrize('none', [{}, {'cameras': ()}, {'cameras': []}])
def test_the_only_camera_has_no_name(none):
    """Without names there is one camera, and it has the settings as they are."""
    assert of_cameras({**none, 'stride': 2}) == {'': Settings(stride=2)}


@pytest.mark.parametrize(
    ('values', 'told'),
    [
        (
            {'back.stride': 2},
            "back.stride is set, but there is no camera 'back': cameras has front",
        ),
        ({'front.model': 'demo'}, 'front.model is set, but all cameras share model, expected with'),
        ({'front.stride': 0}, 'front.stride is 0, expected from 1 to 64 px'),
        ({'front.depth_scale': 2}, 'front.depth_scale is 2 (int), expected float'),
        ({'front.max_range': 0.05}, 'front.max_range is 0.05 m, expected 0 or more than min_depth'),
        ({'front.strid': 2}, "front: unknown setting 'strid'"),
        ({'front.a.stride': 2}, "there is no camera 'front.a'"),
        ({'merged_points': True}, "merged_frame is ''"),
    ],
)
def test_a_wrong_value_for_a_camera_is_named(values, told):
    """With the camera, the value and what is allowed."""
    with pytest.raises(SettingsError) as err:
        of_cameras({'cameras': ['front', 'rear'], **values})
    assert told in str(err.value)
