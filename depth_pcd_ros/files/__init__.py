# SPDX-License-Identifier: Apache-2.0
"""Point cloud files that other programs read: PLY, PCD, LAS; written as a whole or not at all."""
