# SPDX-License-Identifier: Apache-2.0
"""depth-pcd evaluate: how good the depth is, against the truth that a recording or folder holds."""
