# SPDX-License-Identifier: MIT
"""What the peers said, gathered: results.json is this."""
import datetime
import os
import platform
import shlex
import statistics
import sys


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(["bench/peers/run.py", *sys.argv[1:]]),
    }


class Results:
    def __init__(self, rounds, quick):
        self.head = {"machine": machine(), "rounds": rounds, "quick": quick}
        self.versions = {}
        self.rows = {}  # (peer, work): one a round
        self.skipped = {}  # (peer, reason): works; none: all of them

    def skip(self, peer, reason, work=None):
        works = self.skipped.setdefault((peer, reason), [])
        if work and work not in works:
            works.append(work)

    def add(self, peer, lines, problem):
        for line in lines:
            self.versions[peer] = line["version"]
            if "skipped" in line:
                self.skip(peer, line["skipped"], line["work"])
            else:
                self.rows.setdefault((peer, line["work"]), []).append(line)
        if problem:
            where = f"after {lines[-1]['work']}" if lines else "at its start"
            self.skip(peer, f"{problem} ({where})")

    def medians(self):
        """Over the rounds, of the medians that each program found."""
        rows = []
        for (peer, work), rounds in self.rows.items():
            values = [row["value"] for row in rounds]
            rows.append({"peer": peer, "work": work, "unit": rounds[0]["unit"],
                         "value": statistics.median(values), "n": len(values), "all": values})
        skipped = [{"peer": peer, "works": works, "reason": reason}
                   for (peer, reason), works in self.skipped.items()]
        return {**self.head, "versions": self.versions, "rows": rows, "skipped": skipped}
