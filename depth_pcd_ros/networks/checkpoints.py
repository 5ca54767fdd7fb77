# SPDX-License-Identifier: Apache-2.0
"""From the name of a model to the file with its weights: hub, cache, local path. No torch."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import re
import sys
from pathlib import Path

from depth_pcd_ros.errors import DepthPcdError


class CheckpointError(DepthPcdError):
    """A checkpoint cannot be had or is not what it should be; the message says what is."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What a metric network inherits from its training data.

    Attributes:
        max_depth: depth at which the network's output ends [m].
        focal_train: focal length of the pictures as they entered the network, at the short side
            518 [px].
    """

    max_depth: float
    focal_train: float


# By the word that official file names carry. Hypersim: 1024x768 at a focal length of 886.81 px
# (github.com/apple/ml-hypersim). Virtual KITTI 2: 1242x375 at 725.0087 px (its intrinsic.txt).
# Depth ranges: the README of DepthAnything/Depth-Anything-V2, metric_depth/.
DATA_SETS = {
    'metric_hypersim': DataSet(max_depth=20.0, focal_train=886.81 * 518 / 768),
    'metric_vkitti': DataSet(max_depth=80.0, focal_train=725.0087 * 518 / 375),
}


@dataclasses.dataclass(frozen=True)
class HubFile:
    """Where the hub has an official checkpoint, and on what terms."""

    repo: str
    filename: str
    licence: str


def _hub_file(data_set: str, size: str) -> HubFile:
    return HubFile(
        repo=f'depth-anything/Depth-Anything-V2-Metric-{data_set}-{size.capitalize()}',
        filename=f'depth_anything_v2_metric_{data_set.lower()}_vit{size[0]}.pth',
        licence='Apache-2.0' if size == 'small' else 'CC-BY-NC-4.0',
    )


HUB_FILES = {
    f'{place}-{size}': _hub_file(data_set, size)
    for place, data_set in (('indoor', 'Hypersim'), ('outdoor', 'VKITTI'))
    for size in ('small', 'base', 'large')
}
DEMO = 'demo'
MODELS = (*HUB_FILES, DEMO)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A file of weights that is there, and what is known about it.

    Attributes:
        name: as the user asked for it: a name of `MODELS` or a path.
        path: the file. Not resolved any further: the name of the file tells its data set.
        kind: `depth_anything` or `demo`, the network that the weights belong to.
        max_depth: depth at which the output ends [m]; 0: the network of the file knows.
        focal_train: see `DataSet`; None where unknown.
        licence: SPDX name, '' where unknown.
    """

    name: str
    path: Path
    kind: str
    max_depth: float
    focal_train: float | None
    licence: str

    @property
    def licence_note(self) -> str:
        """The licence in one sentence."""
        if not self.licence:
            return 'The licence of this file is not known here.'
        terms = ', which forbids commercial use' if '-NC-' in self.licence else ''
        return f'The weights are licensed under {self.licence}{terms}.'


def resolve(model: str, max_depth: float = 0.0) -> Checkpoint:
    """Find the file of a model; download it if it is an official one that is not cached.

    Args:
        model: a name of `MODELS` or the path of a file.
        max_depth: depth at which the output ends [m]; 0: the model's own.

    Raises:
        CheckpointError: unknown name, no such file, failed download, a file that does not tell its
            data set while `max_depth` is 0, or a `max_depth` that the model cannot take.
    """
    if model == DEMO:
        if max_depth:
            raise CheckpointError(
                f'max_depth is {max_depth:g} m, expected 0: the range of {DEMO} is fixed'
            )
        return Checkpoint(DEMO, _bundled('demo.safetensors'), DEMO, 0.0, None, 'Apache-2.0')
    path = _from_hub(model) if model in HUB_FILES else _local(model)
    data_set = data_set_of(path)
    official = next((file for file in HUB_FILES.values() if file.filename == path.name), None)
    return Checkpoint(
        name=model,
        path=path,
        kind='depth_anything',
        max_depth=metric_max_depth(path, max_depth),
        focal_train=data_set.focal_train if data_set else None,
        licence=official.licence if official else '',
    )


