# SPDX-License-Identifier: MIT
"""What was measured, as a table."""
from peers import PEERS

# work: what a reader is told, and whether less is better
WORKS = {
    "apply_p50": ("apply, there and back, p50", True),
    "apply_p99": ("apply, there and back, p99", True),
    "apply_async": ("apply_async of many, get all", False),
    "map": ("map of ints", False),
    "imap": ("imap, default chunksize", False),
    "imap_1": ("imap, chunksize 1", False),
    "echo_1MiB": ("echo of 1 MiB", False),
    "echo_64MiB": ("echo of 64 MiB", False),
    "up_down": ("pool of 2 up, a task, down", True),
    "fresh": ("a fresh worker for each task", False),
    "skewed": ("skewed map, times the ideal", True),
}
UNITS = {"s": "s", "items/s": "/s", "B/s": "B/s", "B": "B"}
PREFIXES = (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")
BY_HAND = "by hand"  # no pool: what ../summary.py puts beside them
THREADS = {peer.name for peer in PEERS.values() if not peer.isolated}


def three_digits(value):
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def said(value, unit):
    """0.000123, "s" is 123 µs."""
    if unit == "ratio":
        return f"{value:.2f}"
    # What rounds up to 1000 belongs to the next prefix.
    scale, prefix = next((s for s in PREFIXES if value >= 0.9995 * s[0]), PREFIXES[-1])
    return f"{three_digits(value / scale)} {prefix}{UNITS[unit]}"


def by_work(results):
    """{work: {peer: row}}, in the order of WORKS."""
    rows = {work: {} for work in WORKS}
    for row in results["rows"]:
        rows[row["work"]][row["peer"]] = row
    return rows


def best_other(work, rows):
    """The row of the best other pool of processes; nothing when none does that work."""
    others = [r for p, r in rows.items() if p != "procpool" and p not in THREADS]
    if not others:
        return None
    return (min if WORKS[work][1] else max)(others, key=lambda row: row["value"])


def against_best(work, rows):
    """How many times as good procpool is as the best of the other process pools."""
    best = best_other(work, rows)
    if not best or "procpool" not in rows:
        return "–"
    ratio = best["value"] / rows["procpool"]["value"]
    return f"{three_digits(ratio if WORKS[work][1] else 1 / ratio)} × {best['peer']}"


def table(results):
    """Markdown, aligned so that it can be read as it is."""
    peers = [peer.name for peer in PEERS.values() if peer.name in results["versions"]]
    lines = [["work", *peers, "procpool is"]]
    for work, rows in by_work(results).items():
        cells = [said(rows[p]["value"], rows[p]["unit"]) if p in rows else "–" for p in peers]
        lines.append([WORKS[work][0], *cells, against_best(work, rows)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
            for line in lines]
    text += ["", "procpool is: so many times as good as the best other pool of processes"]
    if threads := [p for p in peers if p in THREADS]:
        text.append("threads, without isolation: " + ", ".join(threads))
    text += [f"– {s['peer']}: {', '.join(s['works'])}: {s['reason']}" if s["works"] else
             f"– {s['peer']}: {s['reason']}" for s in results["skipped"]]
    if results["quick"]:
        text.append("a quick run: its sizes are tiny, and its figures mean nothing")
    return "\n".join(text)
