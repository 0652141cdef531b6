# SPDX-License-Identifier: MIT
"""The peers: how each is started, and what it lacks here when it cannot be."""
import dataclasses
import importlib.util
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build"
PROGRAMS = BUILD / "release" / "bench" / "peers"
NODE_MODULES = BUILD / "peers" / "node_modules"


@dataclasses.dataclass
class Peer:
    name: str
    command: list[str]
    missing: Callable[[], str | None]  # a reason, or nothing
    isolated: bool = True  # False: threads

    def env(self):
        return {"PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": str(NODE_MODULES)}


def built(name, extra=""):
    program = PROGRAMS / f"{name}_peer"
    return [str(program)], lambda: (
        None if program.is_file() else f"not built: CMake's target procpool_peers{extra}")


def python(name, *packages, before=()):
    """`packages`: module and the Debian package that has it, one after the other."""
    def missing():
        for module, package in zip(packages[::2], packages[1::2]):
            if importlib.util.find_spec(module) is None:
                return f"not installed: Debian's {package}"
        if before and not shutil.which(before[0]):
            return f"not installed: {before[0]}, Debian's openmpi-bin"
        return None
    return [*before, sys.executable, str(HERE / f"{name}_peer.py")], missing


def perl():
    def missing():
        if not shutil.which("perl"):
            return "not installed: perl"
        found = subprocess.run(["perl", "-MMCE", "-e1"], capture_output=True, check=False)
        return None if found.returncode == 0 else "not installed: Debian's libmce-perl"
    return ["perl", str(HERE / "mce_peer.pl")], missing


def node():
    def missing():
        if not shutil.which("node"):
            return "not installed: node"
        if not (NODE_MODULES / "workerpool").is_dir():
            return "not installed: npm's workerpool (README.md)"
        return None
    return ["node", str(HERE / "node" / "workerpool_peer.js")], missing


# Root may run MPI programs only when told so, and two workers and their parent are three.
MPIRUN = ("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "1")

PEERS = {
    "procpool": Peer("procpool", *built("procpool")),
    "pool": Peer("mp.Pool", *python("pool")),
    "executor": Peer("ProcessPoolExecutor", *python("executor")),
    "joblib": Peer("joblib", *python("joblib", "joblib", "python3-joblib")),
    "pebble": Peer("Pebble", *python("pebble", "pebble", "python3-pebble")),
    "mpi4py": Peer("mpi4py.futures", *python("mpi4py", "mpi4py", "python3-mpi4py", before=MPIRUN)),
    "mce": Peer("MCE", *perl()),
    "workerpool": Peer("workerpool", *node()),
    "async": Peer("std::async", *built("async"), isolated=False),
    "tbb": Peer("oneTBB", *built("tbb", ", with Debian's libtbb-dev"), isolated=False),
}
