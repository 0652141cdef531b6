# SPDX-License-Identifier: MIT
"""One run of one peer's program, ended when it hangs."""
import contextlib
import json
import os
import signal
import subprocess
import tempfile

HUNG = "hung"


def end(process):
    """It and what it has started; mpirun ends its workers when it is asked to."""
    for sign in signal.SIGTERM, signal.SIGKILL:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)


def run(peer, quick):
    """What it printed, line by line, and how it failed, if it did."""
    limit = 20 if quick else 60
    # Files, not pipes: a worker that is left over may hold one end of a pipe for ever.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(peer.command + ["--quick"] * quick, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, env=os.environ | peer.env(),
                                   start_new_session=True)
        problem = None
        try:
            if process.wait(limit) != 0:
                err.seek(0)
                said = err.read().strip().splitlines() or ["nothing on stderr"]
                problem = f"failed with status {process.returncode}: {said[-1]}"
        except subprocess.TimeoutExpired:
            problem = f"{HUNG}: ended after {limit} s"
        finally:
            end(process)
        out.seek(0)
        return [json.loads(line) for line in out if line.endswith("}\n")], problem
