# SPDX-License-Identifier: MIT
"""multiprocessing.Pool, workers forked: its default up to Python 3.13."""
import multiprocessing
import platform

from rows import Rows, last
from work import doze, increment, same


def main():
    rows = Rows("mp.Pool", platform.python_version())
    context = multiprocessing.get_context("fork")

    def up_down():
        pool = context.Pool(2)
        pool.apply(increment, (1,))
        pool.close()
        pool.join()
    rows.up_down(up_down)
    with context.Pool(2, maxtasksperchild=1) as pool:
        # What it counts as a task is a chunk.
        rows.rate("fresh", lambda xs: pool.map(increment, xs, chunksize=1)[-1])

    with context.Pool(2) as pool:
        rows.apply(lambda x: pool.apply(increment, (x,)))
        rows.rate("apply_async", lambda xs: [r.get() for r in [
            pool.apply_async(increment, (x,)) for x in xs]][-1])
        rows.rate("map", lambda xs: pool.map(increment, xs)[-1])
        rows.rate("imap", lambda xs: last(pool.imap(increment, xs)))
        rows.rate("imap_1", lambda xs: last(pool.imap(increment, xs, chunksize=1)))
        rows.echo(lambda blob: pool.apply(same, (blob,)))
        rows.skewed(lambda xs: pool.map(doze, xs))


if __name__ == "__main__":
    main()
