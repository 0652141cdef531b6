# SPDX-License-Identifier: MIT
"""Every process runs the initializer before its first task, and ends after its second."""
from shape import calls, run, values

lines = run()
ran = calls(lines)
assert sorted(argument for _, argument, _ in ran) == list(range(8)), ran
pids = [pid for pid, _, _ in ran]
assert len(set(pids)) >= 4, "a process lives for two tasks"
assert all(pids.count(pid) <= 2 for pid in pids), ran
prepared = values(lines, r"initializer: pid (\d+)  time .*")
assert len(prepared) == len(set(prepared)), "the initializer runs once in a process"
for pid in set(pids):
    first = next(i for i, line in enumerate(lines) if line.startswith(f"pid {pid} "))
    before = next(i for i, line in enumerate(lines) if line.startswith(f"initializer: pid {pid} "))
    assert before < first, "the initializer runs first"
assert values(lines, r"result (\d+)") == [str(1000 + i) for i in range(8)]
assert len(values(lines, r"(after close\(\): .*closed.*)")) == 1
[at] = values(lines, r"after terminate\(\): .*  time (.*) s")
assert float(at) < 60, "terminate() waits for no task"
