# SPDX-License-Identifier: Apache-2.0
"""Every default is written once: the YAML file and the README's table agree with the code."""

import array
import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from depth_pcd_ros.settings import OPTIONS, Settings, SettingsError

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
