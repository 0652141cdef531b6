# SPDX-License-Identifier: MIT
"""What the checks of the examples share: running one, and reading its lines."""
import re
import subprocess
import sys

RAN = re.compile(r"^pid (\d+)  argument (\d+)  time (\d+\.\d) s$")


def run(*arguments, status=0, **options):
    """The lines a program prints; its status must be the one given, and it must say no error."""
    done = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True, timeout=100, **options)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    assert done.returncode == status, f"status {done.returncode}"
    if status == 0:
        assert done.stderr == "", "it complains"
    return done.stdout.splitlines()


def calls(lines):
    """(pid, argument, time) of each call, in the order of their start."""
    found = [RAN.match(line) for line in lines]
    return sorted(((int(m[1]), int(m[2]), float(m[3])) for m in found if m), key=lambda c: (c[2], c[1]))


def values(lines, pattern):
    """The first group of each line that the pattern matches, in the order printed."""
    found = [re.fullmatch(pattern, line) for line in lines]
    return [m[1] for m in found if m]


def side_by_side(ran, duration):
    """The most calls that ran at one time, if each took `duration` seconds and a tick of the clock less."""
    return max(sum(0 <= other - at < duration - 0.11 for _, _, other in ran) for _, _, at in ran)
