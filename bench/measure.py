# SPDX-License-Identifier: Apache-2.0
"""Time functions in turns, and make a table and JSON of the results.

A part is a module `bench.NAME` with `measure(repetitions: int) -> list[Row]`; `bench.__main__` has
the list. What is compared is timed in turns, so that a busy machine slows all of it alike.
"""

import dataclasses
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

WARM_UP = 2  # rounds that are not counted
PACKAGES = (
    'numpy', 'opencv-python-headless', 'numba', 'torch', 'openvino', 'open3d', 'ros-rclpy',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured value.

    Attributes:
        stage: what was measured.
        size: of the picture, or '' where that has no bearing.
        value: the median, in `unit`.
        against: what `reference` is the time of: a limit such as a copy, or another way.
        reference: in the same unit, from the same run; None: `value` is judged by itself.
        faster: the ratio is reference / value, how many times faster this is; else the ratio is
            value / reference, how near the limit.
        required, aim: bounds of the ratio (of the value, without a reference): the least where
            `faster`, else the most.
        peers: other ways to do the same, in the same unit and from the same run.
        note: what a reader must know.
    """

    stage: str
    size: str
    value: float
    unit: str = 'ms'
    against: str = ''
    reference: float | None = None
    faster: bool = False
    required: float | None = None
    aim: float | None = None
    peers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    note: str = ''

    @property
    def ratio(self) -> float | None:
        """The ratio, see `faster`; None without a reference."""
        if self.reference is None:
            return None
        return self.reference / self.value if self.faster else self.value / self.reference

    @property
    def met(self) -> str:
        """The bound that is met: 'aim', 'required', 'NO', or '' where there is none."""
        judged = self.value if self.ratio is None else self.ratio
        sign = -1.0 if self.faster else 1.0
        for name, bound in (('aim', self.aim), ('required', self.required)):
            if bound is not None and sign * judged <= sign * bound:
                return name
        return '' if self.required is None else 'NO'


def medians(
    runs: Mapping[str, Callable[[], Any]], repetitions: int, warm_up: int = WARM_UP
) -> dict[str, float]:
    """Run functions in turns; return the median time of each [ms]."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repetition in range(repetitions + warm_up):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repetition >= warm_up:
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def machine() -> dict[str, Any]:
    """Describe the machine and the versions that a figure holds for."""
    info: dict[str, Any] = {
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'system': platform.platform(),
        'processor': platform.processor() or platform.machine(),
        'cores': os.cpu_count(),
        'load': round(os.getloadavg()[0], 2),
        'python': platform.python_version(),
        'versions': {},
    }
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        lines = dict(
            map(str.strip, line.split(':', 1))
            for line in cpuinfo.read_text().splitlines()
            if ':' in line
        )
        info['processor'] = lines.get('model name', info['processor'])
        wanted = ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16')
        info['instructions'] = [name for name in wanted if name in lines.get('flags', '').split()]
    for package in PACKAGES:
        try:
            info['versions'][package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            info['versions'][package] = None
    return info


def table(rows: Sequence[Row]) -> str:
    """Format the rows as text, peers below their row."""
    head = ('stage', 'size', 'measured', 'against', 'ratio', 'required', 'aim', 'met')
    lines = [head]
    for row in rows:
        sign = '>=' if row.faster else '<='
        against = f'{row.against} {row.reference:.3g}' if row.reference is not None else row.against
        lines.append(
            (
                row.stage,
                row.size,
                f'{row.value:.3g} {row.unit}',
                against,
                '' if row.ratio is None else f'{row.ratio:.2f}' + ('x' if row.faster else ''),
                *('' if b is None else f'{sign} {b:g}' for b in (row.required, row.aim)),
                row.met,
            )
        )
        for name, value in row.peers.items():
            slower = f'{value / row.value:.1f}'
            lines.append(('', '', f'{value:.3g} {row.unit}', f'({name})', slower, '', '', ''))
        if row.note:
            lines.append(('', '', '', f'({row.note})', '', '', '', ''))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    texts = [
        '  '.join(
            cell.rjust(width) if i in (2, 4) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return '\n'.join([texts[0], '-' * len(texts[0]), *texts[1:]])


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Convert the rows for JSON, with ratio and verdict."""
    return [{**dataclasses.asdict(row), 'ratio': row.ratio, 'met': row.met} for row in rows]
