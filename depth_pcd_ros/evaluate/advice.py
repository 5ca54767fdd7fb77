# SPDX-License-Identifier: Apache-2.0
"""Advice from the figures: the best setting, and what its parameters should be."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from depth_pcd_ros.evaluate import regions
from depth_pcd_ros.evaluate.clouds import RANGE
from depth_pcd_ros.evaluate.results import Row
from depth_pcd_ros.evaluate.summary import Summary, errors
from depth_pcd_ros.settings import Settings

COVERAGE = 0.1  # share of the pixels that a setting may have less than the one that has most
SAME = 0.05  # settings whose AbsRel differs by this share are equally good
GAIN = 0.03  # share of the AbsRel that a depth_scale must save to be worth it
STEADY = 0.1  # spread of the scale, 10th to 90th percentile, above which it is no constant
TRUSTED = 0.5  # share of the points at a distance that must be within 25 % of the truth
ENOUGH = 0.002  # share of all pixels below which a distance says nothing
DANGER = 0.05  # share of obstacles missed that deserves a warning


@dataclasses.dataclass(frozen=True)
class Advice:
    """The best setting and what follows from it."""

    setting: int  # the number of the best setting
    sentences: list[str]  # for a person
    # of the node: those that the evidence suggests, the others as they were judged
    parameters: dict[str, Any]
    # of that setting with the depth_scale suggested, as estimated from the histogram
    abs_rel: float


def advise(summaries: Sequence[Summary], rows: Sequence[Sequence[Row]]) -> Advice:
    """Choose one of the settings, by the frames of each, and its parameters."""
    coverages = _coverages(rows)
    competing = [i for i, share in enumerate(coverages) if share >= max(coverages) - COVERAGE]
    best = _best(summaries, rows, competing)
    chosen, frames = summaries[best], rows[best]
    settings = Settings().replace(chosen['parameters'])
    scale, abs_rel, about_scale = _depth_scale(chosen, frames, settings)
    changes: dict[str, Any] = {'depth_scale': scale}
    nearest, farthest = _trusted(frames)
    factor = 1.0 if settings.scale_source != 'none' else scale / settings.depth_scale
    shown = factor * settings.max_range if settings.max_range else math.inf
    sentences = [_about(summaries, best, competing), about_scale]
    sparse = [i for i in range(len(summaries)) if i not in competing]
    if sparse:
        names = ', '.join(f'{summaries[i]["name"]} ({coverages[i]:.0%})' for i in sparse)
        sentences.insert(
            1, f'Not compared, for depth at far fewer pixels than {max(coverages):.0%}: {names}.'
        )
    if farthest is not None and farthest < shown:
        changes['max_range'] = round(farthest, 1)
        sentences.append(
            f'Beyond {farthest:.1f} m most points are wrong by more than 25%: max_range: '
            f'{farthest:.1f}.'
        )
    if nearest is not None and nearest > settings.min_depth:
        changes['min_depth'] = round(nearest, 2)
        sentences.append(
            f'Nearer than {nearest:.2f} m most points are wrong by more than 25%: min_depth: '
            f'{nearest:.2f}.'
        )
    angle = _edge_filter(frames)
    if angle is not None:
        changes['edge_filter'] = angle
    obstacles = chosen['obstacles']
    if obstacles and obstacles['missed'] > DANGER:
        sentences.append(
            f'{obstacles["missed"]:.0%} of the obstacles within {RANGE:g} m are missed: do not '
            'rely on it alone.'
        )
    parameters = {**chosen['parameters'], **changes}
    return Advice(best, sentences, parameters, abs_rel)


def _coverages(rows: Sequence[Sequence[Row]]) -> list[float]:
    """Return the mean coverage of each setting; of a frame that only others have it is nothing."""
    count = len({row['frame'] for frames in rows for row in frames})
    return [sum(row['coverage'] for row in frames) / count for frames in rows]


def _best(
    summaries: Sequence[Summary], rows: Sequence[Sequence[Row]], competing: Sequence[int]
) -> int:
    """Choose the competing setting of the lowest AbsRel, or one as good that is quicker."""
    abs_rel = _compared({i: rows[i] for i in competing})
    lowest = min(abs_rel.values())
    as_good = [i for i in competing if abs_rel[i] <= lowest * (1.0 + SAME)]
    # small differences in time are noise
    quickest = min(summaries[i]['network_ms'] for i in as_good)
    as_quick = [i for i in as_good if summaries[i]['network_ms'] <= 1.2 * quickest]
    return min(as_quick, key=lambda i: abs_rel[i])


def _compared(rows: Mapping[int, Sequence[Row]]) -> dict[int, float]:
    """Return the AbsRel of each over the frames that all have, or, without one, over its own."""
    common = set.intersection(*({row['frame'] for row in frames} for frames in rows.values()))
    found = {}
    for i, frames in rows.items():
        shared = [row for row in frames if row['frame'] in common] or frames
        found[i] = float(np.mean([row['metrics']['abs_rel'] for row in shared]))
    return found


def _about(summaries: Sequence[Summary], best: int, competing: Sequence[int]) -> str:
    """Describe the best setting in a sentence, beside the next best and the quickest."""
    chosen = summaries[best]
    figures = chosen['metrics']
    words = (
        f'{chosen["name"]}: wrong by {figures["abs_rel"]:.1%} on average (AbsRel), '
        f'{figures["delta1"]:.0%} of the points within 25%, depth at {chosen["coverage"]:.0%} of '
        f'the pixels with a truth, {chosen["network_ms"]:.0f} ms a frame'
    )
    if len(summaries) == 1:
        return words + '.'
    others = [summaries[i] for i in competing if i != best]
    if not others:
        return f'Best is {words}.'
    lowest = min(others, key=lambda one: one['metrics']['abs_rel'])
    words = f'Best is {words}; next is {lowest["name"]} with {lowest["metrics"]["abs_rel"]:.1%}'
    quickest = min(others, key=lambda one: one['network_ms'])
    if quickest['network_ms'] < 0.7 * chosen['network_ms']:
        words += (
            f'; {quickest["name"]} takes {quickest["network_ms"]:.0f} ms and is wrong by '
            f'{quickest["metrics"]["abs_rel"]:.1%}'
        )
    return words + '.'


def _depth_scale(
    chosen: Summary, rows: Sequence[Row], settings: Settings
) -> tuple[float, float, str]:
    """Return the constant depth_scale to suggest, the AbsRel with it, and a sentence."""
    now, scale = chosen['metrics']['abs_rel'], chosen['scale']
    spread = (scale['p90'] - scale['p10']) / scale['median']
    varies = f'it varies by {spread:.0%} from frame to frame'
    if settings.scale_source != 'none':
        off = abs(scale['median'] - 1.0)
        word = f'The scale is off by {off:.1%} with scale_source {settings.scale_source}; {varies}.'
        return settings.depth_scale, now, word
    low, high = 0.01, 100.0  # the bounds of depth_scale
    suggested = float(np.clip(settings.depth_scale * scale['median'], low, high))
    then = expected_abs_rel(rows, suggested / settings.depth_scale)
    if then > now * (1.0 - GAIN):
        return settings.depth_scale, now, f'The scale is right as it is; {varies}.'
    word = (
        f'With depth_scale: {suggested:.3f} instead of {settings.depth_scale:g} it would be wrong '
        f'by {then:.1%}; the scale {varies.removeprefix("it ")}'
    )
    if spread > STEADY:
        word += ', so that a scale_source, which follows it, is better than a constant'
    return round(suggested, 4), then, word + '.'


def expected_abs_rel(rows: Sequence[Row], factor: float) -> float:
    """Return the AbsRel of the depth times a factor, from the histogram of its errors."""
    bins, shares = errors(rows)
    return float(np.sum(shares * np.abs(factor * np.exp(bins) - 1.0)))


def _trusted(rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """Find the nearest and farthest estimate, of the right scale, that is believed [m].

    From either end, distances are given up as long as fewer than half of their points are within
    25 % of the truth; None where that is not so at the end.
    """
    every, good = np.sum([row['by_estimate'] for row in rows], axis=0)
    counted = np.flatnonzero(every >= max(1.0, ENOUGH * every.sum()))
    trusted = [i for i in counted if good[i] >= TRUSTED * every[i]]
    if not trusted:
        return None, None

    def bound(i: int) -> float:
        return regions.FIRST_DEPTH * regions.DEPTH_RATIO**i

    nearest = bound(trusted[0]) if trusted[0] != counted[0] else None
    farthest = bound(trusted[-1] + 1) if trusted[-1] != counted[-1] else None
    return nearest, farthest


def _edge_filter(rows: Sequence[Row]) -> float | None:
    """Choose the angle that drops most flying points beyond good ones; None: nothing flies."""
    tried = [row['edge_filter'] for row in rows if row['edge_filter'] is not None]
    if not tried:
        return None
    flying, good = np.sum(tried, axis=0)
    gain = flying - good
    if not (gain > 0).any():
        return None
    return regions.ANGLES[int(np.argmax(gain))]


def parameter_file(parameters: dict[str, Any], note: str) -> str:
    """Write the parameters that differ from the defaults as a file for the node, below a note."""
    lines = [f'# {note}', '/**:', '  ros__parameters:']
    for name, value in parameters.items():
        if value != getattr(Settings, name):
            shown = list(value) if isinstance(value, tuple) else value
            lines.append(f'    {name}: {json.dumps(shown)}')
    judged = ('depth_scale', 'min_depth', 'max_range', 'edge_filter')
    lines += [
        f'    {name}: {json.dumps(parameters[name])}'
        for name in judged
        if parameters[name] == getattr(Settings, name)
    ]
    return '\n'.join(lines) + '\n'
