# SPDX-License-Identifier: GPL-2.0
"""What is covered, and whether each line that is not has a reason.

usage: judge.py SOURCES COUNTS REASONS PERCENT

COUNTS is from count.py; the file REASONS says itself how it is written.  After the
report come the complaints, each a line that begins with `below:`, `unexplained:` or
`stale:`.
"""
import json
import pathlib
import sys


class Key:
    """One line of the list: where its reason holds."""

    def __init__(self, words):
        self.words = words
        self.sometimes = words.startswith("? ")
        place, _, self.text = words.removeprefix("? ").partition(": ")
        self.file, _, self.function = place.partition(" ")
        self.missed = []    # lines
        self.seen = False   # is there such a line at all?

    def holds(self, file, line, text):
        return (file == self.file and line["function"] == self.function and
                self.text in ("", text))


def read_reasons(path):
    """The reasons in their order: [(text, [Key])]."""
    reasons = []
    with open(path) as lines:
        for line in lines:
            if line.startswith("#") or not line.strip():
                continue
            if line.startswith("\t"):
                reasons[-1][1].append(Key(line.strip()))
            elif not reasons or reasons[-1][1]:
                reasons.append((line.strip(), []))
            else:
                reasons[-1] = (f"{reasons[-1][0]} {line.strip()}", [])
    return reasons


def percent(part, whole):
    return 100 * part / whole if whole else 0


def figures(lines):
    """(lines, of them run, branches, of them taken)"""
    branches = [b for line in lines for b in line["branches"]]
    return (len(lines), sum(line["count"] > 0 for line in lines),
            len(branches), sum(b > 0 for b in branches))


def tell(name, lines):
    total, run, branches, taken = figures(lines)
    print(f"{name:14} {run:5} of {total:5} lines {percent(run, total):6.1f} %"
          f" {taken:6} of {branches:5} branches {percent(taken, branches):6.1f} %")


def explain(sources, files, reasons):
    """Give each line that was missed to the first reason that holds for it."""
    unexplained = []
    keys = [key for _, keys in reasons for key in keys]
    for file, lines in files.items():
        with next(pathlib.Path(sources).glob(f"*/{file}")).open() as source:
            texts = [text.strip() for text in source]
        for number, line in sorted(lines.items(), key=lambda item: int(item[0])):
            text = texts[int(number) - 1]
            holding = [key for key in keys if key.holds(file, line, text)]
            for key in holding:
                key.seen = True
            if line["count"]:
                continue
            words = f"{file}:{number} {line['function']}: {text}"
            if holding:
                holding[0].missed.append(words)
            else:
                unexplained.append(words)
    return unexplained


def main():
    sources, counts, path, wanted = sys.argv[1:]
    with open(counts) as told:
        files = json.load(told)
    reasons = read_reasons(path)
    unexplained = explain(sources, files, reasons)

    everything = []
    for file, lines in files.items():
        tell(file, list(lines.values()))
        everything += lines.values()
    tell("all", everything)

    for text, keys in reasons:
        missed = [words for key in keys for words in key.missed]
        if missed:
            print(f"\nnot covered: {text}")
            print("".join(f"    {words}\n" for words in missed), end="")

    total, run, _, _ = figures(everything)
    if percent(run, total) < float(wanted):
        print(f"below: {percent(run, total):.1f} % of the lines, not {wanted} %")
    for file, lines in files.items():
        if not lines:
            print(f"unexplained: {file} has not been counted at all")
    for words in unexplained:
        print(f"unexplained: {words}")
    for text, keys in reasons:
        for key in keys or [Key(f"(no line at all) {text}")]:
            if not key.missed and not (key.sometimes and key.seen):
                print(f"stale: {key.words}")


main()
