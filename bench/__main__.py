# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: one table, and JSON. `python -m bench`, or some parts: `python -m bench stages`."""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from bench import measure

# Each is a module here with `measure(repetitions) -> list[Row]`.
PARTS = (
    'stages', 'filters', 'network', 'models', 'end_to_end', 'several', 'scale', 'motion',
)  # fmt: skip


def main() -> int:
    """Parse the command line, measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    parser.add_argument('parts', nargs='*', default=PARTS, metavar='PART', help=', '.join(PARTS))
    parser.add_argument('--repetitions', type=int, default=50)
    parser.add_argument('--json', type=Path, default=Path('out/bench.json'), metavar='FILE')
    args = parser.parse_args()
    for name in args.parts:
        if name not in PARTS:
            parser.error(f'there is no part {name!r}, only {", ".join(PARTS)}')
    # Before a part loads torch: where others want the cores, its threads would spin, and lose.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    machine = measure.machine()
    print(f'{machine["processor"]}, {machine["cores"]} cores, load {machine["load"]} at the start')
    rows = {}
    for name in args.parts:
        print(f'measuring {name} ...', file=sys.stderr, flush=True)
        rows[name] = importlib.import_module(f'bench.{name}').measure(args.repetitions)
    print(measure.table([row for part in rows.values() for row in part]))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    parts = {name: measure.as_json(part) for name, part in rows.items()}
    args.json.write_text(json.dumps({'machine': machine, 'parts': parts}, indent=2) + '\n')
    print(f'written to {args.json}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
