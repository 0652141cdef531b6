# SPDX-License-Identifier: MIT
"""Results in order, an error at its place, an end; on at most four processes."""
from shape import calls, run, values

lines = run()
ran = calls(lines)
assert sorted(argument for _, argument, _ in ran) == list(range(8)), ran
assert 1 < len({pid for pid, _, _ in ran}) <= 4, ran
assert values(lines, r"next: (.*)") == ["0", "1", "4", "9", "I do not like 4", "25", "36", "49"]
assert lines[-1] == "the end"
