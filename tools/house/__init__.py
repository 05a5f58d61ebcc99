# SPDX-License-Identifier: Apache-2.0
"""The house rules as a program; tools/tidy is its door."""
