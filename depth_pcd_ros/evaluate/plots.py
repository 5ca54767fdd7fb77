# SPDX-License-Identifier: Apache-2.0
"""The plots of the report, each as the text of an SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from depth_pcd_ros.evaluate.regions import ERROR_BIN
from depth_pcd_ros.evaluate.results import Row
from depth_pcd_ros.evaluate.summary import Summary, errors

SIZE = (6.4, 3.5)  # [in]
GREY, LIGHT = '#5b6570', '#dfe4ea'
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
FINE_TICKS = (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35)
TICKS = (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
STYLE = {
    'svg.fonttype': 'path',  # the reader's machine need not have the font
    'svg.hashsalt': 'depth_pcd_ros',  # the same figures give the same file
    'font.size': 10,
    'axes.edgecolor': GREY,
    'axes.labelcolor': GREY,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': LIGHT,
    'grid.linewidth': 0.8,
    'xtick.color': GREY,
    'ytick.color': GREY,
    'legend.frameon': False,
    'lines.linewidth': 1.8,
}


def by_distance(summaries: Sequence[Summary]) -> str:
    """Plot the AbsRel of each setting by the true distance, over the share of the points there."""
    shown = [
        i
        for i, one in enumerate(summaries[0]['by_distance'])
        if any(summary['by_distance'][i]['pixels'] for summary in summaries)
    ]
    labels = [_range(summaries[0]['by_distance'][i]) for i in shown]
    at = np.arange(len(shown))
    with _axes('true distance', 'AbsRel') as (axes, drawn):
        pixels = np.array([summaries[0]['by_distance'][i]['pixels'] for i in shown], float)
        shares = axes.twinx()
        shares.bar(at, pixels / max(pixels.sum(), 1.0), 0.8, color=LIGHT, zorder=0)
        shares.set_ylabel('share of the points', color='#a3adb8')
        shares.set_ylim(0, 1)
        shares.grid(False)
        shares.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
        shares.tick_params(colors='#a3adb8')
        axes.set_zorder(shares.get_zorder() + 1)
        axes.patch.set_visible(False)
        for number, summary in enumerate(summaries):
            values = [summary['by_distance'][i]['abs_rel'] for i in shown]
            values = [math.nan if value is None else value for value in values]
            axes.plot(at, values, marker='o', **_look(number, summary))
        axes.set_xticks(at, labels)
        _percent(axes)
        _legend(axes, summaries)
    return drawn[0]


def over_time(summaries: Sequence[Summary], rows: Sequence[Sequence[Row]]) -> str:
    """Plot the scale that each frame lacks, over the number of the frame."""
    with _axes('frame', 'truth / depth, median of the frame') as (axes, drawn):
        axes.axhline(1.0, color=GREY, linewidth=1)
        for number, (summary, frames) in enumerate(zip(summaries, rows, strict=True)):
            scales = [row['scale'] for row in frames]
            look = _look(number, summary)
            axes.plot(scales, marker='o' if len(scales) <= 60 else '', markersize=3, **look)
            if len(summaries) == 1:
                low, high = summary['scale']['p10'], summary['scale']['p90']
                axes.axhspan(low, high, color=look['color'], alpha=0.08, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(axes, summaries)
    return drawn[0]


def histogram(summaries: Sequence[Summary], rows: Sequence[Sequence[Row]]) -> str:
    """Plot how many pixels are wrong by more than an error."""
    with _axes('too near  ←  error of the depth  →  too far', 'share of the points') as (
        axes,
        drawn,
    ):
        axes.axvline(0.0, color=GREY, linewidth=1)
        ends = []
        for number, (summary, frames) in enumerate(zip(summaries, rows, strict=True)):
            bins, shares = errors(frames)
            some = np.flatnonzero(shares > 1e-3 * shares.max())
            ends += [bins[some[0]], bins[some[-1]]]
            look = _look(number, summary)
            axes.stairs(shares, np.append(bins, bins[-1] + ERROR_BIN) - ERROR_BIN / 2, **look)
            axes.fill_between(bins, shares, step='mid', color=look['color'], alpha=0.12)
        reach = min(max(map(abs, ends)) + ERROR_BIN, 1.2)
        axes.set_xlim(-reach, reach)
        ticks = np.array(FINE_TICKS if reach < 0.4 else TICKS)
        ticks = ticks[np.abs(np.log(ticks)) <= reach]
        axes.set_xticks(
            np.log(ticks), [f'{100 * (tick - 1):+.0f}%'.replace('+0', '0') for tick in ticks]
        )
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, None))
        _legend(axes, summaries)
    return drawn[0]


def by_place(summary: Summary) -> str:
    """Plot the AbsRel in each ninth of the picture."""
    values = np.array(
        [[math.nan if value is None else value for value in row] for row in summary['by_place']]
    )
    with _axes('', '') as (axes, drawn):
        axes.grid(False)
        most = np.nanmax(values)
        axes.imshow(values, cmap='Oranges', vmin=0.0, vmax=1.3 * most, aspect='auto')
        for (row, column), value in np.ndenumerate(values):
            word = '-' if math.isnan(value) else f'{value:.1%}'
            axes.text(column, row, word, ha='center', va='center', fontsize=13)
        axes.set_xticks(range(3), ['left', 'middle', 'right'])
        axes.set_yticks(range(3), ['above', 'middle', 'below'])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return drawn[0]


@contextmanager
def _axes(x: str, y: str) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on, and a list that has the SVG afterwards."""
    drawn: list[str] = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout='constrained')
        axes = figure.add_subplot()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        yield axes, drawn
        text = io.StringIO()
        figure.savefig(text, format='svg', metadata={'Date': None}, transparent=True)
    drawn.append(text.getvalue()[text.getvalue().index('<svg') :])


def _look(number: int, summary: Summary) -> dict[str, Any]:
    styles = ('-', '--', ':', '-.')
    return {
        'color': COLOURS[number % len(COLOURS)],
        'linestyle': styles[number // len(COLOURS) % len(styles)],
        'label': summary['name'],
    }


def _range(bin_: dict[str, Any]) -> str:
    return (
        f'{bin_["from_m"]:g} to {bin_["to_m"]:g} m' if bin_['to_m'] else f'> {bin_["from_m"]:g} m'
    )


def _percent(axes: Axes) -> None:
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, None))


def _legend(axes: Axes, summaries: Sequence[Summary]) -> None:
    if len(summaries) > 1:
        axes.legend(fontsize=9)
