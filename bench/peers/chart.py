# SPDX-License-Identifier: MIT
"""What was measured, as a chart: a panel for each work, the best on top. Needs matplotlib."""
import math

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402 - it takes the backend that is set by then
from matplotlib.patches import Patch  # noqa: E402

from report import BY_HAND, THREADS, WORKS, by_work, said  # noqa: E402

OURS, RAW, PROCESSES, FADED = "#d9480f", "#495057", "#748ffc", "#ced4da"
GREY = "#868e96"


def colour(peer):
    if peer in THREADS:
        return FADED
    return {"procpool": OURS, BY_HAND: RAW}.get(peer, PROCESSES)


def panel(ax, work, rows, places):
    label, less = WORKS[work]
    ax.set_title(label, loc="left", fontweight="bold")
    ax.spines[["top", "right", "bottom", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    rows = sorted(rows.values(), key=lambda row: row["value"], reverse=less)
    if not rows:
        ax.axis("off")
        return
    values = [row["value"] for row in rows]
    ax.barh([row["peer"] for row in rows], values, height=0.72,
            color=[colour(row["peer"]) for row in rows])
    ax.set_ylim(len(rows) - places - 0.5, len(rows) - 0.5)  # bars are as thick in every panel
    if work == "skewed":
        # From 1 to 2 or so: a logarithm would show nothing.
        ax.set_xlim(0, 1.3 * max(values))
        scale = "linear"
    else:
        ax.set_xscale("log")
        low, high = math.log10(min(values)), math.log10(max(values))
        span = max(high - low, 0.5)
        ax.set_xlim(10 ** (low - 0.15 * span), 10 ** (high + 0.4 * span))
        scale = "log"
    ax.set_xticks([])
    ax.minorticks_off()
    ax.set_xlabel(f"{'less' if less else 'more'} is better; {scale} scale", loc="left",
                  fontsize=7, color=GREY)
    for y, row in enumerate(rows):
        ours = row["peer"] == "procpool"
        ax.annotate(said(row["value"], row["unit"]), (row["value"], y), (3, 0),
                    textcoords="offset points", va="center_baseline",
                    fontweight="bold" if ours else "normal")
        if ours:
            ax.get_yticklabels()[y].set(fontweight="bold", color=OURS)


def legend(ax, results):
    ax.axis("off")
    by_hand = [Patch(color=RAW, label="the same by hand, without a pool")]
    ax.legend(handles=[Patch(color=OURS, label="procpool"),
                       *(by_hand if BY_HAND in results["versions"] else []),
                       Patch(color=PROCESSES, label="other pools of processes"),
                       Patch(color=FADED, label="threads, without isolation")],
              loc="upper left", frameon=False, fontsize=9)
    machine = results["machine"]
    rounds = "a quick run: figures mean nothing" if results["quick"] else (
        f"rounds: {results['rounds']}, their medians")
    of = f", {machine['command']}" if BY_HAND in results["versions"] else ""
    ax.text(0.03, 0.58, f"two workers; {rounds}\n"
            f"{machine['cpu']}, {machine['cores']} cores\n"
            f"Linux {machine['kernel'].partition('-')[0]}, {machine['date'][:10]}{of}",
            transform=ax.transAxes, va="top", fontsize=7, color=GREY)


def draw(results, path):
    matplotlib.rcParams.update({"font.size": 8, "svg.fonttype": "none",
                                "svg.hashsalt": "procpool"})
    figure, axes = pyplot.subplots(4, 3, figsize=(12, 11.5))
    for ax, (work, rows) in zip(axes.flat, by_work(results).items()):
        panel(ax, work, rows, len(results["versions"]))
    legend(axes.flat[-1], results)
    figure.tight_layout(h_pad=1.5, w_pad=1.5)
    # No date in it: two charts of the same figures are the same file.
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
