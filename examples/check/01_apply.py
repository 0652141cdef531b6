# SPDX-License-Identifier: MIT
"""Five calls, one after the other, on at most four processes, so that one is used again."""
from shape import calls, run, values

lines = run()
ran = calls(lines)
assert [argument for _, argument, _ in ran] == list(range(5)), ran
assert len({pid for pid, _, _ in ran}) <= 4, ran
for (_, _, before), (_, _, after) in zip(ran, ran[1:]):
    assert after - before > 0.09, "two ran at the same time"
assert values(lines, r"\d squared is (\d+)") == ["0", "1", "4", "9", "16"]
