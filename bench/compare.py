#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two builds of the benchmark program in turn, so that what else the machine does hits both alike:
how many times as fast NEW is as OLD, and between which bounds that lay. What takes seconds each
time is left out, unless a filter asks for it.

usage: compare.py OLD NEW [--rounds N] [flags for both, as --benchmark_filter=apply]
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile


SLOW = "--benchmark_filter=-(heavy_|schedule_100M|sum_of_span|copy_and_sum|skewed_)"


def run(program, flags):
    """{name: rate, or 1 / time or memory, whichever the benchmark tells; more is better} of one run."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [program, f"--benchmark_out={out.name}", "--benchmark_out_format=json",
             "--benchmark_repetitions=1", "--benchmark_report_aggregates_only=false",
             "--benchmark_min_time=0.1", SLOW, *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        report = json.load(out)
    found = {}
    for row in report["benchmarks"]:
        if "error_occurred" in row:
            continue
        rate = row.get("items_per_second") or row.get("bytes_per_second")
        time = row.get("private") or row.get("p50") or row["real_time"]
        found[row["name"].removesuffix("/real_time")] = rate or 1 / time
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rounds", type=int, default=5)
    chosen, flags = parser.parse_known_args()
    ratios = {}
    for number in range(chosen.rounds):
        # Who goes first changes: the second finds the machine as the first has left it.
        order = (chosen.old, chosen.new) if number % 2 == 0 else (chosen.new, chosen.old)
        got = {program: run(program, flags) for program in order}
        for name, new in got[chosen.new].items():
            if name in got[chosen.old]:
                ratios.setdefault(name, []).append(new / got[chosen.old][name])
        print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
    print(f"{'new is so many times as fast':34} {'median':>8} {'least':>8} {'most':>8}")
    for name, all_of_it in ratios.items():
        print(f"{name:34} {statistics.median(all_of_it):8.2f} {min(all_of_it):8.2f} "
              f"{max(all_of_it):8.2f}")


main()
