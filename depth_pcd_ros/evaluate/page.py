# SPDX-License-Identifier: Apache-2.0
"""report.html: one file with all in it, which needs no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from depth_pcd_ros import __version__
from depth_pcd_ros.evaluate import plots
from depth_pcd_ros.evaluate.advice import Advice
from depth_pcd_ros.evaluate.results import Row
from depth_pcd_ros.evaluate.summary import Summary, best_median_worst

Get = Callable[[Summary], Any]
Show = Callable[[float], str]
LOW, HIGH, NEITHER = min, max, None  # which way is better


def _in(unit: str, factor: float = 1.0) -> Show:
    """Show a number as this format has it."""
    return lambda value: unit.format(factor * value)


def _at(*path: str) -> Get:
    """Look up a figure; None where there is none."""

    def get(summary: Summary) -> Any:
        found: Any = summary
        for name in path:
            found = (found or {}).get(name)
        return found

    return get


_percent, _number, _metres = _in('{:.1%}'), _in('{:.3f}'), _in('{:.2f} m')
_centimetres, _ms = _in('{:.1f} cm', 100.0), _in('{:.0f} ms')

# Of each row of the table: what it is, a hint, how to get and show it, and which way is better.
Line = tuple[str, str, Get, Show, Any]
ROWS: dict[str, tuple[Line, ...]] = {
    'Depth in metres': (
        ('AbsRel', 'mean of |z - t| / t', _at('metrics', 'abs_rel'), _percent, LOW),
        ('RMSE', '', _at('metrics', 'rmse'), _metres, LOW),
        ('δ < 1.25', 'points within 25%', _at('metrics', 'delta1'), _percent, HIGH),
        ('δ < 1.25²', '', _at('metrics', 'delta2'), _percent, HIGH),
        ('δ < 1.25³', '', _at('metrics', 'delta3'), _percent, HIGH),
        ('SqRel', '', _at('metrics', 'sq_rel'), _metres, LOW),
        ('RMSE log', '', _at('metrics', 'rmse_log'), _number, LOW),
        ('log10', '', _at('metrics', 'log10'), _number, LOW),
        ('SILog', 'scale-invariant', _at('metrics', 'silog'), _number, LOW),
    ),
    'After alignment by the median': (
        ('AbsRel', 'the shape, without the scale', _at('aligned', 'abs_rel'), _percent, LOW),
        ('RMSE', '', _at('aligned', 'rmse'), _metres, LOW),
        ('δ < 1.25', '', _at('aligned', 'delta1'), _percent, HIGH),
    ),
    'Scale and steadiness': (
        ('Scale', 'truth / depth, median', _at('scale', 'median'), _number, NEITHER),
        ('Spread', 'standard deviation over frames', _at('scale', 'spread'), _percent, LOW),
        (
            'Held',
            'frames whose scale_source told nothing',
            lambda summary: summary['scale_held'] or None,
            _percent,
            LOW,
        ),
        ('Jumps', 'from frame to frame', _at('scale', 'jumps'), _percent, LOW),
        (
            'Temporal alignment error',
            'where the motion is known',
            _at('temporal_alignment_error'),
            _in('{:.2f}'),
            LOW,
        ),
    ),
    'Cloud': (
        ('Accuracy', 'from the cloud to the truth', _at('points', 'accuracy'), _centimetres, LOW),
        ('Completeness', 'from the truth', _at('points', 'completeness'), _centimetres, LOW),
        ('F-score 5 cm', '', _at('points', 'f_5cm'), _percent, HIGH),
        ('F-score 10 cm', '', _at('points', 'f_10cm'), _percent, HIGH),
        ('AbsRel at edges', '', _at('edges', 'at', 'abs_rel'), _percent, LOW),
        (
            'Flying points',
            'hanging between two surfaces',
            _at('edges', 'flying'),
            _in('{:.2%}'),
            LOW,
        ),
        ('Coverage', 'of the truth', _at('coverage'), _percent, HIGH),
    ),
    'Obstacles within 5 m': (
        ('Missed', 'cells of 20 cm', _at('obstacles', 'missed'), _percent, LOW),
        ('Ghosts', 'where there is nothing', _at('obstacles', 'ghosts'), _percent, LOW),
    ),
    'Speed': (('Network', 'for each frame', _at('network_ms'), _ms, LOW),),
}

CSS = """
:root { color: #1d2733; background: #f4f6f8; font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
body { margin: 0 auto; max-width: 1360px; padding: 28px 28px 48px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 0 0 10px; }
.about { color: #5b6570; margin: 2px 0 20px; }
.card { background: #fff; border: 1px solid #e2e7ec; border-radius: 10px; padding: 18px 20px;
  margin-bottom: 18px; }
.advice { display: grid; grid-template-columns: minmax(0, 1fr) minmax(250px, 360px); gap: 24px;
  border-left: 5px solid #0072b2; }
.advice p { margin: 0 0 8px; } .advice p:first-child { font-size: 18px; font-weight: 600; }
pre { background: #f4f6f8; border-radius: 7px; padding: 11px 13px; margin: 0; overflow: auto;
  font: 12.5px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px;
  margin-bottom: 18px; }
.figures div { background: #fff; border: 1px solid #e2e7ec; border-radius: 10px;
  padding: 12px 18px; }
.figures b { display: block; font-size: 27px; letter-spacing: -.02em; line-height: 1.3; }
.figures span, small, .hint { color: #5b6570; } .hint { font-size: 12.5px; margin-left: 7px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(520px, 1fr)); gap: 18px; }
.plots .card { margin: 0; } .plots svg { width: 100%; height: auto; display: block; }
.plots { margin-bottom: 18px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 55%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 12px; border-bottom: 1px solid #eef1f4;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 2px solid #cfd6dd; vertical-align: bottom; }
tr.group th { padding-top: 14px; color: #0072b2; font-size: 13px; border-bottom-color: #cfd6dd; }
td.best { font-weight: 700; color: #00664b; }
th.chosen { color: #0072b2; }
figure { margin: 0 0 16px; } figure img { width: 100%; display: block; border-radius: 6px; }
figcaption { display: flex; justify-content: space-between; margin-bottom: 4px; }
.columns { display: grid; grid-template-columns: repeat(5, 1fr); color: #5b6570; font-size: 13px;
  text-align: center; margin-bottom: 4px; }
.key { display: inline-block; width: 120px; height: 10px; border-radius: 3px; margin: 0 7px;
  vertical-align: middle;
  background: linear-gradient(90deg, #2169c5, #f5f5f5, #b2182b); }
.notes { color: #5b6570; font-size: 13px; } .notes p { margin: 0 0 7px; max-width: 110ch; }
@media (max-width: 760px) { .advice, .plots { grid-template-columns: minmax(0, 1fr); } }
"""

NOTES = (
    'z is the estimated depth, t the truth, both along the optical axis. Figures are means over '
    'the pixels of a frame that both have, then over frames; those by distance, by place and at '
    'edges are means over the pixels of all frames. The depth is what the node publishes, after '
    '<code>edge_filter</code>, <code>min_depth</code> and <code>max_range</code>; coverage is the '
    'share of the truth for which that leaves a depth.',
    'AbsRel, SqRel, RMSE, RMSE log, log10 and δ as Eigen et al., NIPS 2014; SILog as Depth '
    'Anything V2 has it, sqrt(mean(d²) - mean(d)² / 2) with d = ln z - ln t; alignment by the '
    'ratio of the medians as Zhou et al., CVPR 2017.',
    'Accuracy and completeness are mean distances to the nearest point of the other cloud (Seitz '
    'et al., CVPR 2006), the F-score is the harmonic mean of the shares of both below the '
    'threshold (Knapitsch et al., 2017). Temporal alignment error, in percent, as Chen et al., '
    'Video Depth Anything, CVPR 2025.',
    'Obstacles are cells of 20 cm up to 5 m from the camera, without the floor where one is seen '
    'in the truth, up to 2 m above it: missed are those of the truth with no estimated point in '
    'the cell or beside it, ghosts those of the estimate with no true one.',
)


def page(
    summaries: Sequence[Summary],
    rows: Sequence[Sequence[Row]],
    advice: Advice,
    *,
    inputs: Sequence[str],
    parameters: str,
    folder: Path,
) -> str:
    """Write the report of all settings, with the frames of each, whose pictures are in a folder."""
    chosen, frames = summaries[advice.setting], rows[advice.setting]
    count = chosen['frames']
    names = ', '.join(html.escape(Path(one).name) for one in inputs)
    said = ''.join(f'<p>{html.escape(sentence)}</p>' for sentence in advice.sentences)
    plotted = [
        ('Error by distance', plots.by_distance(summaries)),
        ('Scale over time', plots.over_time(summaries, rows)),
        ('Histogram of the error', plots.histogram(summaries, rows)),
        (f'AbsRel by place in the picture, {html.escape(chosen["name"])}', plots.by_place(chosen)),
    ]
    return ''.join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>Depth of {names}</title><style>{CSS}</style></head><body>\n',
            f'<h1>How good is the depth of {names}?</h1>',
            f'<p class="about">{count} frame{"" if count == 1 else "s"}, {len(summaries)} '
            f'{"setting" if len(summaries) == 1 else "settings"}, truth for '
            f'{_percent(chosen["known"])} of the pixels</p>\n',
            f'<section class="card advice"><div>{said}</div>',
            f'<pre>{html.escape(parameters)}</pre></section>\n',
            _figures(chosen),
            '<section class="plots">',
            *(f'<div class="card"><h2>{title}</h2>{svg}</div>\n' for title, svg in plotted),
            '</section>\n',
            _pictures(chosen, frames, folder),
            _table(summaries, advice.setting),
            '<section class="card notes"><h2>What the figures are</h2>',
            *(f'<p>{note}</p>' for note in NOTES),
            f'<p>depth_pcd_ros {__version__}; read: {html.escape(", ".join(inputs))}</p>',
            '</section></body></html>\n',
        ]
    )


def _figures(chosen: Summary) -> str:
    """Show the four figures that matter, large."""
    obstacles = chosen['obstacles']
    shown = [
        (_percent(chosen['metrics']['abs_rel']), 'wrong on average (AbsRel)'),
        (_percent(chosen['aligned']['abs_rel']), 'with the right scale in each frame'),
        (_percent(chosen['metrics']['delta1']), 'of the points within 25%'),
    ]
    if obstacles:
        shown.append((_percent(obstacles['missed']), 'of obstacles within 5 m missed'))
    shown.append((_ms(chosen['network_ms']), 'the network takes for a frame'))
    cells = (f'<div><b>{value}</b><span>{what}</span></div>' for value, what in shown)
    return f'<section class="figures">{"".join(cells)}</section>\n'


def _table(summaries: Sequence[Summary], chosen: int) -> str:
    """Lay out all figures as a table with a column for each setting."""
    heads = ''.join(
        f'<th{" class=chosen" if i == chosen and len(summaries) > 1 else ""}>'
        f'{html.escape(one["name"])}</th>'
        for i, one in enumerate(summaries)
    )
    lines = [f'<thead><tr><th></th>{heads}</tr></thead><tbody>']
    for title, rows in ROWS.items():
        lines.append(f'<tr class="group"><th colspan="{1 + len(summaries)}">{title}</th></tr>')
        lines += [_line(summaries, row) for row in rows]
    return (
        '<section class="card"><h2>All figures</h2><div class="scroll"><table>'
        f'{"".join(lines)}</tbody></table></div></section>\n'
    )


def _line(summaries: Sequence[Summary], row: Line) -> str:
    title, hint, get, show, better = row
    values = [get(one) for one in summaries]
    known = [value for value in values if value is not None]
    if not known:
        return ''
    shown = ['-' if value is None else show(value) for value in values]
    # what a person cannot tell apart is equally good
    best = show(better(known)) if better and len(set(shown)) > 1 else None
    cells = ''.join(f'<td{" class=best" if text == best else ""}>{text}</td>' for text in shown)
    return f'<tr><td>{title}<span class="hint">{hint}</span></td>{cells}</tr>\n'


def _pictures(chosen: Summary, frames: Sequence[Row], folder: Path) -> str:
    """Show the best, the median and the worst frame."""
    figures = []
    for which, row in best_median_worst(frames):
        path = folder / row['picture']
        if not path.is_file():
            continue
        data = base64.b64encode(path.read_bytes()).decode()
        name = html.escape(f'{Path(row["picture"]).stem}')
        figures.append(
            f'<figure><figcaption><b>{which}</b><span>frame {name}: AbsRel '
            f'{_percent(row["metrics"]["abs_rel"])}, scale {row["scale"]:.3f}</span></figcaption>'
            f'<img alt="{which} frame: photo, depth, truth, error" '
            f'src="data:image/jpeg;base64,{data}"></figure>'
        )
    return (
        '<section class="card"><h2>Best, median and worst frame, '
        f'{html.escape(chosen["name"])}</h2>'
        '<div class="columns"><span>photo</span><span>depth</span><span>truth</span>'
        '<span>error</span><span>error with the right scale</span></div>'
        f'{"".join(figures)}<small>Depth and truth in the same colours, near is warm, black is '
        'unknown. Error: too near<i class="key"></i>too far, the colours end at a third too near '
        'and half too far, grey is unknown.</small></section>\n'
    )
