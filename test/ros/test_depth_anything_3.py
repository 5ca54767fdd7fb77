# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 through the node: the metres on depth/image follow the camera of each image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sensor_msgs.msg import Image
from torch.nn import functional as F

from test.support import golden

from .conftest import make_image, make_info, wait_until

CASE = golden.case('da3_vits', 0)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Path of a ViT-S file of the golden recipe."""
    path = tmp_path_factory.mktemp('checkpoints') / 'da3.safetensors'
    save_file(golden.weights('da3_vits', int(golden.load('da3_vits')['seed'])), path)
    yield path
    Path(path).unlink()


def info_of(**changes):
    """The recorded camera, changed."""
    k, (height, width) = CASE['k'], CASE['rgb'].shape[:2]
    info = make_info(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def binned():
    """The CameraInfo of a sensor of twice the size, whose pixels are binned by two."""
    k, (height, width) = CASE['k'], CASE['rgb'].shape[:2]
    info = make_info(2 * width, 2 * height, 2 * k[0, 0], 2 * k[1, 1], 2 * k[0, 2], 2 * k[1, 2])
    info.binning_x = info.binning_y = 2
    return info


def cropped():
    """That of a larger sensor, of which the image is a region."""
    k, (height, width) = CASE['k'], CASE['rgb'].shape[:2]
    info = make_info(3 * width, 3 * height, k[0, 0], k[1, 1], k[0, 2] + width, k[1, 2] + height)
    info.roi.x_offset, info.roi.y_offset = width, height
    info.roi.width, info.roi.height = width, height
    return info


def test_depth_image_is_the_official_one_for_every_camera(run_node, peer, model):
    """As it is, distorted, a fisheye, binned, a region; and twice the depth for twice the lens."""
    node = run_node(
        {
            'model': str(model),
            'input_size': 126,
            'device': 'openvino',
            'precision': 'fp32',
            'frames': 'all',
            'edge_filter': 0.0,
            'min_depth': 0.0,
        }
    )
    images = peer.subscribe('/depth/image', Image)
    longer = info_of()
    longer.k[0], longer.k[4] = 2 * longer.k[0], 2 * longer.k[4]
    cases = [
        (info_of(), 1.0),
        (info_of(distortion_model='plumb_bob', d=[-0.1, 0.01, 0.0, 0.0, 0.0]), 1.0),
        (info_of(distortion_model='equidistant', d=[0.01, 0.0, 0.0, 0.0]), 1.0),
        (binned(), 1.0),
        (cropped(), 1.0),
        (longer, 2.0),
    ]
    rgb = CASE['rgb']
    metres = CASE['raw'] * CASE['focal_net'] / 300
    maps = torch.from_numpy(np.stack([metres, CASE['sky']]))[None]
    depth, sky = F.interpolate(maps, rgb.shape[:2], mode='bilinear', align_corners=True)[0].numpy()
    clear = np.abs(sky - 0.3) > 0.01
    for second, (info, factor) in enumerate(cases, start=1):
        image = make_image(rgb.shape[1], rgb.shape[0], stamp=(second, 0))
        image.encoding, image.step, image.data = 'rgb8', 3 * rgb.shape[1], rgb.tobytes()
        peer.show(image, info)
        assert wait_until(lambda n=second: len(images) == n), node.log
        found = np.frombuffer(images[-1].data, np.float32).reshape(rgb.shape[:2])
        np.testing.assert_array_equal(np.isnan(found)[clear], (sky >= 0.3)[clear])
        kept = clear & (sky < 0.3)
        np.testing.assert_allclose(found[kept], factor * depth[kept], rtol=2e-3)
