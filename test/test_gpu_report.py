# SPDX-License-Identifier: Apache-2.0
"""`make gpu` as it runs without a GPU: a small part of it, with real engines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('torch', reason='torch is not installed')
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(600)  # it converts four networks in processes of their own
def test_every_check_passes_on_a_cpu(tmp_path):
    """Recorded outputs, provocations, times and a short soak; the report as text and JSON."""
    run = subprocess.run(
        [
            *(sys.executable, '-m', 'bench.gpu', '--device', 'cpu'),
            *('--soak', '1', '--out', str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    report = json.loads((tmp_path / 'report.json').read_text())
    names = [check['name'] for check in report['checks']]
    assert 'golden output vits 0, vits, cpu fp32' in names
    for name in ('five sizes in turn', 'closed while it runs', 'soak'):
        assert name in names
    assert all(check['passed'] for check in report['checks'])
    assert [row['stage'] for row in report['rows']] == [
        'small, cpu fp32, batch of 1',
        'small, cpu fp32, batch of 1, the network alone',
        'small, cpu fp32, batch of 2',
        'small, cpu fp32, batch of 2, the network alone',
        'depth to cloud, cpu',
    ]
    assert all(row['value'] > 0 for row in report['rows'])
    assert 'five sizes in turn: 3 rounds' in (tmp_path / 'report.txt').read_text()
