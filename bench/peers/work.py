# SPDX-License-Identifier: MIT
"""The work items of the Python peers; work.h is the same in C++."""
import sys
import time

QUICK = "--quick" in sys.argv
TARGET = 0.01 if QUICK else 0.3  # seconds that one repeat of a rate shall take
MOST = 1_000 if QUICK else 1_000_000  # items in one repeat
MIB = 1 << 20
LARGE = (4 if QUICK else 64) * MIB

# Microseconds: many short ones, some long ones, the longest last.
SKEWED = [us // (20 if QUICK else 1) for us in
          [2_000] * 200 + [1_000 * ms for ms in (20, 60, 25, 55, 30, 50, 35, 45)] + [300_000]]


def increment(x):
    return x + 1


def same(blob):
    return blob


def doze(us):
    time.sleep(us * 1e-6)
    return us


def greedy():
    """Seconds that two workers need who take SKEWED in order, one at a time, at no cost."""
    busy = [0, 0]
    for us in SKEWED:
        busy[busy.index(min(busy))] += us
    return max(busy) * 1e-6
