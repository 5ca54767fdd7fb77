# SPDX-License-Identifier: Apache-2.0
"""The networks in torch, by the keys of their checkpoints; the families import them when needed."""
