#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that folders are layers: the include graph is the one allowed below, and has no cycle.

    include_graph.py [ROOT]       prints each offending line and ends with 1, or prints nothing
    include_graph.py --self-test  shows it a made-up violation of each rule and expects the report
"""
import pathlib
import re
import sys
import tempfile

PUBLIC = {"include/procpool", "include/procpool/detail"}
BELOW = PUBLIC | {"src/base"}

# folder -> the folders its files may include
ALLOWED = {
    "include/procpool": PUBLIC,
    "include/procpool/detail": PUBLIC,
    "src/base": BELOW,
    "src/core": BELOW | {"src/core"},
    "src/symbols": BELOW | {"src/symbols"},
    "src/shm": BELOW | {"src/shm"},
    "src/process": BELOW | {"src/process"},
    "src/local": BELOW | {"src/core", "src/shm", "src/process", "src/local"},
    "examples": {"include/procpool", "examples/wordcount"},
    "examples/wordcount": {"include/procpool", "examples/wordcount"},
}
# The composition root: the one file of src/ that names every part.
ROOT_FILE = "src/make_engine.cc"
ROOT_ALLOWED = BELOW | {"src/core", "src/symbols", "src/shm", "src/process", "src/local"}

# Headers that know users' types: the compiled core never sees them.
TYPED = {"include/procpool/" + name for name in (
    "procpool.h", "pool.h", "result.h", "codec.h", "exception.h", "wait.h", "future.h", "await.h",
    "shared.h", "shared_vector.h", "bind.h", "by_bytes.h", "snapshot_map.h",
    "detail/invoke.h", "detail/shape.h", "detail/fields.h", "detail/vector_codec.h")}
TYPED_EXCEPTIONS = {("src/base/entry.cc", "include/procpool/detail/shape.h")}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(path):
    """(line number, '<' or '"', name) of each include of a file."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def target_of(root, mark, name):
    """The file of this tree an include means, relative to root; None: it is somebody else's."""
    for base in ("include", "src", "examples"):
        if (root / base / name).is_file():
            return f"{base}/{name}"
    return None if mark == "<" else "?"


def offences(root):
    """One line for each broken rule."""
    found = []
    edges = {}
    files = sorted(path for top in ("include", "src", "examples")
                   for path in (root / top).rglob("*") if path.suffix in (".h", ".cc"))
    for path in files:
        file = path.relative_to(root).as_posix()
        folder = path.parent.relative_to(root).as_posix()
        allowed = ROOT_ALLOWED if file == ROOT_FILE else ALLOWED.get(folder)
        if allowed is None:
            found.append(f"{file}: no layer has this folder's files")
            continue
        edges[file] = []
        for number, mark, name in includes(path):
            at = f"{file}:{number}: "
            target = target_of(root, mark, name)
            if target is None:
                continue
            if target == "?":
                found.append(f'{at}"{name}" is neither below include/ nor below src/')
                continue
            edges[file].append(target)
            if target.rsplit("/", 1)[0] not in allowed:
                found.append(f"{at}{folder} may not include {target}")
            if (folder.startswith("src") and target in TYPED
                    and (file, target) not in TYPED_EXCEPTIONS):
                found.append(f"{at}src/ may not include the typed header {target}")
    return found + [f"cycle: {' -> '.join(cycle)}" for cycle in cycles(edges)]


def cycles(edges):
    """One cycle for each back edge of a depth-first walk."""
    found, state, trail = [], {}, []

    def visit(file):
        state[file] = "open"
        trail.append(file)
        for target in edges.get(file, ()):
            if state.get(target) == "open":
                found.append(trail[trail.index(target):] + [target])
            elif target not in state:
                visit(target)
        trail.pop()
        state[file] = "done"

    for file in edges:
        if file not in state:
            visit(file)
    return found


# A sound little tree; then, for each rule, one file more and what must be said about it.
SOUND = {
    "include/procpool/error.h": "#include <string>\n",
    "include/procpool/procpool.h": '#include "procpool/pool.h"\n',
    "include/procpool/pool.h": '#include "procpool/detail/shape.h"\n',
    "include/procpool/detail/shape.h": '#include "procpool/error.h"\n',
    "src/base/sys.h": '#include "procpool/error.h"\n',
    "src/base/entry.cc": '#include "procpool/detail/shape.h"\n',
    "src/core/event.h": '#include "base/sys.h"\n',
    "src/shm/ring.h": '#include "base/sys.h"\n',
    "src/process/process.h": '#include "base/sys.h"\n',
    "src/local/child.cc": '#include "core/event.h"\n#include "shm/ring.h"\n',
    "src/make_engine.cc": '#include "core/event.h"\n#include "process/process.h"\n',
    "examples/hello.cc": '#include <procpool/procpool.h>\n',
}
BROKEN = [
    ("include/procpool/bad.h", '#include "base/sys.h"\n', "may not include src/base/sys.h"),
    ("include/procpool/bad.h", '#  include <base/sys.h>\n', "may not include src/base/sys.h"),
    ("src/base/bad.h", '#include "core/event.h"\n', "src/base may not include src/core/event.h"),
    ("src/core/bad.cc", '#include "shm/ring.h"\n', "src/core may not include src/shm/ring.h"),
    ("src/shm/bad.cc", '#include "process/process.h"\n', "may not include src/process/process.h"),
    ("src/process/bad.cc", '#include "core/event.h"\n', "may not include src/core/event.h"),
    ("src/core/bad.cc", '#include "procpool/pool.h"\n', "typed header include/procpool/pool.h"),
    ("src/base/bad.cc", '#include "procpool/detail/shape.h"\n', "typed header"),
    ("src/core/bad.cc", '#include "event.h"\n', "neither below include/ nor below src/"),
    ("src/core/deep/bad.cc", "", "no layer"),
    ("src/bad.cc", "", "no layer"),
    ("examples/bad.cc", '#include "core/event.h"\n', "examples may not include"),
    ("examples/bad.cc", '#include <procpool/detail/shape.h>\n', "examples may not include"),
    ("src/core/event.h", '#include "core/event.h"\n', "cycle: src/core/event.h -> src/core/event.h"),
    ("include/procpool/error.h", '#include "procpool/pool.h"\n', "cycle: "),
]


def self_test():
    failures = []
    for file, text, expected in [(None, "", None)] + BROKEN:
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for path, content in {**SOUND, **({file: text} if file else {})}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content)
            found = offences(root)
        if expected is None and found:
            failures.append(f"a sound tree is reported: {found}")
        elif expected is not None and not (len(found) == 1 and expected in found[0]):
            failures.append(f"{file} with {text!r}: expected one report of {expected!r}, got {found}")
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        found = self_test()
    else:
        root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__ + "/../..").resolve()
        if not (root / "include/procpool").is_dir():
            sys.exit(f"{root} is not procpool's source tree")
        found = offences(root)
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
