# SPDX-License-Identifier: Apache-2.0
"""The depth networks, one module a family, and where their weights come from."""
