# SPDX-License-Identifier: MIT
"""The counts are those of a count in Python; what cannot be counted is said; the status is right."""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

program = pathlib.Path(sys.argv[1]).resolve()


def wordcount(*arguments, **options):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=100, **options)


def expect(condition, done):
    if not condition:
        sys.exit(f"{done.args}: status {done.returncode}\n{done.stdout}\n{done.stderr}")


def plant(root):
    """A tree with all that may be met; returns the text files' contents."""
    texts = {}
    for i in range(120):
        folder = root / f"d{i % 7}" / f"e{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        words = " ".join(f"w{chr(97 + (i * j) % 26)}{chr(97 + j % 11)}" for j in range(40 + i))
        texts[folder / f"f{i}.txt"] = f"The common word, the Common word; {words}.\n".encode() * (1 + i % 5)
    texts[root / "no newline, a name with spaces"] = b"common word"
    texts[root / "not utf-8"] = b"caf\xe9 \xff\xfe common\x80word stra\xc3\x9fe A I a1b2 under_score"
    texts[root / "long.txt"] = b"x" * 65530 + b"Across" * 30000 + b" common"  # words longer than a block
    texts[root / "late.txt"] = b"common " * 20000 + b"\0"  # a NUL, but not in the first block
    texts[root / "empty.txt"] = b""
    for path, content in texts.items():
        path.write_bytes(content)
    (root / "binary").write_bytes(b"common word\0common word")
    os.mkfifo(root / "fifo")
    (root / "link to a file").symlink_to(next(iter(texts)))
    (root / "link out").symlink_to("/usr/include")
    (root / "loop").symlink_to(root)
    (root / "broken link").symlink_to("nowhere")
    return texts.values()


def check_counts(done, texts):
    counts = collections.Counter(
        word.decode() for text in texts for word in re.findall(rb"[a-z]+", text.lower()) if len(word) >= 2)
    expect(f"\n{len(texts)} text files, {sum(map(len, texts))} bytes, {sum(counts.values())} words, "
           f"{len(counts)} different ones\n" in done.stdout, done)
    top = sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:10]
    told = re.findall(r"^ +(\d+)  ([a-z]+)$", done.stdout, re.M)
    expect([(word, int(times)) for times, word in told] == top, done)


with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    tree = work / "tree"
    tree.mkdir()
    texts = plant(tree)

    done = wordcount(tree, "--processes", "3")
    expect(done.returncode == 0, done)
    check_counts(done, texts)
    expect(done.stderr == "wordcount: binary files left out: 1\n", done)
    expect(re.search(r"^\d+\.\d\d s with 3 processes, \d+\.\d\d s in one: \d+\.\d\d times as fast$",
                     done.stdout, re.M), done)
    # Plain lines, as this is no terminal.
    expect("\r" not in done.stdout and f"{len(texts) + 1} of {len(texts) + 1} files\n" in done.stdout, done)

    # The crash: one file is lost, it is named, and how its process ended.
    [deadly] = re.findall(r"^again, with a null pointer in the process that reads (.*)$", done.stdout, re.M)
    expect(re.findall(r"^not counted: (.*): process \d+ ended by SIGSEGV$", done.stdout, re.M) == [deadly], done)
    lost = 0 if deadly.endswith("/binary") else 1
    expect(f"\ncounted: {len(texts) - lost} text files of {len(texts)}\n" in done.stdout, done)
    expect(done.stdout.endswith("\nno word of the others is lost\n"), done)

    done = wordcount("--no-crash", tree)
    expect(done.returncode == 0 and "again" not in done.stdout, done)
    check_counts(done, texts)

    # On a terminal a bar moves, and goes.
    if shutil.which("script"):
        done = subprocess.run(["script", "-qec", f"'{program}' '{tree}' --no-crash", "/dev/null"],
                              capture_output=True, timeout=100, stdin=subprocess.DEVNULL)
        expect(re.search(rb"\r\[#+ *\] +\d+ %  \d+ of \d+ files", done.stdout), done)
        expect(b"\r\x1b[K" in done.stdout, done)

    # Nobody may read this one. Root may, and becomes somebody else for it.
    secret = work / "secret"
    (secret / "closed").mkdir(parents=True)
    (secret / "readable").write_text("common word")
    (secret / "file").write_text("secret word")
    (secret / "file").chmod(0)
    (secret / "closed").chmod(0)
    work.chmod(0o755)
    nobody = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    shutil.copy(program, work / "wordcount")
    program, given = work / "wordcount", program
    done = wordcount(secret, cwd=work, **nobody)
    program = given
    expect(done.returncode == 0 and "\n1 text files, 11 bytes, 2 words, 2 different ones\n" in done.stdout, done)
    for path in ("file", "closed"):
        expect(f"wordcount: cannot read {secret / path}: Permission denied\n" in done.stderr, done)
    (secret / "closed").chmod(0o755)

    # Nothing to count.
    empty = work / "empty"
    empty.mkdir()
    done = wordcount(empty)
    expect(done.returncode == 1 and done.stderr == "wordcount: no words: there are no files\n", done)
    (empty / "only.bin").write_bytes(b"words\0words")
    (empty / "blank").write_bytes(b"\n1234\n")
    done = wordcount(empty)
    expect(done.returncode == 1, done)
    expect(done.stderr == "wordcount: binary files left out: 1\n"
           "wordcount: no words: none of the files has text in it\n", done)
    done = wordcount(work / "missing")
    expect(done.returncode == 1, done)
    expect(f"wordcount: cannot read {work / 'missing'}: No such file or directory\n" in done.stderr, done)
    done = wordcount(tree / "binary")
    expect(done.returncode == 1, done)
    expect(f"wordcount: cannot read {tree / 'binary'}: Not a directory\n" in done.stderr, done)

    for wrong in (["--what"], ["--processes"], ["--processes", "0"], ["--processes", "-1"], ["--processes", "2x"],
                  [tree, tree], [""]):
        done = wordcount(*wrong)
        expect(done.returncode == 2 and done.stderr.startswith("usage: wordcount ") and not done.stdout, done)
