#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Who lowers a counter that somebody waits for wakes him.

usage: wakes.py FILE...

A counter in wait_var_event(&COUNTER, ...) may go down only by atomic_dec_and_test(),
followed by wake_up_var() of the same.  What lowers it in passing, and for a moment
only, is found by no run: who waits must come in that very moment.  Prints one line
for each place that does it otherwise, and fails as well if nobody waits for anything.
"""
import re
import sys

WAIT = re.compile(r"\bwait_var_event\w*\(&([\w>.-]+),")
LOWER = re.compile(r"\batomic\w*_(?:dec|sub|add_negative)\w*\(\s*(?:[^,()]+,\s*)?&([\w>.-]+)\)")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


def name(expression):
    """The last two parts: whatever the way is that leads there."""
    return "->".join(re.split(r"->|\.", expression)[-2:])


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return COMMENT.sub(lambda m: "\n" * m.group().count("\n"), file.read())


def main():
    texts = {path: text_of(path) for path in sys.argv[1:]}
    awaited = {name(m.group(1)) for text in texts.values() for m in WAIT.finditer(text)}
    bad = 0
    for path, text in texts.items():
        for m in LOWER.finditer(text):
            counter = re.escape(m.group(1))
            good = re.compile(rf"if \(atomic_dec_and_test\(&{counter}\)\)\s*"
                              rf"wake_up_var\(&{counter}\);")
            if name(m.group(1)) in awaited and not good.match(text, m.start() - len("if (")):
                print(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: "
                      f"lowers {m.group(1)} and wakes nobody")
                bad += 1
    if not awaited:
        print("nobody waits for a counter: is this the module?")
    sys.exit(1 if bad or not awaited else 0)


main()
