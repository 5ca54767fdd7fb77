# SPDX-License-Identifier: Apache-2.0
"""The names of models that a user may type, and on what terms each comes. No torch."""

from __future__ import annotations

from typing import NamedTuple


class HubFile(NamedTuple):
    """The place of an official checkpoint on the hub, its family and its licence.

    `beside` is a small file that tells what it is; it is wanted, too.
    """

    repo: str
    filename: str
    licence: str
    family: str
    beside: str = ''


def _depth_anything_v2(data_set: str, size: str) -> HubFile:
    return HubFile(
        repo=f'depth-anything/Depth-Anything-V2-Metric-{data_set}-{size.capitalize()}',
        filename=f'depth_anything_v2_metric_{data_set.lower()}_vit{size[0]}.pth',
        licence='Apache-2.0' if size == 'small' else 'CC-BY-NC-4.0',
        family='depth_anything_v2',
    )


HUB_FILES = {
    f'{place}-{size}': _depth_anything_v2(data_set, size)
    for place, data_set in (('indoor', 'Hypersim'), ('outdoor', 'VKITTI'))
    for size in ('small', 'base', 'large')
}
HUB_FILES['da3-large'] = HubFile(
    repo='depth-anything/DA3METRIC-LARGE',
    filename='model.safetensors',
    licence='Apache-2.0',
    family='depth_anything_3',
    beside='config.json',
)
DEMO = 'demo'
MODELS = (*HUB_FILES, DEMO)
