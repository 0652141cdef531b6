# SPDX-License-Identifier: MIT
"""Ten calls on four processes in rounds of four, four and two; the results in order."""
from shape import calls, run, side_by_side, values

lines = run()
ran = calls(lines)
assert sorted(argument for _, argument, _ in ran) == list(range(10)), ran
pids = {pid for pid, _, _ in ran}
assert len(pids) == 4, ran
assert side_by_side(ran, 0.5) == 4, ran
# The n-th call starts when n // 4 rounds are over, and not a whole round later than that.
for n, (_, _, at) in enumerate(ran):
    late = at - ran[0][2] - 0.5 * (n // 4)
    assert -0.11 < late < 0.45, f"call {n} of {ran}"
assert sorted(sum(p == pid for p, _, _ in ran) for pid in pids) == [2, 2, 3, 3], ran
assert values(lines, r"squares: (.*)") == ["0 1 4 9 16 25 36 49 64 81"]
