# SPDX-License-Identifier: MIT
"""mpi4py.futures: workers are spawned by MPI, so this is started by mpirun -n 1."""
import mpi4py
from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

from rows import Rows
from work import increment


def main():
    library = MPI.Get_library_version().split(",")[0]
    rows = Rows("mpi4py.futures", f"{mpi4py.__version__}, {library}")

    def up_down():
        with MPIPoolExecutor(2) as executor:
            executor.submit(increment, 1).result()
    rows.up_down(up_down)
    rows.absent("fresh", "mpi4py.futures does not replace workers by tasks")

    with MPIPoolExecutor(2) as executor:
        executor.bootup(wait=True)
        rows.executor(executor)


if __name__ == "__main__":
    main()
