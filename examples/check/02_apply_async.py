# SPDX-License-Identifier: MIT
"""Five calls at once on four processes: four run, one waits; callbacks run in the caller."""
from shape import calls, run, side_by_side, values

lines = run()
ran = calls(lines)
assert sorted(argument for _, argument, _ in ran) == list(range(5)), ran
pids = {pid for pid, _, _ in ran}
assert len(pids) == 4, ran
assert side_by_side(ran, 0.5) == 4, ran
by_pid = {pid: [at for p, _, at in ran if p == pid] for pid in pids}
assert all(second - first > 0.39 for first, *rest in by_pid.values() for second in rest), by_pid
[caller] = values(lines, r"pid (\d+) has made 5 calls and goes on")
assert int(caller) not in pids
assert values(lines, r"callback in pid (\d+): \d+") == [caller] * 5
assert sorted(map(int, values(lines, r"callback in pid \d+: (\d+)"))) == [0, 1, 4, 9, 16]
assert values(lines, r"\d squared is (\d+)") == ["0", "1", "4", "9", "16"]
