# SPDX-License-Identifier: GPL-2.0
"""Vaults and their peers side by side.  All stand at once, each on a part of one RAM
disk that was written before, and take turns: round, disk, workload, target.  So
whatever else the machine does meanwhile hits them alike.  For each round and disk
all are made anew and filled in order; what age does to them has a workload of its own.
"""
import os
import shutil
import sqlite3
import sys
import tarfile
import time

import disks
import measure
import targets

MIB = measure.MIB
LEVELS = {
    # ms for each measurement, MiB of each target, MiB used, files to unpack, transactions
    "quick": dict(rounds=1, ms=120, mib=208, span=176, files=150, transactions=30,
                  disks=["brd", "sata-ssd", "flash-card"]),
    "full": dict(rounds=3, ms=300, mib=240, span=208, files=1200, transactions=200,
                 disks=list(disks.DISKS)),
}
# In this order: a read after a write of the same kind, so that there is what to read.
WORKLOADS = {
    "write-1m": dict(rw="write", bs=MIB, qd=4, sync=1),
    "read-1m": dict(rw="read", bs=MIB, qd=4),
    "write-128k": dict(rw="write", bs=MIB // 8, qd=8, sync=1),
    "read-128k": dict(rw="read", bs=MIB // 8, qd=8),
    "randwrite-qd1": dict(rw="randwrite", bs=4096, qd=1, sync=1),
    "randread-qd1": dict(rw="randread", bs=4096, qd=1),
    "randwrite-qd32": dict(rw="randwrite", bs=4096, qd=32, sync=1),
    "randread-qd32": dict(rw="randread", bs=4096, qd=32),
    "mixed-qd32": dict(rw="mixed", bs=4096, qd=32, sync=1),
    "fsync-1": dict(rw="randwrite", bs=4096, qd=1, fsync=1),
    "fsync-16": dict(rw="randwrite", bs=4096, qd=1, jobs=16, fsync=1),
}
APPLICATION_DISKS = ("brd", "sata-ssd")
# After each block has been overwritten, in an order like chance.
AGED = {
    "aged-read-1m": dict(rw="read", bs=MIB, qd=4),
    "aged-write-1m": dict(rw="write", bs=MIB, qd=4, sync=1),
}
AGED_DISKS = APPLICATION_DISKS
SWAP = {
    # A swap out is clusters in order, a swap in a few pages here and there.
    "swap-out": dict(rw="write", bs=MIB // 8, qd=8),
    "swap-in": dict(rw="randread", bs=32768, qd=2),
}


def disks_of(target):
    return ["disk-" + target.name, "anchor-" + target.name]


class Peers:
    def __init__(self, m):
        self.m, self.level = m, LEVELS[m.level]
        self.targets = []
        self.worn = False			# measured since they were made

    # ---- making them ----

    def slice(self, number, name):
        sectors = self.level["mib"] * targets.SECTORS_OF_MIB
        each = sectors + targets.ANCHOR_SECTORS
        data = self.m.new_disk("disk-" + name, "/dev/ram0", number * each, sectors)
        anchor = self.m.new_disk("anchor-" + name, "/dev/ram0", number * each + sectors,
                                 targets.ANCHOR_SECTORS)
        # Whoever writes first to memory pays for it, down to the host's pages.
        self.m.load(data, rw="write", bs=MIB, qd=1, ios=self.level["mib"])
        return data, anchor

    def make(self, number, target):
        took = measure.milliseconds(target.make, *self.slice(number, target.name))
        self.targets.append(target)
        self.fill(target, rw="write", bs=MIB)
        self.m.record("target", target=target.name, title=target.title, writes=target.writes,
                      authentic=target.authentic, hardware=target.kernel_crypto)
        self.m.passed(f"{target.title}: made in {took:.0f} ms and written once")

    def fill(self, target, **words):
        """Write all of its blocks that are used, once."""
        span = self.level["span"] * MIB
        if target.writes:
            self.m.load(target.device(), qd=4, ios=span // words["bs"], span=span, sync=1, **words)

    def renew(self, target):
        """What was measured before shall not be felt."""
        if target.writes:
            self.m.behave_like("brd", disks_of(target))
            target.remove()
            target.make(*("/dev/mapper/" + name for name in disks_of(target)))
            self.fill(target, rw="write", bs=MIB)

    def make_all(self):
        for number, target in enumerate(targets.peers() + targets.vaults()):
            try:
                self.make(number, target)
            except targets.Cannot as why:
                self.m.skipped(target.title, why)

    def check_ciphers(self):
        """What was compared must have had the processor's instructions."""
        with open("/proc/crypto") as file:
            drivers = {line.split(":")[1].strip() for line in file if line.startswith("driver")}
        for driver in ("xts-aes-hw", "hmac(sha256-hw)", "gcm_base(ctr-aes-hw,ghash-hw)"):
            if driver in drivers:
                self.m.passed(f"a target uses {driver}")
            elif not os.path.exists("/sys/module/hwcrypto"):
                self.m.skipped(f"a target uses {driver}", "this processor lacks instructions: "
                               "all ciphers are in C, and hide what else a target costs")
            else:
                self.m.failed(f"a target uses {driver}", "not in /proc/crypto")

    # ---- measuring them ----

    def one(self, disk, workload, target, round_, words):
        if "read" not in words["rw"] and not target.writes:
            return
        result = self.m.counted_load(
            target.name, *disks_of(target), ms=self.level["ms"],
            span=self.level["span"] * MIB, seed=round_ + 1, **words)
        self.m.record("load", disk=disk, workload=workload, target=target.name, round=round_,
                      **result)
        # A checkpoint that was begun may end; the next one shall not wait for it.
        time.sleep(0.002)

    def each(self, disk, workloads, targets_, round_):
        self.m.behave_like(disk)
        for workload, words in workloads.items():
            for target in targets_:
                try:
                    self.one(disk, workload, target, round_, words)
                except targets.Cannot as why:
                    self.m.failed(f"{disk}, {workload}, {target.title}", why)

    def age(self, target, round_):
        self.m.behave_like("brd", disks_of(target))
        self.fill(target, rw="permute", bs=4096, seed=round_ + 1)
        target.settle(self.m.control)

    def turn(self, disk, round_):
        if self.worn:
            for target in self.targets:
                self.renew(target)
        self.worn = True
        self.each(disk, WORKLOADS, self.targets, round_)
        if disk in AGED_DISKS:
            old = [t for t in self.targets if t.writes]
            for target in old:
                self.age(target, round_)
            self.each(disk, AGED, old, round_)

    def turns(self):
        for round_ in range(self.level["rounds"]):
            for disk in self.level["disks"]:
                self.m.tried(f"round {round_ + 1}, {disk}", self.turn, disk, round_)
            self.m.say(f"round {round_ + 1} of {self.level['rounds']} done")

    # ---- applications ----

    def make_tar(self):
        """Sizes like those of a source tree: many small files, some larger ones."""
        root, random = "/tmp/tree", os.urandom(MIB)
        for i in range(self.level["files"]):
            directory = f"{root}/{i // 40}"
            os.makedirs(directory, exist_ok=True)
            size = (i * 7919) % 9000 + (i % 25 == 0) * 200000
            with open(f"{directory}/{i}", "wb") as file:
                file.write(random[i:i + size])
        with tarfile.open("/tmp/tree.tar", "w") as tar:
            tar.add(root, arcname="tree")
        shutil.rmtree(root)

    def unpack(self):
        targets.run("tar", "-C", "/mnt", "-xf", "/tmp/tree.tar")
        os.sync()

    def transactions(self):
        """A table with an index, one insert and one update a transaction, each durable."""
        db = sqlite3.connect("/mnt/bench.db", isolation_level=None)
        db.execute("pragma synchronous=full")
        db.execute("create table t (k integer primary key, v blob)")
        start = time.monotonic()
        for i in range(self.level["transactions"]):
            db.execute("begin")
            db.execute("insert into t values (?, ?)", (i, os.urandom(500)))
            db.execute("update t set v = ? where k = ?", (os.urandom(500), i * 7919 % (i + 1)))
            db.execute("commit")
        took = time.monotonic() - start
        db.close()
        return self.level["transactions"] / took

    def applications_on(self, target, disk):
        self.renew(target)
        targets.run("mkfs.ext4", "-q", "-F", target.device())
        self.m.behave_like(disk, disks_of(target))
        targets.run("mount", target.device(), "/mnt")
        try:
            ms = measure.milliseconds(self.unpack)
            self.m.record("application", disk=disk, workload="untar", target=target.name,
                          value=ms / 1000, unit="s", better="less")
            rate = self.transactions()
            self.m.record("application", disk=disk, workload="sqlite", target=target.name,
                          value=rate, unit="tx/s", better="more")
        finally:
            targets.run("umount", "/mnt")

    def applications(self):
        self.make_tar()
        os.makedirs("/mnt", exist_ok=True)
        for disk in APPLICATION_DISKS:
            for target in self.targets:
                if target.writes:
                    self.m.tried(f"ext4 and sqlite, {disk}, {target.title}",
                                 self.applications_on, target, disk)

    # ---- swap ----

    def swap(self):
        """An ephemeral vault in the place of the ordinary one, and dm-crypt."""
        vault = next(t for t in self.targets if t.name == "qvault")
        vault.remove()
        self.targets.remove(vault)
        ephemeral = targets.Ephemeral("ephemeral", "qvault, ephemeral")
        ephemeral.make("/dev/mapper/disk-qvault", None)
        self.targets.append(ephemeral)
        span = self.level["span"] * MIB
        for round_ in range(self.level["rounds"]):
            for disk in APPLICATION_DISKS:
                self.m.behave_like(disk)
                for workload, words in SWAP.items():
                    for name, data in (("crypt", "disk-crypt"), ("ephemeral", "disk-qvault")):
                        result = self.m.counted_load(name, data, None, span=span,
                                                     ms=self.level["ms"], **words)
                        self.m.record("load", disk=disk, workload=workload, target=name,
                                      round=round_, **result)

    def remove_all(self):
        self.m.behave_like("brd")
        for target in reversed(self.targets):
            target.remove()
        self.m.remove_disks()


def main():
    m = measure.Measurements(sys.argv[1])
    peers = Peers(m)
    m.record("level", program="peers", **peers.level)
    m.touch_memory()
    peers.make_all()
    peers.check_ciphers()
    peers.turns()
    m.tried("applications", peers.applications)
    m.tried("swap on an ephemeral vault", peers.swap)
    m.tried("all are removed", peers.remove_all)
    return m.end()


if __name__ == "__main__":
    sys.exit(main())
