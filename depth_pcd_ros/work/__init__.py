# SPDX-License-Identifier: Apache-2.0
"""Inputs, done one after another: read, inferred and written at the same time."""
