# SPDX-License-Identifier: Apache-2.0
"""Train the demo network on rendered rooms: `python -m scenes.train`.

Reproducible from its seed, and resumed from its last checkpoint when started again with the same
folder. Each validation that is the best so far exports the averaged weights (EMA) for
`depth_pcd_ros.networks.modules.demo.load`. A CPU that is shared does better with
OMP_WAIT_POLICY=PASSIVE.
"""

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from depth_pcd_ros.evaluate.metrics import Metrics, compare, mean
from depth_pcd_ros.networks.demo import NETWORK, Demo
from depth_pcd_ros.networks.modules.demo import DemoNetwork
from scenes import TRAIN_SEEDS, VALIDATION_SEEDS
from scenes.pool import HEIGHT, WIDTH, Pool

MEAN, STD = np.array(Demo.mean, np.float32), np.array(Demo.std, np.float32)
INPUT_SIZE = Demo.own_input_size
HELD_OUT = 100  # pictures to validate on
Pictures = Sequence[tuple[np.ndarray, np.ndarray]]  # of (H, W, 3) uint8 and (H, W) m
NET_WIDTH, NET_HEIGHT = INPUT_SIZE * WIDTH // HEIGHT, INPUT_SIZE


def normalised(rgb: np.ndarray) -> Tensor:
    """Normalise (N, h, w, 3) of 0 to 1 as for ImageNet, to (N, 3, h, w)."""
    return torch.from_numpy((rgb - MEAN) / STD).permute(0, 3, 1, 2)


