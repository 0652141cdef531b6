# SPDX-License-Identifier: MIT
"""concurrent.futures.ProcessPoolExecutor; map is its only sequence, lazy and of chunksize 1."""
import multiprocessing
import platform
from concurrent.futures import ProcessPoolExecutor

from rows import Rows
from work import increment


def main():
    rows = Rows("ProcessPoolExecutor", platform.python_version())
    fork = multiprocessing.get_context("fork")

    def up_down():
        with ProcessPoolExecutor(2, mp_context=fork) as executor:
            executor.submit(increment, 1).result()
    rows.up_down(up_down)

    with ProcessPoolExecutor(2, mp_context=fork) as executor:
        rows.executor(executor)
    # It refuses to do this with fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, max_tasks_per_child=1) as executor:
        rows.rate("fresh", lambda xs: list(executor.map(increment, xs))[-1])


if __name__ == "__main__":
    main()
