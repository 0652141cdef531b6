# SPDX-License-Identifier: MIT
"""joblib.Parallel for whole maps, which is all it does; loky's executor below it for the rest."""
import joblib
from joblib.externals import loky

from rows import Rows
from work import increment


def main():
    rows = Rows("joblib", f"{joblib.__version__}, loky {loky.__version__}")

    def up_down():
        with loky.ProcessPoolExecutor(2) as executor:
            executor.submit(increment, 1).result()
    rows.up_down(up_down)
    rows.absent("fresh", "loky does not replace workers by tasks")

    with joblib.Parallel(n_jobs=2) as parallel, loky.ProcessPoolExecutor(2) as executor:
        rows.executor(executor, lambda f, xs: parallel(joblib.delayed(f)(x) for x in xs))


if __name__ == "__main__":
    main()
