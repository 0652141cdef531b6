#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""One table of a whole run: procpool, the same by hand, the best other pool. Writes results.json
and, of what the other pools do too, chart.svg.

usage: summary.py BENCHMARKS [--peers RESULTS] --out DIR

BENCHMARKS is what procpool_bench wrote (--benchmark_out), RESULTS what peers/run.py did. What
procpool and the same by hand cost is of BENCHMARKS, what the other pools do of RESULTS.
"""
import argparse
import dataclasses
import json
import pathlib
import sys

sys.dont_write_bytecode = True  # what is beside the sources is sources
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

from report import BY_HAND, WORKS, best_other, by_work, said, three_digits
from results import machine


@dataclasses.dataclass
class Row:
    label: str
    what: str  # a counter of the benchmark's, or real_time
    ours: str  # benchmarks
    by_hand: str
    is_by_hand: str
    unit: str = "s"
    work: str | None = None  # the peers' name for it

    @property
    def less(self):
        return self.unit in ("s", "B", "ratio")


COMMAND = "./dev bench"
IN_TURN = ""  # by hand: the benchmark timed both in turn, and has a by_hand_p50
ITEMS = "items_per_second"
BYTES = "bytes_per_second"
ROWS = [
    Row("apply, p50", "p50", "apply_awake", "ping_pong_spinning", "futex ping-pong, spinning",
        work="apply_p50"),
    Row("apply, p99", "p99", "apply_awake", "ping_pong_spinning", "futex ping-pong, spinning",
        work="apply_p99"),
    Row("apply, both sides asleep, p50", "p50", "apply_asleep", "ping_pong_asleep",
        "futex ping-pong, asleep"),
    Row("apply, both sides asleep, p99", "p99", "apply_asleep", "ping_pong_asleep",
        "futex ping-pong, asleep"),
    Row("the same, on two CPUs, p50", "p50", "apply_asleep_on_two_cpus", IN_TURN,
        "futex ping-pong, asleep"),
    Row("the same, on one CPU, p50", "p50", "apply_asleep_on_one_cpu", IN_TURN,
        "futex ping-pong, asleep"),
    Row("apply, after work, on two CPUs, p50", "p50", "apply_after_work_on_two_cpus",
        IN_TURN, "futex ping-pong, the same"),
    Row("the same, on one CPU, p50", "p50", "apply_after_work_on_one_cpu",
        IN_TURN, "futex ping-pong, the same"),
    Row("apply, in turn on one CPU, p50", "p50", "apply_in_turn_on_one_cpu",
        "ping_pong_in_turn_on_one_cpu", "futex ping-pong, the same"),
    Row("the same, beside a computation, mean", "real_time", "apply_beside_a_computation",
        "ping_pong_beside_a_computation", "futex ping-pong, the same"),
    Row("apply_async of 10,000, get all", ITEMS, "apply_async", "ring_of_tasks",
        "a ring of slots", "items/s", "apply_async"),
    Row("map of 1 M ints", ITEMS, "map", "plain_loop", "the loop, one process", "items/s", "map"),
    Row("imap of 1 M ints", ITEMS, "imap_default", "ring_of_tasks", "a ring of slots", "items/s",
        "imap"),
    Row("imap, chunksize 1", ITEMS, "imap_one_by_one", "ring_of_tasks", "a ring of slots",
        "items/s", "imap_1"),
    Row("echo of 1 MiB", BYTES, "echo_1", "fresh_vectors_1", "four copies, fresh vectors", "B/s",
        "echo_1MiB"),
    Row("echo of 64 MiB", BYTES, "echo_64", "fresh_vectors_64", "four copies, fresh vectors",
        "B/s", "echo_64MiB"),
    Row("sum over a span of 1 GiB", BYTES, "sum_of_span", "copy_and_sum_kept",
        "memcpy, kept arena, sum there", "B/s"),
    Row("pool of 2 up, a task, down", "real_time", "pool_up_and_down", "fork_exit_wait",
        "one fork, exit, waitpid", work="up_down"),
    Row("the same, parent of 4 GB; fork", "p50", "heavy_fork", "heavy_fork_exit_wait",
        "one fork, exit, waitpid"),
    Row("the same; forkserver", "p50", "heavy_forkserver", "heavy_fork_exit_wait",
        "one fork, exit, waitpid"),
    Row("a fresh worker for each task", ITEMS, "fresh_workers", "fork_exit_wait",
        "fork, exit, waitpid", "items/s", "fresh"),
    Row("skewed map, times the ideal", "of_ideal", "skewed_map_dozing", "skewed_counter_dozing",
        "two processes, one counter", "ratio", "skewed"),
    Row("stopped at its limit, late, p50", "p50", "timeout_late", "sleep_kill_wait",
        "sleep, kill, waitpid"),
    Row("a crash to worker_died, p50", "p50", "crash_traced", "fork_crash_wait",
        "fork, crash, waitpid"),
    Row("CPU of an idle pool, a second", "real_time", "idle_pool", "idle_without_pool",
        "without a pool, measuring it"),
    Row("memory of an idle worker", "private", "idle_memory_fork", "idle_memory_child",
        "a forked process that waits", "B"),
]


def benchmarks(path):
    """{name: its median, or the one run that it had}; times in seconds."""
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    found = {}
    with open(path, encoding="utf-8") as file:
        for run in json.load(file)["benchmarks"]:
            if run.get("aggregate_name", "median") == "median" and "error_occurred" not in run:
                run["real_time"] *= units[run["time_unit"]]
                found[run["run_name"].split("/")[0]] = run
    return found


def measured(medians):
    """The rows, with what came of them: a benchmark that is not there is a mistake in ROWS."""
    return [{**dataclasses.asdict(row), "value": medians[row.ours][row.what],
             "raw": medians[row.by_hand][row.what] if row.by_hand != IN_TURN
             else medians[row.ours]["by_hand_" + row.what]} for row in ROWS]


def times_as_long(row, value, other):
    return three_digits(value / other if row.less else other / value)


def table(rows, peers):
    lines = [["work", "procpool", "by hand", "takes", "by hand is", "best other pool", "procpool is"]]
    works = by_work(peers) if peers else {}
    for row, values in zip(ROWS, rows):
        ours, raw = values["value"], values["raw"]
        other = [""] * 2
        if best := best_other(row.work, works.get(row.work, {})):
            other = [f"{said(best['value'], row.unit)} {best['peer']}",
                     f"{times_as_long(row, best['value'], ours)} ×"]
        lines.append([row.label, said(ours, row.unit), said(raw, row.unit),
                      f"{times_as_long(row, ours, raw)} ×", row.is_by_hand, *other])
    if not peers:
        lines = [line[:-2] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
            for line in lines]
    text += ["", "takes: so many times as long, or as much memory, as by hand; medians, 2 workers"
             " (idle: 8; sum: 1)"]
    if peers:
        text.append("procpool is: so many times as good as the best other pool of processes")
        text += [f"– {s['peer']}: {s['reason']}" for s in peers["skipped"] if not s["works"]]
    return "\n".join(text)


def with_by_hand(peers, rows):
    """The peers' results, with procpool's figures and those by hand from the benchmarks."""
    ours = [{"peer": peer, "work": row["work"], "unit": row["unit"], "value": row[value]}
            for row in rows if row["work"] for peer, value in (("procpool", "value"),
                                                               (BY_HAND, "raw"))]
    others = [row for row in peers["rows"] if row["peer"] != "procpool"]
    return {**peers, "machine": {**peers["machine"], "command": COMMAND}, "rows": ours + others,
            "versions": {**peers["versions"], BY_HAND: ""}}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", type=pathlib.Path)
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    chosen = parser.parse_args()
    rows = measured(benchmarks(chosen.benchmarks))
    peers = None
    if chosen.peers:
        with open(chosen.peers, encoding="utf-8") as file:
            peers = json.load(file)
    print(f"\n{table(rows, peers)}")
    results = {"machine": {**machine(), "command": COMMAND}, "table": rows, "peers": peers}
    chosen.out.mkdir(parents=True, exist_ok=True)
    with open(chosen.out / "results.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, ensure_ascii=False)
        file.write("\n")
    if peers:
        try:
            from chart import draw
        except ImportError:
            print("chart.svg is not drawn: Debian's python3-matplotlib is not installed")
        else:
            draw(with_by_hand(peers, rows), chosen.out / "chart.svg")


if __name__ == "__main__":
    main()