def predict(network: DemoNetwork, rgb: np.ndarray) -> np.ndarray:
    """Estimate the depth (H, W) [m] of a picture (H, W, 3) uint8 as the engines do."""
    small = cv2.resize(
        rgb / np.float32(255), (NET_WIDTH, NET_HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    with torch.no_grad():
        depth = network(normalised(small[None].astype(np.float32)))
        return nn.functional.interpolate(
            depth[:, None], rgb.shape[:2], mode='bilinear', align_corners=True
        )[0, 0].numpy()


def batch_of(pool: Pictures, rng: np.random.Generator, count: int, scale: float) -> tuple:
    """Draw a random batch: pictures (N, 3, h, w), normalised, and log depths (N, h, w)."""
    size = (round(NET_WIDTH * scale), round(NET_HEIGHT * scale))
    inputs, targets = [], []
    for i in np.sort(rng.integers(0, len(pool), count)):
        rgb, depth = pool[i]
        picture, truth = photometric(rgb, rng), depth.astype(np.float32)
        if scale != 1:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
            truth = cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            picture, truth = picture[:, ::-1], truth[:, ::-1]
        inputs.append(picture)
        targets.append(truth)
    x = normalised(np.stack(inputs)).contiguous(memory_format=torch.channels_last)
    return x, torch.from_numpy(np.stack(targets)).log()


def photometric(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give a picture (H, W, 3) of 0 to 1 another exposure, contrast, tint and noise."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    curves = levels ** rng.uniform(0.75, 1.35) * rng.uniform(0.8, 1.2)
    table = np.clip(curves[:, None] * rng.uniform(0.9, 1.1, 3), 0, 1).astype(np.float32)
    picture = np.stack([table[:, c][rgb[..., c]] for c in range(3)], -1)
    if rng.random() < 0.3:
        grey = picture.mean(-1, keepdims=True)
        picture = grey + np.float32(rng.uniform(0, 1)) * (picture - grey)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (3, 3), float(rng.uniform(0.3, 0.8)))
    return picture


def loss_of(log_depth: Tensor, truth: Tensor) -> Tensor:
    """Return the L1 of the log depth and its differences over 1, 2 and 8 pixels: sharp edges."""
    error = log_depth - truth
    loss = error.abs().mean()
    for step in (1, 2, 8):
        loss = loss + 0.25 * (error[:, step:] - error[:, :-step]).abs().mean()
        loss = loss + 0.25 * (error[:, :, step:] - error[:, :, :-step]).abs().mean()
    return loss


def rate_at(step: int, steps: int, peak: float) -> float:
    """Return the rate of one cycle: a linear rise over 4 %, then a cosine down to 0."""
    rise = 0.04 * steps
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def average_into(ema: nn.Module, network: nn.Module, step: int) -> None:
    """Move the averaged weights and batch statistics towards the trained ones."""
    keep = min(0.998, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            target = ema.state_dict()[name]
            if target.is_floating_point():
                target.lerp_(value, 1 - keep)
            else:
                target.copy_(value)


def validate(network: DemoNetwork, held_out: Pictures) -> Metrics:
    """Measure on the held-out pictures, at their own size."""
    network.eval()
    return mean([compare(predict(network, rgb), t.astype(np.float32)) for rgb, t in held_out])


def export(network: nn.Module, path: Path, step: int, figures: Metrics) -> None:
    """Write the weights as safetensors, convolutions in half precision, at once or not at all."""
    tensors = {
        key: (value.half() if value.ndim > 1 else value).contiguous()
        for key, value in network.state_dict().items()
    }
    about = {
        'network': NETWORK,
        'step': str(step),
        'validation_abs_rel': f'{figures.abs_rel:.4f}',
        'licence': 'Apache-2.0',
    }
    temporary = path.with_suffix('.tmp')
    save_file(tensors, temporary, metadata=about)
    temporary.chmod(0o644)
    os.replace(temporary, path)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog='python -m scenes.train', description=__doc__)
    parser.add_argument(
        '--folder', type=Path, default=Path('out/train'), help='pool, log, checkpoint'
    )
    parser.add_argument('--export', type=Path, default=Path('models/demo.safetensors'))
    parser.add_argument('--views', type=int, default=24000, help='rendered pictures to train on')
    parser.add_argument('--steps', type=int, default=5500)
    parser.add_argument('--coarse-steps', type=int, default=2250, help='first steps, at 3/4 size')
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--rate', type=float, default=2e-3, help='peak learning rate')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=2, help='processes that render')
    parser.add_argument('--validate-every', type=int, default=250, help='steps')
    return parser.parse_args()


def train_step(network: DemoNetwork, optimizer: torch.optim.Optimizer, batch: tuple) -> float:
    """Take one step downhill on a batch (pictures, log depths); return its loss."""
    x, truth = batch
    network.train()
    loss = loss_of(network.log_depth(x), truth)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def main() -> None:
    """Render, train, validate, export."""
    args = parse()
    folder, workers = args.folder / 'pool', args.workers
    pool = Pool(folder, TRAIN_SEEDS[: args.views], NET_WIDTH, NET_HEIGHT, workers)
    held_out = Pool(folder, VALIDATION_SEEDS[:HELD_OUT], WIDTH, HEIGHT, workers)
    torch.manual_seed(args.seed)
    network = DemoNetwork().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0.02)
    ema = copy.deepcopy(network)
    stateful = {'network': network, 'ema': ema, 'optimizer': optimizer}
    checkpoint, first, best = args.folder / 'checkpoint.pt', 0, 0.25  # nothing worse is exported
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, thing in stateful.items():
            thing.load_state_dict(state[name])
        first, best = state['step'], state['best']
    begun = time.monotonic()
    losses = []
    bar = tqdm(range(first, args.steps), initial=first, total=args.steps, mininterval=10)
    for step in bar:
        rng = np.random.default_rng([args.seed, step, 4])
        batch = batch_of(pool, rng, args.batch, 0.75 if step < args.coarse_steps else 1)
        for group in optimizer.param_groups:
            group['lr'] = rate_at(step, args.steps, args.rate)
        losses.append(train_step(network, optimizer, batch))
        average_into(ema, network, step)
        if (step + 1) % args.validate_every and step + 1 < args.steps:
            continue
        figures = validate(ema, held_out)
        line = {'step': step + 1, 'loss': float(np.mean(losses))}
        line |= {'minutes': (time.monotonic() - begun) / 60, **vars(figures)}
        losses.clear()
        with (args.folder / 'log.jsonl').open('a') as log:
            log.write(json.dumps(line) + '\n')
        bar.write(json.dumps(line))
        if figures.abs_rel < best:
            best = figures.abs_rel
            export(ema, args.export, step + 1, figures)
        state = {name: thing.state_dict() for name, thing in stateful.items()}
        torch.save({**state, 'step': step + 1, 'best': best}, checkpoint.with_suffix('.tmp'))
        os.replace(checkpoint.with_suffix('.tmp'), checkpoint)


if __name__ == '__main__':
    main()
