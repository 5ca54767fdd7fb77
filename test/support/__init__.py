# SPDX-License-Identifier: Apache-2.0
"""What several files of tests share."""
