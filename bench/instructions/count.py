#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the instructions of the fast paths under callgrind, for each item, and compares them with
baseline.txt: ends with 1 when one has grown by more than 5 %. Counts repeat where times do not.

usage: count.py PROGRAM [--update]     --update writes baseline.txt instead
"""
import pathlib
import re
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).with_name("baseline.txt")
TOLERATED = 1.05


def counted(program):
    """{name: instructions for each item}, in the program's order."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program],
            capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"count.py: {program} under valgrind ended with {run.returncode}\n{run.stderr}")
        dumps = sorted(pathlib.Path(folder).glob("out.*"), key=lambda p: int(p.suffix[1:]))
        found = {}
        for dump in dumps:
            text = dump.read_text()
            mark = re.search(r"^desc: Trigger: Client Request: (.*) (\d+)$", text, re.M)
            if mark:
                total = int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1))
                found[mark.group(1)] = total / int(mark.group(2))
        return found


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--update"]):
        sys.exit(__doc__)
    now = counted(sys.argv[1])
    if not now:
        sys.exit("count.py: nothing was counted")
    if sys.argv[2:]:
        BASELINE.write_text("".join(f"{name}: {count:.1f}\n" for name, count in now.items()))
    before = {}
    for line in BASELINE.read_text().splitlines():
        name, count = line.rsplit(": ", 1)
        before[name] = float(count)
    if set(before) != set(now):
        sys.exit(f"count.py: baseline.txt has other names: {sorted(set(before) ^ set(now))}")
    print(f"{'instructions for each item':34} {'now':>10} {'baseline':>10} {'ratio':>7}")
    grown = []
    for name, count in now.items():
        ratio = count / before[name]
        if ratio > TOLERATED:
            grown.append(name)
        print(f"{name:34} {count:10.1f} {before[name]:10.1f} {ratio:7.3f}")
    if grown:
        sys.exit(f"count.py: grown by more than 5 %: {', '.join(grown)}; "
                 "count.py PROGRAM --update, if that is what it costs")


main()
