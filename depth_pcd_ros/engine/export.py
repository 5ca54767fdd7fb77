# SPDX-License-Identifier: Apache-2.0
"""A program of its own: converts a checkpoint for OpenVINO, so that torch never enters the node.

    python -m depth_pcd_ros.engine.export CHECKPOINT FAMILY MAX_DEPTH FOLDER fp16|fp32

writes network.xml and network.bin to FOLDER. It ends early when its standard input does, as it does
when the process that started it is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import warnings
from pathlib import Path

from depth_pcd_ros.engine.base import EngineError
from depth_pcd_ros.networks.families import FAMILIES
from depth_pcd_ros.networks.family import CheckpointError

ONNX_FILENAME = 'network.onnx'
FILENAME = 'network.xml'  # with network.bin beside it
# Exit codes: what was wrong. The message is on standard output.
BAD_CHECKPOINT, NO_TORCH, NO_ROOM, REFUSED = 3, 4, 5, 6


def main() -> int:
    """Convert, print, return the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m depth_pcd_ros.engine.export', description=__doc__
    )
    for name in ('checkpoint', 'family', 'max_depth', 'folder', 'weights'):
        parser.add_argument(name)
    parser.add_argument('--onnx', metavar='HxW', help='as ONNX, for this size at the network')
    args = parser.parse_args()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        import torch
    except ImportError as err:
        print(err)
        return NO_TORCH
    known = FAMILIES[args.family](Path(args.checkpoint), float(args.max_depth))
    try:
        if args.onnx:
            from depth_pcd_ros.engine.onnx.write import write

            height, width = map(int, args.onnx.split('x'))
            write(known, (height, width), Path(args.folder) / ONNX_FILENAME, args.weights)
            return 0
        network = known.load()
    except CheckpointError as err:
        print(err)
        return BAD_CHECKPOINT
    except EngineError as err:
        print(err)
        return REFUSED
    except OSError as err:
        print(err)
        return NO_ROOM

    from depth_pcd_ros.engine.openvino.runtime import openvino

    ov = openvino()
    # What depends on the size of the picture stays open: the engine fixes it, without torch.
    side = 8 * known.patch
    with torch.inference_mode(), warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter('ignore')  # of the tracer, about sizes
        model = ov.convert_model(
            network,
            example_input=torch.zeros(1, 3, side, side + 2 * known.patch),
            input=[-1, 3, -1, -1],
        )
    try:
        ov.save_model(model, Path(args.folder) / FILENAME, compress_to_fp16=args.weights == 'fp16')
    except (RuntimeError, OSError) as err:
        print(err)
        return NO_ROOM
    return 0


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == '__main__':
    sys.exit(main())
