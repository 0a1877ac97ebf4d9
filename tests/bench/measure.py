# SPDX-License-Identifier: GPL-2.0
"""What the programs in the guests share: disks, loads, counters, records.

Each record is one line of JSON in $QVAULT_OUT/bench.jsonl.  The console gets a line
for each thing done, and the counts that tests/lib/guest.sh takes over.
"""
import json
import os
import time

import disks
import dm
import targets

MIB = 1 << 20
LOAD = "/sys/kernel/debug/bioload"
COUNTERS = ("reads", "read_bytes", "writes", "write_bytes", "flushes", "fuas", "blocks")


class Measurements:
    def __init__(self, level):
        self.level = level
        self.control = dm.Control()
        self.out = open(os.environ["QVAULT_OUT"] + "/bench.jsonl", "a", buffering=1)
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.began = time.monotonic()
        self.disks = []
        with open(targets.KEY, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as key:
            key.write(os.urandom(64))

    # ---- what is said ----

    def record(self, kind, **fields):
        self.out.write(json.dumps({"kind": kind, **fields}) + "\n")

    def passed(self, name):
        self.counts["passed"] += 1
        print(f"ok    {name}", flush=True)

    def failed(self, name, why):
        self.counts["failed"] += 1
        self.record("failed", name=name, why=str(why))
        print(f"FAIL  {name}: {why}", flush=True)

    def skipped(self, name, why):
        self.counts["skipped"] += 1
        self.record("skipped", name=name, why=str(why))
        print(f"skip  {name}: {why}", flush=True)

    def say(self, text):
        print(f"--    [{time.monotonic() - self.began:.0f}s] {text}", flush=True)

    def tried(self, name, function, *arguments):
        """One part of the run; if it cannot be, the others go on."""
        try:
            function(*arguments)
        except (OSError, targets.Cannot, dm.Error, StopIteration) as error:
            self.failed(name, error)
        else:
            self.passed(name)

    def end(self):
        order = ("passed", "failed", "skipped")
        with open(os.environ["QVAULT_OUT"] + "/counts", "w") as file:
            print(*(self.counts[c] for c in order), file=file)
        return 1 if self.counts["failed"] else 0

    def touch_memory(self):
        """Memory of the guest that was never used is the host's to find: whoever came
        first to it would be measured for that."""
        with open("/proc/meminfo") as file:
            free = next(int(l.split()[1]) for l in file if l.startswith("MemAvailable"))
        os.makedirs("/run/touch", exist_ok=True)
        targets.run("mount", "-t", "tmpfs", "-o", "size=100%", "none", "/run/touch")
        with open("/run/touch/all", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - 200 * 1024, 4) * 1024)
        targets.run("umount", "/run/touch")

    # ---- disks ----

    def new_disk(self, name, device, first, count):
        """A disk model over sectors of a device; no limits at first."""
        targets.mapped(name, f"0 {count} disk-model {device} {first}")
        self.disks.append(name)
        return "/dev/mapper/" + name

    def remove_disks(self):
        for name in reversed(self.disks):
            targets.run("dmsetup", "remove", "--retry", name)
        self.disks = []

    def behave_like(self, disk, names=None):
        for name in names or self.disks:
            self.control.message(name, disks.message(disk))

    def counters(self, name):
        return dict(zip(COUNTERS, map(int, self.control.status(name))))

    # ---- loads ----

    def load(self, device, **words):
        """One load of tests/lab/bioload; its result."""
        line = " ".join(f"{k}={v}" for k, v in {"dev": device, **words}.items())
        fd = os.open(LOAD, os.O_RDWR)
        try:
            os.write(fd, line.encode())
            return json.loads(os.pread(fd, 1024, 0))
        except OSError as error:
            raise targets.Cannot(f"{line}: {error.strerror}") from error
        finally:
            os.close(fd)

    def counted_load(self, target, data, anchor, **words):
        """The same, and what it cost on the two devices."""
        before = self.counters(data), self.counters(anchor) if anchor else None
        result = self.load("/dev/mapper/" + target, **words)
        result["data"] = difference(self.counters(data), before[0])
        if anchor:
            result["anchor"] = difference(self.counters(anchor), before[1])
        return result


def difference(after, before):
    return {key: after[key] - before[key] for key in after}


def milliseconds(function, *arguments):
    start = time.monotonic()
    function(*arguments)
    return round((time.monotonic() - start) * 1000, 2)


def vault_status(control, name):
    """The status line of a vault, as far as it is needed here."""
    words = control.status(name)
    used, size = words[5].split("/")
    return {"mapped": int(words[4].split("/")[0]), "log_used": int(used), "log_size": int(size),
            "anchor_records": int(words[9]), "flushes": int(words[10]),
            "log_blocks": int(words[11]), "nodes": int(words[12]),
            "checkpoints": int(words[13]), "corruptions": int(words[14])}
