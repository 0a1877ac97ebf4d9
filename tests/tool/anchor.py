#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Anchor records by other hands than the tool's: from format.h and RFC 5869.

usage: anchor.py verify FILE SLOT KEY       exit 0 if MAC and check are right
       anchor.py set FILE SLOT NAME=VALUE... [KEY]
                                            change fields; with a key, seal again
       anchor.py copy FILE FROM TO          copy a slot
       anchor.py get FILE SLOT NAME
       anchor.py label FILE SLOT            the data device of a new vault
"""
import hashlib
import hmac
import struct
import sys

BLOCK = 4096
PLACE = {0: 64, 1: 192}         # of the slots, in blocks
FIELDS = {
    "magic": (0, "8s"), "format": (8, "<I"), "incompat": (12, "<I"),
    "ro_compat": (16, "<I"), "sector_size": (20, "<I"), "uuid": (24, "16s"),
    "check": (40, "16s"), "data_blocks": (56, "<Q"),
    "logical_blocks": (64, "<Q"), "log_blocks": (72, "<I"),
    "tree_level": (76, "B"), "map_level": (77, "B"), "seal": (78, "B"),
    "reserved0": (79, "B"), "sequence": (80, "<Q"), "epoch": (88, "<Q"),
    "lease": (96, "<Q"), "log_tail": (104, "<Q"), "log_head": (112, "<Q"),
    "commit": (120, "<Q"),
    "tree_version": (128, "<Q"), "tree_where": (136, "<Q"),
    "map_version": (160, "<Q"), "map_where": (168, "<Q"),
    "log_version": (192, "<Q"), "log_where": (200, "<Q"),
    "time": (224, "<Q"), "inline_bytes": (232, "<I"), "settle": (236, "<I"),
    "reserved1": (240, "<I"),
    "walk_reserved": (642, "<H"),
    "reserved2": (664, "<Q"),
}
# Eight generations of 48 bytes: cipher, MAC, reserved, the wrapped secret.
for number in range(8):
    at = 256 + 48 * number
    FIELDS.update({
        f"gen{number}_cipher": (at, "B"), f"gen{number}_mac": (at + 1, "B"),
        f"gen{number}_reserved": (at + 2, "<H"),
        f"gen{number}_wrapped": (at + 8, "40s"), f"gen{number}": (at, "48s"),
    })
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
        f.seek(PLACE[slot] * BLOCK)
        return bytearray(f.read(BLOCK))


def write(path, slot, record):
    with open(path, "r+b") as f:
        f.seek(PLACE[slot] * BLOCK)
        f.write(record)


def derived(record, key_file, label, length):
    with open(key_file, "rb") as f:
        master = f.read()
    return hkdf(master, bytes(record[24:40]), label, length)


def check_of(record, key_file):
    return derived(record, key_file, b"qvault key check", 16)


def mac_of(record, key_file):
    key = derived(record, key_file, b"qvault anchor mac", 32)
    return hmac.new(key, bytes(record[:MAC]), hashlib.sha256).digest()


def verifies(record, key_file):
    return (bytes(record[40:56]) == check_of(record, key_file) and
            bytes(record[MAC:]) == mac_of(record, key_file))


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
        record[40:56] = check_of(record, key_file)
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
    if verb == "label":
        label = struct.pack("<8sII16s", b"QVAULT\0D", 2, 0, bytes(record[24:40]))
        blocks = struct.unpack_from("<Q", record, FIELDS["data_blocks"][0])[0]
        sys.stdout.buffer.write(label.ljust(blocks * BLOCK, b"\0"))
        return 0
    if verb == "verify":
        return 0 if verifies(record, rest[1]) else 1
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
