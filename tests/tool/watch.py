#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the tool on a terminal of its own, and look at it while it asks.

usage: watch.py KEY ANSWER COMMAND...

When the question comes, the memory of the process is searched for the key.
Prints one line per finding, then answers; exits with the command's status.

  copies N          times that the key stands in memory
  flags lo dd wf    of the mapping that holds it: locked, not dumped, not inherited
  argv no           is it in the arguments or the environment?
  core 0            limit of a core dump
"""
import os
import pty
import re
import sys

LIMIT = 256 << 20
QUESTION = b"(Type 'yes' in capital letters): "


def mappings(pid):
    """(start, end, resident, name, flags) of each mapping that can be read."""
    current = resident = None
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            if head:
                current = [int(head[1], 16), int(head[2], 16), head[4], head[3]]
            elif line.startswith(("Rss:", "Swap:")):
                resident = (0 if line[0] == "R" else resident) + int(line.split()[1])
            elif line.startswith("VmFlags:") and current[3].startswith("r"):
                yield current[0], current[1], resident, current[2], line.split()[1:]


def count(mem, start, end, key):
    """In pieces, and what follows a piece is read twice: a key may cross over."""
    piece = 16 << 20
    found = 0
    for at in range(start, end, piece):
        mem.seek(at)
        data = mem.read(min(piece + len(key) - 1, end - at))
        found += data.count(key)
    return found


def search(pid, key):
    """The flags of the mapping of each copy.  Mappings without any memory, such as
    the terabytes that a sanitizer reserves, hold nothing."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, rss, name, flags in mappings(pid):
            if not rss or name in ("[vvar]", "[vsyscall]") or "io" in flags:
                continue
            try:
                found += [flags] * count(mem, start, min(end, start + LIMIT), key)
            except (OSError, OverflowError):
                continue
    return found


def look(pid, key):
    found = search(pid, key)
    print("copies", len(found))
    for flags in found:
        print("flags", *[f for f in ("lo", "dd", "wf") if f in flags])
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        words = f.read()
    with open(f"/proc/{pid}/environ", "rb") as f:
        words += f.read()
    print("argv", "yes" if key in words else "no")
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        print("core", re.search(r"Max core file size +(\S+)", f.read())[1])
    sys.stdout.flush()


def read_until_question(fd):
    seen = b""
    while QUESTION not in seen:
        try:
            part = os.read(fd, 4096)
        except OSError:
            part = b""
        if not part:
            return seen, False
        seen += part
    return seen, True


def drain(fd):
    rest = b""
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:
            return rest
        if not part:
            return rest
        rest += part


def main(key_file, answer, *command):
    with open(key_file, "rb") as f:
        key = f.read()
    pid, fd = pty.fork()
    if not pid:
        os.execv(command[0], command)
    seen, asked = read_until_question(fd)
    if asked:
        look(pid, key)
        os.write(fd, answer.encode() + b"\n")
    seen += drain(fd)
    print("asked", "yes" if asked else "no")
    sys.stdout.flush()
    sys.stdout.buffer.write(seen.replace(b"\r", b""))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
