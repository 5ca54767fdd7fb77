# SPDX-License-Identifier: Apache-2.0
"""Stands for tf2_msgs, which has no wheel."""
