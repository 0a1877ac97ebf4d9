#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare what was written to two copies of a disk since they were made.

usage: alike.py BEFORE ONE OTHER

Prints how many blocks of 4096 bytes each has that BEFORE has not at that place, and
how many pieces of 16 bytes of the one's are among those of the other.
"""
import os
import sys

BLOCK, PIECE = 4096, 16
EMPTY = bytes(BLOCK)


def blocks(path):
    """The blocks that are no hole, by number."""
    fd = os.open(path, os.O_RDONLY)
    at, end = 0, os.fstat(fd).st_size
    found = {}
    while at < end:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA) // BLOCK * BLOCK
        except OSError:         # nothing but holes
            break
        while at < end:
            data = os.pread(fd, BLOCK, at)
            if data == EMPTY:
                break
            found[at] = data
            at += BLOCK
        else:
            break
        at += BLOCK
    os.close(fd)
    return found


def new(before, path):
    return [data for at, data in blocks(path).items() if before.get(at) != data]


def pieces(written):
    return {data[i:i + PIECE] for data in written for i in range(0, BLOCK, PIECE)}


def main():
    before = blocks(sys.argv[1])
    one, other = new(before, sys.argv[2]), new(before, sys.argv[3])
    print(len(one), len(other), len(pieces(one) & pieces(other)))


main()
