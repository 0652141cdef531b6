#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the headers cost a user, in compiler seconds at -O2.

Prints two figures: <procpool/procpool.h> over an empty program, and each further distinct pool.map.
Timing says little on a busy machine, so only a figure far beyond its budget is a failure.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HEADER_BUDGET = 1.3  # seconds
CALL_BUDGET = 0.15
GROSS = 3.0  # times the budget
CALLS = 8

EMPTY = "int main() {}\n"
HEADER = "#include <procpool/procpool.h>\n"


def program_with(calls):
    """A program with so many maps, no two of which share an instantiation of their function."""
    body = "".join(
        f"  total += pool.map([](int x) {{ return x + {k}; }}, xs).front();\n" for k in range(calls))
    return (HEADER + "#include <vector>\nint main() {\n  procpool::pool pool(2);\n"
            "  const std::vector<int> xs{1, 2, 3};\n  int total = 0;\n" + body + "  return total;\n}\n")


def cpu_seconds(command):
    """User and system time of a command and its children: a busy machine disturbs it less than the clock."""
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    return (after.children_user + after.children_system
            - before.children_user - before.children_system)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    include = pathlib.Path(__file__).resolve().parents[2] / "include"

    programs = {"empty": EMPTY, "header": HEADER + EMPTY,
                "one": program_with(1), "many": program_with(1 + CALLS)}
    times = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        # Round by round, so that a slow spell of the machine falls on all four alike.
        for _ in range(arguments.runs):
            for name, text in programs.items():
                source = pathlib.Path(folder, name + ".cc")
                source.write_text(text)
                times[name].append(cpu_seconds(
                    [arguments.compiler, "-std=c++20", "-O2", f"-I{include}",
                     "-c", str(source), "-o", os.devnull]))
    median = {name: statistics.median(values) for name, values in times.items()}
    figures = [("including <procpool/procpool.h>", median["header"] - median["empty"], HEADER_BUDGET),
               ("each further distinct pool.map", (median["many"] - median["one"]) / CALLS, CALL_BUDGET)]

    grossly_over = False
    for name, seconds, budget in figures:
        grossly_over |= seconds > GROSS * budget
        print(f"compile time: {name}: {seconds:.2f} s (budget {budget} s)")
    return 1 if grossly_over else 0


if __name__ == "__main__":
    sys.exit(main())
