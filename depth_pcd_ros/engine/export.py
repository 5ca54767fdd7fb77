# SPDX-License-Identifier: Apache-2.0
"""A program of its own: converts a checkpoint for OpenVINO, so that torch never enters the node.

    python -m depth_pcd_ros.engine.export CHECKPOINT FAMILY MAX_DEPTH INPUT_SIZE FOLDER fp16|fp32

writes network.xml and network.bin to FOLDER, and with --proof what `proof` compares engines with;
or, with --onnx, network.onnx and the same; or, with --reference, only that. It ends early when its
standard input does, as it does when the process that started it is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import warnings
from pathlib import Path

import numpy as np

from depth_pcd_ros.engine.base import EngineError, Floats, ProofError
from depth_pcd_ros.networks.families import FAMILIES
from depth_pcd_ros.networks.family import CheckpointError, Family
from depth_pcd_ros.settings import EngineSettings

ONNX_FILENAME = 'network.onnx'
FILENAME = 'network.xml'  # with network.bin beside it
# Exit codes: what was wrong. The message is on standard output.
BAD_CHECKPOINT, NO_TORCH, NO_ROOM, REFUSED, WRONG = 3, 4, 5, 6, 7


def main() -> int:
    """Convert, print, return the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m depth_pcd_ros.engine.export', description=__doc__
    )
    for name in ('checkpoint', 'family', 'max_depth', 'input_size', 'folder', 'weights'):
        parser.add_argument(name)
    parser.add_argument('--onnx', metavar='HxW', help='as ONNX, for this size at the network')
    parser.add_argument('--reference', metavar='HxW', help='the depth of the stored pictures')
    parser.add_argument('--proof', metavar='HxW', help='that depth, too, with one start of torch')
    args = parser.parse_args()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        import torch
    except ImportError as err:
        print(err)
        return NO_TORCH
    known = FAMILIES[args.family](
        Path(args.checkpoint), float(args.max_depth), int(args.input_size)
    )
    folder = Path(args.folder)
    try:
        if size := args.onnx or args.reference or args.proof:
            height, width = map(int, size.split('x'))
            if args.onnx:
                from depth_pcd_ros.engine.onnx.write import write

                write(known, (height, width), folder / ONNX_FILENAME, args.weights)
            _save_reference(known, (height, width), folder)
        if args.onnx or args.reference:
            return 0
        network = known.load()
    except CheckpointError as err:
        print(err)
        return BAD_CHECKPOINT
    except EngineError as err:
        print(err)
        return WRONG if isinstance(err, ProofError) else REFUSED
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
        ov.save_model(model, folder / FILENAME, compress_to_fp16=args.weights == 'fp16')
    except (RuntimeError, OSError) as err:
        print(err)
        return NO_ROOM
    return 0


def reference_name(size: tuple[int, int], input_size: int) -> str:
    """Name the file with the depth of the stored pictures.

    Args:
        size: (h, w) at the network [px].
        input_size: of the network, by which Depth Anything 3 reduces a picture first [px].
    """
    return f'reference-{size[0]}x{size[1]}-{input_size}.npy'


def _save_reference(known: Family, size: tuple[int, int], folder: Path) -> None:
    """Run the network in torch in fp32 on the stored pictures, and keep what it gives."""
    from depth_pcd_ros.engine.proof import HEIGHT, WIDTH, pictures
    from depth_pcd_ros.engine.torch_engine import TorchEngine

    made = TorchEngine(EngineSettings(device='cpu', precision='fp32'), network=known)
    maps: Floats = np.concatenate([made._run([rgb], size, (HEIGHT, WIDTH)) for rgb in pictures()])
    np.save(folder / reference_name(size, known.input_size), maps)


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == '__main__':
    sys.exit(main())
