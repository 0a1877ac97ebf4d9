# SPDX-License-Identifier: GPL-2.0
"""What several builds of the same sources have counted, joined line by line.

usage: count.py SOURCES DIRECTORY...      prints one line of JSON

SOURCES has the .c files in its rooms; each DIRECTORY the .gcda and .gcno of one run.  The first
says which lines there are.
"""
import json
import os
import pathlib
import subprocess
import sys


def counted(directory, names):
    """Each file of a run, as gcov tells of it.  The suites have counts too."""
    wanted = {name.removesuffix(".c") + ".gcda" for name in names}
    data = sorted(wanted.intersection(os.listdir(directory)))
    if not data:
        sys.exit(f"count.py: nothing was counted in {directory}")
    told = subprocess.run(
        ["gcov", "--json-format", "--stdout", "--branch-probabilities", *data],
        cwd=directory, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in told.splitlines():
        yield from json.loads(line)["files"]


def first(told):
    """The lines as the first build has them: macros differ, and so others see more."""
    return {line["line_number"]: {
        "function": line.get("function_name", ""), "count": 0,
        "branches": [0] * len(line["branches"])} for line in told["lines"]}


def add(lines, told):
    """A line has been run, a branch been taken, if it was in any of the runs.

    Where builds differ in the branches of a line, those of the fewest count: the
    others are within macros.
    """
    for counted_line in told["lines"]:
        line = lines.get(counted_line["line_number"])
        if not line:
            continue
        line["count"] += counted_line["count"]
        branches = [branch["count"] for branch in counted_line["branches"]]
        if branches and len(branches) < len(line["branches"]):
            line["branches"] = branches
        elif len(branches) == len(line["branches"]):
            line["branches"] = [a + b for a, b in zip(line["branches"], branches)]


def main():
    sources, *directories = sys.argv[1:]
    names = sorted(path.name for path in pathlib.Path(sources).glob("*/*.c")
                   if path.parent.name != "tests")
    files = {name: {} for name in names}
    for directory in directories:
        for told in counted(directory, names):
            name = os.path.basename(told["file"])
            if name not in files:       # a header
                continue
            if not files[name]:
                files[name] = first(told)
            add(files[name], told)
    json.dump(files, sys.stdout)
    print()


main()
