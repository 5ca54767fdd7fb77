# SPDX-License-Identifier: Apache-2.0
"""The depth networks: one module a family, the networks in torch, and where their weights are."""
