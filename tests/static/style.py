#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare C files with what clang-format would make of them.

usage: style.py FILE...

Where a line is broken and how tables are aligned is the author's choice: the
kernel's own files differ from clang-format there and nowhere else.  What must
agree is every space between two tokens, and the indentation of each statement
and label.  Prints one line for each difference; the status says if there were.
"""
import difflib
import re
import subprocess
import sys

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def tokens(text):
    """The text as a list of words, with line breaks and tables levelled."""
    text = COMMENT.sub(" ", text)
    text = STRING.sub(lambda m: m.group().replace(" ", "\x01"), text)
    text = re.sub(r"\\\n", " ", text)
    # At a place where lines may be broken, a space or none are the same.
    text = re.sub(r"(?<=[(\[{])\s+|\s+(?=[)\]}])", "", text)
    # It takes some casts and declarations over several lines for expressions.
    text = re.sub(r"(?<=\*)\s+(?=\w)|(?<=\))\s+(?=\(|->|\.)|(?<=\])\s+(?=\.)|\s+(?=->)", "", text)
    text = re.sub(r"(?<=\))\s*([-+*&])\s*(?=[\w(])", r"\1", text)
    text = re.sub(r"\bvoid\s+\(", "void(", text)
    return text.split()


def statements(text):
    """Lines that begin a statement, as (number, indentation, rest)."""
    found = []
    fresh = True
    for number, line in enumerate(text.split("\n"), 1):
        bare = COMMENT.sub("", line).rstrip()
        rest = bare.lstrip()
        if not rest:
            continue
        if fresh and not rest.startswith(("*", "/*", "#")):
            found.append((number, bare[: len(bare) - len(rest)], rest))
        fresh = rest.endswith((";", "{", "}")) and not line.rstrip().endswith("\\")
    return found


def compare(path):
    text = open(path, encoding="utf-8").read()
    done = subprocess.run(["clang-format", "--style=file", path],
                          check=True, capture_output=True, text=True)
    complaints = []
    mine, theirs = tokens(text), tokens(done.stdout)
    matcher = difflib.SequenceMatcher(None, mine, theirs, autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what != "equal":
            complaints.append("spaces: '%s' should be '%s'" % (
                " ".join(mine[a:b]), " ".join(theirs[c:d])))
    mine, theirs = statements(text), statements(done.stdout)
    matcher = difflib.SequenceMatcher(None, [s[2] for s in mine],
                                      [s[2] for s in theirs], autojunk=False)
    for a, b, size in matcher.get_matching_blocks():
        for i in range(size):
            if mine[a + i][1] != theirs[b + i][1]:
                complaints.append("line %d: indentation: %s" % (
                    mine[a + i][0], mine[a + i][2]))
    for complaint in complaints:
        print("%s: %s" % (path, complaint.replace("\x01", " ")))
    return len(complaints)


def main():
    sys.exit(1 if sum([compare(path) for path in sys.argv[1:]]) else 0)


main()
