# SPDX-License-Identifier: MIT
"""How the Python peers are measured, and what they say.

Each row is one JSON line on stdout: the median of some repeats, after a warm-up.
"""
import json
import statistics
import time

from work import LARGE, MIB, MOST, QUICK, SKEWED, TARGET, doze, greedy, increment, same


def seconds(call, *args):
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def last(results):
    """Of a lazy sequence, all of which is taken."""
    y = None
    for y in results:
        pass
    return y


class Rows:
    def __init__(self, peer, version):
        self.peer, self.version = peer, version

    def row(self, work, unit, values):
        self.say(work=work, value=statistics.median(values), unit=unit, n=len(values), all=values)

    def absent(self, work, reason):
        self.say(work=work, skipped=reason)

    def say(self, **what):
        print(json.dumps({"peer": self.peer, "version": self.version, **what}), flush=True)

    def repeat(self, once):
        """What `once` returns, 3 times or for half a second, whichever is more; 50 at most."""
        values, start = [once()], time.perf_counter()
        while not QUICK and len(values) < 50 and (
                len(values) < 3 or time.perf_counter() - start < 0.5):
            values.append(once())
        return values

    def sized(self, call, most):
        """So large an n that call(n) takes about TARGET. Finding it warms everything up."""
        n = 4
        call(n)  # workers that start only now would count
        while (took := seconds(call, n)) < TARGET / 4 and n < most:
            n = min(4 * n, most)
        return max(1, min(most, int(n * TARGET / took)))

    def apply(self, call):
        def some(n):
            return sorted(seconds(call, x) for x in range(n))
        n = self.sized(some, MOST // 10)
        runs = self.repeat(lambda: some(n))
        for work, q in ("apply_p50", 0.5), ("apply_p99", 0.99):
            self.row(work, "s", [times[int(q * (n - 1))] for times in runs])

    def rate(self, work, last_of):
        """`last_of` makes a list of ints one larger, and returns the last."""
        def some(n):
            xs = list(range(n))
            start = time.perf_counter()
            y = last_of(xs)
            took = time.perf_counter() - start
            if y != n:
                raise AssertionError(f"{work}: {y} is not {n}")
            return n / took
        n = self.sized(some, MOST)
        self.row(work, "items/s", self.repeat(lambda: some(n)))

    def echo(self, call):
        for work, size in ("echo_1MiB", MIB), ("echo_64MiB", LARGE):
            blob = b"\1" * size

            def some(n):
                for _ in range(n):
                    if len(call(blob)) != size:
                        raise AssertionError(work)
            n = self.sized(some, 1000)
            # Each byte counts once on its way there and once on its way back.
            self.row(work, "B/s", self.repeat(lambda: 2 * size * n / seconds(some, n)))

    def skewed(self, call):
        call(SKEWED)
        self.row("skewed", "ratio", self.repeat(lambda: seconds(call, SKEWED) / greedy()))

    def up_down(self, call):
        call()
        self.row("up_down", "s", self.repeat(lambda: seconds(call)))

    def executor(self, e, whole_map=None):
        """All that a warm concurrent.futures.Executor does; some have a map of their own."""
        whole_map = whole_map or (lambda f, xs: list(e.map(f, xs)))
        self.apply(lambda x: e.submit(increment, x).result())
        self.rate("apply_async", lambda xs: [f.result() for f in
                                             [e.submit(increment, x) for x in xs]][-1])
        self.rate("map", lambda xs: whole_map(increment, xs)[-1])
        self.rate("imap", lambda xs: last(e.map(increment, xs)))
        self.rate("imap_1", lambda xs: last(e.map(increment, xs, chunksize=1)))
        self.echo(lambda blob: e.submit(same, blob).result())
        self.skewed(lambda xs: whole_map(doze, xs))
