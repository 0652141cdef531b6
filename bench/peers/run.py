#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The same work through procpool and through other pools, side by side: prints a table, writes
results.json and chart.svg. Installs nothing: what is missing is said, and left out.

Run it with Debian's own python3, which is the one that has Debian's python3-* packages.
"""
import argparse
import json
import pathlib
import sys
import time

sys.dont_write_bytecode = True  # what is beside the sources is sources

from peers import BUILD, PEERS
from program import HUNG, run
from report import table
from results import Results

TRIES = 3  # of one that hangs, as mpi4py.futures does now and then while it spawns


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="each runs every peer once (3)")
    parser.add_argument("--peers", default=",".join(PEERS), help="of %(default)s")
    parser.add_argument("--out", type=pathlib.Path, help="directory for results.json and chart.svg"
                        " (build/peers; build/peers/quick when they are of a quick run)")
    parser.add_argument("--quick", action="store_true", help="one round of tiny sizes")
    chosen = parser.parse_args()
    chosen.peers = chosen.peers.split(",")
    if unknown := [name for name in chosen.peers if name not in PEERS]:
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    if chosen.quick:
        chosen.rounds = 1
    chosen.out = chosen.out or BUILD / "peers" / ("quick" if chosen.quick else ".")
    return chosen


def measure(names, rounds, quick):
    """In turn, round after round, so that what else the machine does hits all alike."""
    results = Results(rounds, quick)
    running = []
    for peer in (PEERS[name] for name in names):
        if reason := peer.missing():
            results.skip(peer.name, reason)
        else:
            running.append(peer)
    for number in range(1, rounds + 1):
        for peer in list(running):
            for _ in range(TRIES):
                start = time.monotonic()
                lines, problem = run(peer, quick)
                results.add(peer.name, lines, problem)
                print(f"round {number} of {rounds}: {peer.name}: "
                      f"{problem or f'{time.monotonic() - start:.1f} s'}", file=sys.stderr)
                if not problem or not problem.startswith(HUNG):
                    break
            if problem:
                running.remove(peer)
    return results.medians()


def main():
    chosen = arguments()
    results = measure(chosen.peers, chosen.rounds, chosen.quick)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with open(chosen.out / "results.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(table(results))
    try:
        from chart import draw
    except ImportError:
        print("chart.svg is not drawn: Debian's python3-matplotlib is not installed")
    else:
        draw(results, chosen.out / "chart.svg")
    # A peer that is missing or fails is a finding; that procpool does is a failure.
    return "procpool" in chosen.peers and not any(
        row["peer"] == "procpool" and row["work"] == "skewed" for row in results["rows"])


if __name__ == "__main__":
    sys.exit(main())
