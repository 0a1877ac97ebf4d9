# SPDX-License-Identifier: GPL-2.0
"""A vault by itself: what it costs as it grows, what it writes, what it takes in
memory, how it reads when it is fragmented, and how long a checkpoint or a log is felt.

/dev/ubda is a sparse file of the host, so that what is stored does not count as
memory of the guest; /dev/ram0 is for what is timed.
"""
import os
import sys
import threading
import time

import measure
import targets

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
LEVELS = {
    "quick": dict(ms=60, random=110000, fsyncs=5000, grow=8000, memory=40000, rounds=1,
                  tail=3000),
    "full": dict(ms=400, random=250000, fsyncs=60000, grow=60000, memory=250000, rounds=3,
                 tail=30000),
}
SIZES = {"1 GiB": GIB, "100 GiB": 100 * GIB, "4 TiB": 4 * TIB}
# In order, with few requests on their way and with as many as most use.
IN_ORDER = {
    "1 MiB QD1": dict(bs=MIB, qd=1),
    "128 KiB QD8": dict(bs=MIB // 8, qd=8),
}
CACHE_DISKS = ("brd", "nvme", "network-volume")
FRAGMENT_DISKS = ("brd", "sata-ssd", "network-volume")
VAULT = "vault"


class Volumes:
    def __init__(self, m, mac, options):
        self.m, self.mac, self.options = m, mac, options
        self.level = LEVELS[m.level]

    # ---- a vault and its disks ----

    def disk(self, device, size):
        """Data and anchor; the anchor always in memory, so that it has its own timing."""
        self.data = self.m.new_disk("data", device, 0, size // 512)
        self.anchor = self.m.new_disk("anchor", "/dev/ram1", 0, targets.ANCHOR_SECTORS)

    def format(self, *options):
        targets.format_qvault(self.data, self.anchor, *self.options, *options)

    def attach(self, *options):
        targets.attach_qvault(VAULT, self.data, self.anchor, *options)

    def detach(self):
        targets.qvault_tool("detach", VAULT)

    def checkpoint(self):
        self.m.control.message(VAULT, "checkpoint")

    def status(self):
        return measure.vault_status(self.m.control, VAULT)

    def load(self, **words):
        return self.m.counted_load(VAULT, "data", "anchor", **words)

    def record(self, kind, **fields):
        self.m.record(kind, mac=self.mac, **fields)

    def no_corruption(self):
        if self.status()["corruptions"]:
            raise targets.Cannot("the vault reports corruptions")

    # ---- as it grows ----

    def times(self, size_name):
        """Format and attach, with the start of a process, which is told beside it."""
        processes, formats, attaches, grows = [], [], [], []
        for _ in range(5):
            processes.append(measure.milliseconds(targets.qvault_tool, "--version"))
            formats.append(measure.milliseconds(self.format))
            self.attach()
            self.detach()
            attaches.append(measure.milliseconds(self.attach))
            self.detach()
            self.format("--size", "256M")
            self.attach()
            grows.append(measure.milliseconds(targets.qvault_tool, "resize", "--key-file",
                                              targets.KEY, VAULT))
            self.detach()
        self.format()
        self.record("times", size=size_name, process_ms=processes, format_ms=formats,
                    attach_ms=attaches, grow_ms=grows)

    def grow(self, size_name, size):
        self.disk("/dev/ubda", size)
        self.times(size_name)
        count = self.level["memory" if size == 4 * TIB else "grow"]
        watch = Memory()
        self.attach()
        result = self.load(rw="randwrite", bs=4096, qd=32, ios=count, sync=1)
        self.load(rw="randread", bs=4096, qd=32, ios=count // 4)
        peak = watch.end()
        before = self.m.counters("data")
        self.checkpoint()
        late = measure.difference(self.m.counters("data"), before)
        self.record("grow", size=size_name, ios=result["ios"], ns=result["ns"],
                    bytes=result["bytes"], cpu_ns=result["cpu_ns"], data=result["data"],
                    anchor=result["anchor"], checkpoint_bytes=late["write_bytes"],
                    memory_bytes=peak, checkpoints=self.status()["checkpoints"])
        self.no_corruption()
        self.detach()
        self.m.remove_disks()

    # ---- a clone ----

    def clone(self):
        """Of a volume of 64 MiB that has been written to; without the copy itself."""
        size = 64 * MIB
        self.disk("/dev/ram0", size)
        copy = self.m.new_disk("copy", "/dev/ram0", size // 512, size // 512)
        anchor = self.m.new_disk("copy-anchor", "/dev/ram1", targets.ANCHOR_SECTORS,
                                 targets.ANCHOR_SECTORS)
        took = []
        for _ in range(5):
            self.format()
            self.attach()
            self.load(rw="write", bs=MIB, qd=4, ios=40, span=40 * MIB, sync=1)
            self.detach()
            targets.run("dd", f"if={self.data}", f"of={copy}", "bs=1M", "oflag=direct",
                        "status=none")
            took.append(measure.milliseconds(
                targets.qvault_tool, "clone", "--batch-mode", "--force", "--key-file",
                targets.KEY, "--anchor", self.anchor, "--new-data", copy, "--new-anchor",
                anchor))
        self.record("clone", size="64 MiB", ms=took)
        self.m.remove_disks()

    # ---- device bytes per byte ----

    def amplification(self):
        """In order, at random within 4 GiB, and one block for each fsync; with the
        checkpoint that is due in the end."""
        self.disk("/dev/ubda", 4 * GIB + 128 * MIB)
        for name, words in (
                ("sequential", dict(rw="write", bs=MIB, qd=4, ios=256)),
                ("random in 4 GiB", dict(rw="randwrite", bs=4096, qd=32,
                                         ios=self.level["random"], span=4 * GIB)),
                ("fsyncs in 256 MiB", dict(rw="randwrite", bs=4096, qd=1, fsync=1,
                                           ios=self.level["fsyncs"], span=256 * MIB))):
            self.format()
            self.attach()
            before = self.m.counters("data"), self.m.counters("anchor")
            result = self.load(sync=1, **words)
            self.checkpoint()
            data = measure.difference(self.m.counters("data"), before[0])
            anchor = measure.difference(self.m.counters("anchor"), before[1])
            self.record("amplification", workload=name, ios=result["ios"],
                        bytes=result["bytes"], data=data, anchor=anchor,
                        **{k: self.status()[k] for k in ("log_blocks", "nodes", "checkpoints")})
            self.detach()
        self.m.remove_disks()

    # ---- fragmentation ----

    def fragmentation(self, disk):
        """Half of a volume, in order and then all of it at random, two times."""
        size, live = 256 * MIB, 128 * MIB
        self.disk("/dev/ram0", size)
        self.format()
        self.attach()
        self.load(rw="write", bs=MIB, qd=4, ios=live // MIB, span=live, sync=1)
        self.checkpoint()
        speeds = {}
        for when in ("before", "after"):
            self.m.behave_like(disk)
            speeds[when] = [speed(self.load(rw="read", bs=MIB, qd=4, span=live,
                                            ms=self.level["ms"]))
                            for _ in range(self.level["rounds"])]
            requests = self.load(rw="read", bs=MIB, qd=4, span=live, ios=live // MIB)
            speeds[when + "_requests"] = requests["data"]["reads"] / requests["ios"]
            self.m.behave_like("brd")
            if when == "before":
                for seed in (1, 2):
                    self.load(rw="permute", bs=4096, qd=32, ios=live // 4096, span=live,
                              seed=seed, sync=1)
                    self.checkpoint()
        # What the volume has more than is promised: the spare space.
        spare = size - targets.sectors("/dev/mapper/" + VAULT) * 512
        self.record("fragmentation", disk=disk, live=live, spare=spare,
                    footprint=self.m.counters("data")["blocks"] * 4096, **speeds)
        self.no_corruption()
        self.detach()
        self.m.remove_disks()

    # ---- node cache ----

    def attach_cold(self, disk):
        self.m.behave_like("brd")
        self.detach()
        self.attach()
        self.m.behave_like(disk)

    def cache(self, disk):
        """Reads of what was written before the attach: nodes have to be read."""
        size, span = 512 * MIB, 448 * MIB
        self.disk("/dev/ram0", size)
        self.format()
        self.attach()
        self.load(rw="write", bs=MIB, qd=4, ios=span // MIB, span=span, sync=1)
        for _ in range(self.level["rounds"]):
            self.attach_cold(disk)
            count = span // 4096 // 128		# as many reads as there are leaves
            cold = self.load(rw="randread", bs=4096, qd=1, ios=count, span=span)
            self.load(rw="read", bs=MIB, qd=4, ios=span // MIB, span=span)
            warm = self.load(rw="randread", bs=4096, qd=1, ios=count, span=span, seed=2)
            self.record("cache", disk=disk, cold_us=cold["ns"] / cold["ios"] / 1000,
                        warm_us=warm["ns"] / warm["ios"] / 1000,
                        cold_reads=cold["data"]["reads"] / cold["ios"],
                        warm_reads=warm["data"]["reads"] / warm["ios"])
            for name, words in IN_ORDER.items():
                self.attach_cold(disk)
                cold, warm = (self.load(rw="read", ios=span // words["bs"], span=span, **words)
                              for _ in range(2))
                self.record("cache-in-order", disk=disk, workload=name, cold=speed(cold),
                            warm=speed(warm), cold_reads=cold["data"]["reads"] / cold["ios"],
                            warm_reads=warm["data"]["reads"] / warm["ios"])
        self.m.behave_like("brd")
        self.no_corruption()
        self.detach()
        self.m.remove_disks()

    # ---- checkpoints ----

    def tail(self, disk):
        """The latency of writes while one checkpoint follows the other, and without any."""
        # So much free space that a checkpoint only comes when it is asked for.
        size, span = 512 * MIB, 224 * MIB
        self.disk("/dev/ram0", size)
        self.format()
        self.attach()
        self.load(rw="write", bs=MIB, qd=4, ios=span // MIB, span=span, sync=1)
        self.load(rw="randwrite", bs=4096, qd=32, ios=20000, span=span, sync=1)
        self.m.behave_like(disk)
        for _ in range(self.level["rounds"]):
            self.checkpoint()
            words = dict(rw="randwrite", bs=4096, qd=4, ios=self.level["tail"], span=span)
            none = self.status()["checkpoints"]
            without, made = self.load(**words), self.status()["checkpoints"]
            if made != none:
                raise targets.Cannot(f"{made - none} checkpoints came by themselves")
            storm = Storm(self)
            with_ = self.load(**words)
            storm.end()
            self.record("tail", disk=disk, checkpoints=self.status()["checkpoints"] - made,
                        without={k: without[k] for k in ("p50_ns", "p99_ns", "p999_ns", "max_ns")},
                        with_={k: with_[k] for k in ("p50_ns", "p99_ns", "p999_ns", "max_ns")})
        self.m.behave_like("brd")
        self.detach()
        self.m.remove_disks()

    # ---- attach with a full log ----

    def full_log(self):
        """A vault that could not make its last checkpoint, as after a power cut: its
        disk refuses everything while it is detached."""
        size = 768 * MIB
        self.disk("/dev/ram0", size)
        self.format()
        self.attach()
        for _ in range(1600):
            # A few at a time, with flushes, so that it stops just before a checkpoint
            # begins: that is when 7/16 are in use.
            self.load(rw="randwrite", bs=4096, qd=32, ios=250, sync=1)
            status = self.status()
            if status["log_used"] * 100 >= status["log_size"] * 40:
                break
        else:
            raise targets.Cannot("the log does not become full")
        for name in ("data", "anchor"):
            self.m.control.message(name, "set fail 1")
        try:
            self.detach()
        except targets.Cannot:
            pass                # it says that something may be lost, and is gone
        else:
            raise targets.Cannot("the last checkpoint was made after all")
        self.m.behave_like("brd")
        took = {}
        # Read-only the first time: the log is still there for the second.
        for disk, options in (("brd", ["--read-only"]), ("sata-ssd", [])):
            self.m.behave_like(disk)
            took[disk] = measure.milliseconds(self.attach, *options)
            self.m.behave_like("brd")
            self.detach()
        self.record("full-log", used=status["log_used"], size=status["log_size"], ms=took,
                    process_ms=[measure.milliseconds(targets.qvault_tool, "--version")
                                for _ in range(5)])
        self.m.remove_disks()


class Memory(threading.Thread):
    """The most memory that is taken from here on: what MemFree, Buffers and Cached
    lose.  The disk is a file of the host and takes none of the guest's."""

    def __init__(self):
        super().__init__()
        self.stop, self.start_kib = False, self.now()
        self.least = self.start_kib
        self.start()

    @staticmethod
    def now():
        with open("/proc/meminfo") as file:
            return sum(int(line.split()[1]) for line in file
                       if line.startswith(("MemFree:", "Buffers:", "Cached:")))

    def run(self):
        while not self.stop:
            self.least = min(self.least, self.now())
            time.sleep(0.02)

    def end(self):
        self.stop = True
        self.join()
        return (self.start_kib - self.least) * 1024


class Storm(threading.Thread):
    """Asks for one checkpoint after the other."""

    def __init__(self, volumes):
        super().__init__()
        self.volumes, self.stop = volumes, False
        self.start()

    def run(self):
        while not self.stop:
            self.volumes.checkpoint()
            time.sleep(0.001)

    def end(self):
        self.stop = True
        self.join()


def speed(result):
    return result["bytes"] / result["ns"] * 1000


def measure_mac(m, mac, options):
    v = Volumes(m, mac, options)
    for name, size in SIZES.items():
        m.tried(f"{mac}, {name}", v.grow, name, size)
    m.tried(f"{mac}, device bytes for each byte", v.amplification)
    for disk in FRAGMENT_DISKS:
        m.tried(f"{mac}, fragmentation, {disk}", v.fragmentation, disk)
    for disk in CACHE_DISKS:
        m.tried(f"{mac}, cold and warm cache, {disk}", v.cache, disk)
    for disk in ("brd", "sata-ssd"):
        m.tried(f"{mac}, checkpoints, {disk}", v.tail, disk)
    m.tried(f"{mac}, attach with a full log", v.full_log)
    m.tried(f"{mac}, a clone", v.clone)


def main():
    m = measure.Measurements(sys.argv[1])
    m.touch_memory()
    # All of the RAM disks is written once before anything is measured.
    for disk in ("/dev/ram0", "/dev/ram1"):
        m.load(disk, rw="write", bs=MIB, qd=1, ios=targets.sectors(disk) * 512 // MIB)
    measure_mac(m, "hmac-sha256", ())
    return m.end()


if __name__ == "__main__":
    sys.exit(main())
