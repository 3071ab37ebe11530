# SPDX-License-Identifier: Apache-2.0
"""Starters of real servers, scripted servers and faults for tests/e2e; Debian's Python 3.11."""