def data_set_of(path: Path) -> DataSet | None:
    """Return the data set that the name of a checkpoint tells, or None."""
    return next((known for word, known in DATA_SETS.items() if word in path.name), None)


def metric_max_depth(path: Path, max_depth: float = 0.0) -> float:
    """Return the depth at which a checkpoint's output ends [m].

    The keys of a metric and of a relative-depth checkpoint are the same, so the name of the file
    or the caller has to tell.

    Raises:
        CheckpointError: neither tells, or `max_depth` is not a depth.
    """
    if not math.isfinite(max_depth) or max_depth < 0:
        raise CheckpointError(f'max_depth is {max_depth} m, expected 0 or a positive depth')
    if max_depth:
        return max_depth
    data_set = data_set_of(path)
    if data_set is None:
        raise CheckpointError(
            f'{path.name} does not tell whether it gives metric depth: its name has none of '
            f'{", ".join(DATA_SETS)}, and relative-depth checkpoints (depth_anything_v2_vits.pth '
            'and the like) have the same keys. Use a metric checkpoint, or, if this is one, set '
            'max_depth to the depth in metres that it was trained with'
        )
    return data_set.max_depth


def _local(model: str) -> Path:
    path = Path(os.path.expanduser(model))  # Path.expanduser raises where ~ just begins a name
    if path.is_file():
        return path
    if path.is_dir() and model:
        raise CheckpointError(f'{model} is a directory, expected a .pth or .safetensors file')
    if path.suffix or os.sep in model:
        raise CheckpointError(
            f'there is no file {path}; expected a file or one of {", ".join(MODELS)}'
        )
    raise CheckpointError(
        f'unknown model {model!r}, expected one of {", ".join(MODELS)}, or the path of a '
        '.pth or .safetensors file'
    )


def _bundled(filename: str) -> Path:
    """Find a file of models/: beside the package in a source tree, else in its prefix's share/."""
    package = Path(__file__).resolve().parents[1]
    shares = (prefix / 'share' / package.name / 'models' for prefix in package.parents)
    for folder in (package.parent / 'models', *shares):
        if (folder / filename).is_file():
            return folder / filename
    raise CheckpointError(
        f'the bundled {filename} is missing: it is neither in {package.parent / "models"} nor in '
        f'share/{package.name}/models of the installation; install the package again'
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _check_sha256(path: Path, expected: str) -> None:
    """Compare a file of the cache with what the hub says; remove it where it is another one.

    Raises:
        ValueError: it is.
    """
    if not re.fullmatch('[0-9a-f]{64}', expected):  # a mirror need not give the hub's checksum
        return
    found = sha256(path)
    if found != expected:
        path.resolve().unlink()  # the path itself is a link of the cache
        raise ValueError(f'its SHA-256 is {found}, the hub says {expected}')


def _from_hub(name: str) -> Path:
    file = HUB_FILES[name]
    by_hand = f'put it anywhere on this machine and give its path: model:=/path/to/{file.filename}'
    try:
        # Imported late: a quarter of a second that a local file need not wait for.
        import huggingface_hub as hub
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError as err:
        raise CheckpointError(
            f'{name} comes from the hub, which needs the Python package huggingface_hub ({err}). '
            f'Install it, or get {file.filename} of the repository {file.repo}, {by_hand}'
        ) from err

    url = hub.hf_hub_url(file.repo, file.filename)
    try:
        cached = hub.try_to_load_from_cache(file.repo, file.filename)
        if isinstance(cached, str):
            return Path(cached)
        # Fails at once without a network, where the download itself would retry for minutes.
        checksum = hub.get_hf_file_metadata(url).etag
        # For logs: the hub's progress bar appears on a terminal only.
        print(f'downloading {url} to {HF_HUB_CACHE}', file=sys.stderr, flush=True)
        path = Path(hub.hf_hub_download(file.repo, file.filename))
        _check_sha256(path, checksum or '')
        return path
    except Exception as err:  # the hub's transports (requests, httpx, Xet) share no base class
        reason = ' '.join(str(err).split()) or 'no reason given'
        raise CheckpointError(
            f'{name} is not in the cache {HF_HUB_CACHE} and could not be downloaded to it: '
            f'{reason} ({type(err).__name__}). Get {url} in another way, {by_hand}'
        ) from err
