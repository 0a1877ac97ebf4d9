#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Two lives wrote the same to the same places: where is the ciphertext the same?

usage: repeats.py FORK LIFE LIFE

Of the data disk at the fork and after each life.  Under one key XTS gives 16 bytes of
the same plaintext the same ciphertext if, and with near certainty only if, the tweak is
the same.  Prints how many pieces both have written, and how many of them alike.
"""
import sys

BLOCK, PIECE = 4096, 16


def pieces(block):
    return [block[i:i + PIECE] for i in range(0, BLOCK, PIECE)]


def main():
    fork, one, other = (open(name, "rb").read() for name in sys.argv[1:4])
    written = repeated = 0
    for at in range(0, len(fork), BLOCK):
        was, a, b = (image[at:at + BLOCK] for image in (fork, one, other))
        if was in (a, b):
            continue
        written += BLOCK // PIECE
        repeated += sum(x == y != z for x, y, z in zip(pieces(a), pieces(b), pieces(was)))
    print(written, repeated)


main()
