# SPDX-License-Identifier: MIT
"""Pebble; its map is lazy, and its chunksize 1 when not told otherwise."""
import multiprocessing
from importlib.metadata import version

import pebble

from rows import Rows, last
from work import doze, increment, same


def main():
    rows = Rows("Pebble", version("Pebble"))
    context = multiprocessing.get_context("fork")

    def up_down():
        with pebble.ProcessPool(2, context=context) as pool:
            pool.schedule(increment, args=[1]).result()
    rows.up_down(up_down)
    with pebble.ProcessPool(2, max_tasks=1, context=context) as pool:
        rows.rate("fresh", lambda xs: [f.result() for f in [
            pool.schedule(increment, args=[x]) for x in xs]][-1])

    with pebble.ProcessPool(2, context=context) as pool:
        def lazily(f, xs, **options):
            return pool.map(f, xs, **options).result()
        rows.apply(lambda x: pool.schedule(increment, args=[x]).result())
        rows.rate("apply_async", lambda xs: [f.result() for f in [
            pool.schedule(increment, args=[x]) for x in xs]][-1])
        rows.rate("map", lambda xs: list(lazily(increment, xs))[-1])
        rows.rate("imap", lambda xs: last(lazily(increment, xs)))
        rows.rate("imap_1", lambda xs: last(lazily(increment, xs, chunksize=1)))
        rows.echo(lambda blob: pool.schedule(same, args=[blob]).result())
        rows.skewed(lambda xs: list(lazily(doze, xs)))


if __name__ == "__main__":
    main()
