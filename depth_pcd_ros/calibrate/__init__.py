# SPDX-License-Identifier: Apache-2.0
"""The constant `depth_scale` of a camera and a model, from what is known to be true."""
