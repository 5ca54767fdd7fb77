# SPDX-License-Identifier: Apache-2.0
"""Find the file of weights by the name of a model: hub, cache, local path. No torch."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import sys
from pathlib import Path

from depth_pcd_ros.bundled import bundled
from depth_pcd_ros.networks.families import FAMILIES, family_of
from depth_pcd_ros.networks.family import CheckpointError, Family
from depth_pcd_ros.networks.models import DEMO, HUB_FILES, MODELS
from depth_pcd_ros.settings import EngineSettings


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A file of weights that is there, and what is known about it."""

    name: str  # as the user asked for it: a name of `MODELS` or a path
    path: Path  # the file. Not resolved any further: the name of the file tells its data set.
    family: str  # the name in `FAMILIES` of the network that the weights belong to
    max_depth: float  # depth at which the output ends [m]
    licence: str  # SPDX name, '' where unknown

    @property
    def licence_note(self) -> str:
        """The licence in one sentence."""
        if not self.licence:
            return 'The licence of this file is not known here.'
        terms = ', which forbids commercial use' if '-NC-' in self.licence else ''
        return f'The weights are licensed under {self.licence}{terms}.'


def of_settings(settings: EngineSettings) -> Family:
    """Return what is known of the network that an engine is to run, with its file at hand.

    Raises:
        CheckpointError: see `resolve`.
        SettingsError: see `Family`.
    """
    if settings.model in HUB_FILES:  # what it does not take is refused before it is downloaded
        before_download(settings)
    found = resolve(settings.model, settings.max_depth)
    return _family(settings, found.family, found.path, found.max_depth)


def before_download(settings: EngineSettings) -> Family:
    """Return as `of_settings` what is known of a network whose file need not be at hand yet."""
    if settings.model not in HUB_FILES:
        return of_settings(settings)
    file = HUB_FILES[settings.model]
    return _family(settings, file.family, Path(file.filename), settings.max_depth)


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
        path, family, licence = bundled_model('demo.safetensors'), FAMILIES[DEMO], 'Apache-2.0'
    elif model in HUB_FILES:
        path, file = _from_hub(model), HUB_FILES[model]
        family, licence = FAMILIES[file.family], file.licence
    else:
        path = _local(model)
        family = family_of(path)
        known = {(file.family, file.filename): file.licence for file in HUB_FILES.values()}
        licence = known.get((family.name, path.name), '')
    return Checkpoint(
        name=model,
        path=path,
        family=family.name,
        max_depth=family.max_depth_of(path, max_depth),
        licence=licence,
    )


def _family(settings: EngineSettings, name: str, path: Path, max_depth: float) -> Family:
    return FAMILIES[name](path, max_depth, settings.input_size, settings.focal_correction)


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


def bundled_model(filename: str) -> Path:
    """Find a file of models/.

    Raises:
        CheckpointError: it is missing.
    """
    found = bundled(f'models/{filename}')
    if found is None:
        raise CheckpointError(
            f'the bundled {filename} is missing: it is neither in models/ beside the package nor '
            'in share/depth_pcd_ros/models of the installation; install the package again'
        )
    return found


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
    typed = f'/path/to/{file.filename}'
    by_hand = (
        f'put it anywhere on this machine and give its path: model:={typed} to the node, --model '
        f'{typed} to depth-pcd'
    )
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
        if file.beside:
            hub.hf_hub_download(file.repo, file.beside)
        path = Path(hub.hf_hub_download(file.repo, file.filename))
        _check_sha256(path, checksum or '')
        return path
    except Exception as err:  # the hub's transports (requests, httpx, Xet) share no base class
        reason = ' '.join(str(err).split()) or 'no reason given'
        raise CheckpointError(
            f'{name} is not in the cache {HF_HUB_CACHE} and could not be downloaded to it: '
            f'{reason} ({type(err).__name__}). Get {url} in another way, {by_hand}'
        ) from err
