#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the ```cpp blocks of documents into programs: snippets.py OUT_DIR FILE...

A block with a main is a program; the others of one document become functions of one program that runs
them in order. Structs and functions that a block defines are local to it. Prints the programs' names.
"""
import pathlib
import re
import sys

PREAMBLE = """#include <procpool/procpool.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>
using namespace std::chrono_literals;
"""


def write(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    print(path.stem)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name in map(pathlib.Path, sys.argv[2:]):
        stem = "snippets_" + name.stem.lower()
        blocks = re.findall(r"^```cpp\n(.*?)^```", name.read_text(), re.M | re.S)
        fragments = []
        programs = 0
        for block in blocks:
            if "int main(" in block:
                programs += 1
                write(out / f"{stem}_{programs}.cc", block)
            else:
                fragments.append(block)
        if fragments:
            body = "".join(f"static void fragment_{i}() {{\n{b}}}\n" for i, b in enumerate(fragments))
            calls = "".join(f"  fragment_{i}();\n" for i in range(len(fragments)))
            write(out / f"{stem}.cc", f"{PREAMBLE}{body}int main() {{\n{calls}}}\n")


main()
