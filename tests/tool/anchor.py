#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Anchor records by other hands than the tool's: from format.h and RFC 5869.

usage: anchor.py verify FILE SLOT KEY       exit 0 if the MAC is right
       anchor.py set FILE SLOT NAME=VALUE... [KEY]
                                            change fields; with a key, seal again
       anchor.py copy FILE FROM TO          copy a slot
       anchor.py get FILE SLOT NAME
"""
import hashlib
import hmac
import struct
import sys

BLOCK = 4096
FIELDS = {
    "magic": (0, "8s"), "format": (8, "<I"), "flags": (12, "<I"),
    "uuid": (16, "16s"), "cipher": (32, "<I"), "mac_type": (36, "<I"),
    "data_blocks": (40, "<Q"), "logical_blocks": (48, "<Q"),
    "log_blocks": (56, "<I"), "reserved0": (60, "<I"),
    "sequence": (64, "<Q"), "epoch": (72, "<Q"), "lease": (80, "<Q"),
    "log_tail": (88, "<Q"), "log_head": (96, "<Q"), "commit": (104, "<Q"),
    "tree_version": (112, "<Q"), "tree_where": (120, "<Q"),
    "map_version": (144, "<Q"), "map_where": (152, "<Q"),
    "log_version": (176, "<Q"), "log_where": (184, "<Q"),
    "inline_bytes": (208, "<I"), "reserved1": (212, "<I"),
}
MAC = 4064


def hkdf(master, salt, info, length):
    prk = hmac.new(salt, master, hashlib.sha256).digest()
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]),
                         hashlib.sha256).digest()
        out += block
        counter += 1
    return out[:length]


def read(path, slot):
    with open(path, "rb") as f:
        f.seek(slot * BLOCK)
        return bytearray(f.read(BLOCK))


def write(path, slot, record):
    with open(path, "r+b") as f:
        f.seek(slot * BLOCK)
        f.write(record)


def mac_of(record, key_file):
    with open(key_file, "rb") as f:
        master = f.read()
    key = hkdf(master, bytes(record[16:32]), b"qvault anchor mac", 32)
    return hmac.new(key, bytes(record[:MAC]), hashlib.sha256).digest()


def set_fields(path, slot, words):
    record = read(path, slot)
    key_file = None
    for word in words:
        if "=" not in word:
            key_file = word
            continue
        name, value = word.split("=", 1)
        offset, form = FIELDS[name]
        value = bytes.fromhex(value) if form.endswith("s") else int(value, 0)
        struct.pack_into(form, record, offset, value)
    if key_file:
        record[MAC:] = mac_of(record, key_file)
    write(path, slot, record)


def main(verb, path, *rest):
    if verb == "copy":
        write(path, int(rest[1]), read(path, int(rest[0])))
        return 0
    slot = int(rest[0])
    if verb == "set":
        set_fields(path, slot, rest[1:])
        return 0
    record = read(path, slot)
    if verb == "get":
        offset, form = FIELDS[rest[1]]
        value = struct.unpack_from(form, record, offset)[0]
        print(value.hex() if isinstance(value, bytes) else value)
        return 0
    if verb == "verify":
        return 0 if mac_of(record, rest[1]) == bytes(record[MAC:]) else 1
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
