# SPDX-License-Identifier: Apache-2.0
"""The demo network, its bundled checkpoint, and what loading refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import scenes
from depth_pcd_ros.evaluate import metrics
from depth_pcd_ros.networks.demo import MAX_DEPTH, NETWORK
from depth_pcd_ros.networks.family import CheckpointError
from depth_pcd_ros.networks.modules import demo
from depth_pcd_ros.networks.modules.demo import DemoNetwork
from scenes import train
from scenes.pool import picture

BUNDLED = Path(__file__).resolve().parents[2] / 'models' / 'demo.safetensors'


@pytest.fixture(scope='module')
def network() -> DemoNetwork:
    """The bundled demo model."""
    return demo.load(BUNDLED)


@pytest.mark.parametrize('size', [(168, 224), (168, 168), (224, 168), (14, 126), (518, 686)])
def test_depth_has_the_pictures_size_and_range(network, size):
    """(N, 3, h, w) gives (N, h, w) between the bounds, at any aspect ratio."""
    depth = network(torch.randn(2, 3, *size))
    assert depth.shape == (2, *size)
    assert depth.dtype == torch.float32
    assert depth.min() >= 0.3
    assert depth.max() <= MAX_DEPTH * (1 + 1e-6)


def test_pictures_of_a_batch_do_not_mix(network):
    """Each picture's depth is the one that it has alone."""
    batch = torch.randn(3, 3, 84, 112)
    alone = torch.cat([network(one[None]) for one in batch])
    torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-4)


def test_coordinates_are_those_of_pixel_centres():
    """By hand: four columns at -3/4, -1/4, 1/4 and 3/4, and cached by size."""
    network = DemoNetwork()
    grid = network.coordinates(torch.zeros(1, 3, 2, 4))
    assert grid.shape == (1, 2, 2, 4)
    np.testing.assert_allclose(grid[0, 0], [[-0.75, -0.25, 0.25, 0.75]] * 2)
    np.testing.assert_allclose(grid[0, 1], [[-0.5] * 4, [0.5] * 4])
    assert network.coordinates(torch.zeros(5, 3, 2, 4)) is grid
    assert network.coordinates(torch.zeros(1, 3, 4, 4)).shape == (1, 2, 4, 4)


def test_bundled_checkpoint_is_small_and_says_what_it_is():
    """At most 12 MB, its metadata names network and licence."""
    assert BUNDLED.stat().st_size <= 12e6
    with safe_open(BUNDLED, 'pt') as file:
        assert file.metadata()['network'] == NETWORK
        assert file.metadata()['licence'] == 'Apache-2.0'


def test_bundled_model_measures_unseen_rooms(network):
    """Metric depth of a dozen rooms, from seeds that training never used, and no scaling."""
    results = []
    for seed in scenes.EVALUATION_SEEDS[:12]:
        shown = picture(seed)
        results.append(metrics.compare(train.predict(network, shown.rgb), shown.depth))
    found = metrics.mean(results)
    assert found.abs_rel <= 0.15
    assert found.delta1 >= 0.80


def test_weights_are_stored_in_half_precision(network):
    """They are loaded in single precision, to the same values."""
    tensors = load_file(BUNDLED)
    assert all(value.dtype == torch.float16 for value in tensors.values() if value.ndim > 1)
    assert all(value.dtype == torch.float32 for value in network.parameters())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(tensors[key].to(value.dtype), value, rtol=0, atol=0)


def _saved(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    save_file(tensors, path, metadata={'network': NETWORK, **metadata})
    return path


def test_export_and_load_round_trip(tmp_path):
    """What training exports is loaded, and gives the same depth but for half precision."""
    torch.manual_seed(3)
    network = DemoNetwork().eval()
    path = tmp_path / 'exported.safetensors'
    train.export(network, path, 7, metrics.compare(np.full(1, 1.1), np.ones(1)))
    assert [p.name for p in tmp_path.iterdir()] == ['exported.safetensors']
    x = torch.randn(1, 3, 84, 112)
    loaded = demo.load(path)
    torch.testing.assert_close(loaded(x), network(x).detach(), rtol=5e-3, atol=5e-3)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda t: t.pop('head.bias'), r'lacks 1 key \(head\.bias\)'),
        (lambda t: t.update(extra=torch.zeros(1)), r'has 1 key \(extra\) too many'),
        (
            lambda t: t.update({'head.bias': torch.zeros(2)}),
            r'head\.bias \(2,\) instead of \(1,\)',
        ),
        (
            lambda t: t.update({'head.bias': torch.zeros(1, dtype=torch.int8)}),
            r'other than floating-point numbers in 1 key \(head\.bias torch\.int8\)',
        ),
    ],
)
def test_other_weights_are_refused_by_key(tmp_path, change, message):
    """Missing, extra and misshapen tensors are named, and so is the file."""
    tensors = DemoNetwork().state_dict()
    change(tensors)
    path = _saved(tmp_path / 'other.safetensors', tensors)
    with pytest.raises(CheckpointError, match=message) as caught:
        demo.load(path)
    assert str(path) in str(caught.value)


def test_another_networks_file_is_refused(tmp_path):
    """The metadata tells before the keys do."""
    path = _saved(tmp_path / 'a.safetensors', {'a': torch.zeros(1)}, network='another')
    with pytest.raises(CheckpointError, match="names the network 'another', expected"):
        demo.load(path)


def test_no_checkpoint_is_refused(tmp_path):
    """A file that is not there, one that is cut off, and one that is something else."""
    with pytest.raises(CheckpointError, match=r'none\.safetensors does not exist'):
        demo.load(tmp_path / 'none.safetensors')
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes(BUNDLED.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r'cut\.safetensors cannot be read'):
        demo.load(cut)
    text = tmp_path / 'text.safetensors'
    text.write_text('hello')
    with pytest.raises(CheckpointError, match=r'text\.safetensors cannot be read'):
        demo.load(text)


def test_training_lowers_the_loss_and_repeats():
    """A few steps on one batch lower the loss, and the same seed gives the same loss again."""

    def losses() -> list[float]:
        torch.manual_seed(0)
        network = DemoNetwork()
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
        shown = [picture(seed, 56, 42) for seed in scenes.VALIDATION_SEEDS[:2]]
        pool = [(one.rgb, one.depth) for one in shown]
        found = []
        for _ in range(8):
            batch = train.batch_of(pool, np.random.default_rng(1), 4, 1)
            found.append(train.train_step(network, optimizer, batch))
        return found

    first = losses()
    assert first[-1] < 0.7 * first[0]
    np.testing.assert_allclose(losses(), first, rtol=1e-3)


def test_learning_rate_is_one_cycle():
    """It starts low, peaks after 4 % of the steps, and ends at nearly nothing."""
    rates = [train.rate_at(step, 1000, 1e-3) for step in range(1000)]
    assert int(np.argmax(rates)) in (39, 40)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[0] == pytest.approx(1e-3 / 40)
    assert rates[-1] < 1e-8
