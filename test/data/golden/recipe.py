# SPDX-License-Identifier: Apache-2.0
"""Made-up weights for an official checkpoint; see README.md."""

import zlib

import numpy as np


def deterministic_state_dict(shapes, seed=0):
    """{official key: shape} to {official key: float32 array}, the same on every machine."""
    out = {}
    for key, shape in shapes.items():
        # Legacy RandomState streams are frozen across numpy versions.
        rng = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
        x = rng.standard_normal(shape).astype(np.float32)
        leaf = key.rsplit('.', 1)[-1]
        if leaf == 'gamma':  # LayerScale
            x = 0.2 + 0.05 * x
        elif leaf == 'weight' and len(shape) == 1:  # LayerNorm
            x = 1.0 + 0.1 * x
        elif leaf == 'weight':
            fan_in = int(np.prod(shape[1:]))
            if 'resize_layers' in key and shape[-1] in (2, 4):
                fan_in = shape[0]  # ConvTranspose2d (in, out, k, k)
            x = x * np.float32((1.0 / fan_in) ** 0.5)
        else:  # biases, cls/pos/mask tokens
            x = 0.1 * x
        out[key] = x.astype(np.float32)
    return out
