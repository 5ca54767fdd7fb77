# SPDX-License-Identifier: Apache-2.0
"""Write the report: report.json, frames.csv, report.html and parameters.yaml."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depth_pcd_ros import __version__
from depth_pcd_ros.evaluate.advice import Advice, advise, parameter_file
from depth_pcd_ros.evaluate.metrics import NAMES
from depth_pcd_ros.evaluate.options import SETTINGS, Setting
from depth_pcd_ros.evaluate.results import Row
from depth_pcd_ros.evaluate.summary import Summary, summarize
from depth_pcd_ros.files.whole_file import whole_file

JSON, CSV, HTML, PARAMETERS = 'report.json', 'frames.csv', 'report.html', 'parameters.yaml'
# Columns of frames.csv beside the metrics.
PLAIN = ('input', 'number', 'stamp', 'picture', 'pixels', 'known', 'coverage', 'scale')
POINTS = ('accuracy', 'completeness', 'f_5cm', 'f_10cm')
OBSTACLES = ('missed', 'ghosts')
TIMES = ('temporal', 'network_ms')


def write(
    folder: Path, settings: Sequence[Setting], rows: Sequence[Sequence[Row]], inputs: Sequence[str]
) -> list[str]:
    """Write all files of the report, with the frames of each setting; return what to tell."""
    from depth_pcd_ros.evaluate.page import page  # only here: matplotlib is an extra

    summaries = [
        summarize(
            setting.name, {name: getattr(setting.settings, name) for name in SETTINGS}, frames
        )
        for setting, frames in zip(settings, rows, strict=True)
    ]
    advice = advise(summaries, rows)
    chosen = summaries[advice.setting]
    names = ', '.join(Path(one).name for one in inputs)
    note = f'by depth-pcd evaluate on {chosen["frames"]} frames of {names}'
    parameters = parameter_file(advice.parameters, note)
    _write(folder / PARAMETERS, parameters)
    _write(folder / CSV, _csv(summaries, rows))
    _write(folder / JSON, json.dumps(_json(summaries, advice, inputs), indent=2) + '\n')
    html = page(summaries, rows, advice, inputs=inputs, parameters=parameters, folder=folder)
    _write(folder / HTML, html)
    return [*advice.sentences, f'Look at {folder / HTML}; for the node: {folder / PARAMETERS}']


def _json(summaries: Sequence[Summary], advice: Advice, inputs: Sequence[str]) -> dict[str, Any]:
    return {
        'version': __version__,
        'inputs': list(inputs),
        'settings': list(summaries),
        'best': summaries[advice.setting]['name'],
        'advice': advice.sentences,
        'suggested': advice.parameters,
        'suggested_abs_rel': advice.abs_rel,
    }


def _csv(summaries: Sequence[Summary], rows: Sequence[Sequence[Row]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    aligned = [f'aligned_{name}' for name in NAMES]
    writer.writerow(['setting', *PLAIN, *NAMES, *aligned, *POINTS, *OBSTACLES, *TIMES])
    for summary, frames in zip(summaries, rows, strict=True):
        for row in frames:
            obstacles = row['obstacles'] or {}
            writer.writerow(
                [
                    summary['name'],
                    *(row[name] for name in PLAIN),
                    *(row['metrics'][name] for name in NAMES),
                    *(row['aligned'][name] for name in NAMES),
                    *(row['points'][name] for name in POINTS),
                    *(obstacles.get(name) for name in OBSTACLES),
                    *(row[name] for name in TIMES),
                ]
            )
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())
