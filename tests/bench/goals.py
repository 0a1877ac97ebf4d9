# SPDX-License-Identifier: GPL-2.0
"""What a vault shall reach, and by how much it does not."""
import statistics

import results as r

LARGE = ("write-1m", "read-1m", "write-128k", "read-128k")
RANDOM = ("randwrite-qd1", "randread-qd1", "randwrite-qd32", "randread-qd32")
WRITES = ("write-1m", "write-128k", "randwrite-qd1", "randwrite-qd32")


class Goal:
    """@cells: (where, figure) each; all must be at least, or at most, @wanted."""

    def __init__(self, name, wanted, cells, most=False, unit=""):
        self.name, self.wanted, self.most, self.unit = name, wanted, most, unit
        self.cells = [(where, value) for where, value in cells if value is not None]

    def met(self, value):
        return value <= self.wanted if self.most else value >= self.wanted

    def text(self):
        return f"{'<=' if self.most else '>='} {self.wanted:g}{self.unit}"

    def worst(self):
        return (max if self.most else min)(self.cells, key=lambda cell: cell[1])

    def verdict(self):
        """(short word, measured, explanation)"""
        if not self.cells:
            return "not measured", "-", "see the skips"
        where, value = self.worst()
        met = sum(self.met(v) for _, v in self.cells)
        shown = f"{value:.3g}{self.unit}"
        if met == len(self.cells):
            return "met", shown, f"the worst of {len(self.cells)}: {where}"
        factor = value / self.wanted if self.most else self.wanted / max(value, 1e-9)
        return "missed", shown, (f"by a factor of {factor:.2f} at worst ({where}); "
                                 f"met in {met} of {len(self.cells)}")


def ratio_cells(res, vault, base, disks, workloads, only=None):
    return [(f"{w}, {d}", res.ratio(d, w, vault, base)) for d in disks for w in workloads
            if only is None or only(d, w)]


def speed_goals(res, vault):
    disks = [d for d in res.disks() if d != "brd"]
    title = res.targets[vault]["title"]
    fast = vault == "qvault-nhpoly"

    def ratio(base, where, workloads, only=None):
        return ratio_cells(res, vault, base, where, workloads, only)

    yield Goal(f"{title}: disk-bound, against dm-crypt", 0.95,
               ratio("crypt", [d for d in disks if d != "flash-card"], LARGE + RANDOM,
                     res.disk_bound))
    yield Goal(f"{title}: disk-bound writes, against LUKS2 hmac-sha256 with journal", 1.8,
               ratio("hmac-j", disks, WRITES, res.disk_bound))
    if fast:
        yield Goal(f"{title}: CPU-bound in order, against dm-crypt", 0.70,
                   ratio("crypt", ["brd"], LARGE))
    else:
        yield Goal(f"{title}: CPU-bound, against LUKS2 hmac-sha256 without journal", 1.3,
                   ratio("hmac-nj", ["brd"], LARGE + RANDOM))
    yield Goal(f"{title}: CPU-bound random reads, against dm-crypt", 0.70,
               ratio("crypt", ["brd"], ("randread-qd1", "randread-qd32")))
    yield Goal(f"{title}: random writes QD32 where they are dear, against dm-crypt", 1.0,
               ratio("crypt", ["flash-card"], ("randwrite-qd32",)))
    yield Goal(f"{title}: fsync of 4 KiB, 1 job, against dm-crypt", 0.5,
               ratio("crypt", disks, ("fsync-1",)))
    yield Goal(f"{title}: fsync of 4 KiB, 16 jobs, against dm-crypt", 0.9,
               ratio("crypt", disks, ("fsync-16",)))


def written(record):
    return (record["data"]["write_bytes"] + record["anchor"]["write_bytes"]) / record["bytes"]


def written_goals(res):
    for name, wanted in (("sequential", 1.02), ("random in 4 GiB", 1.15),
                         ("fsyncs in 256 MiB", 2.0)):
        yield Goal(f"device bytes for each byte, {name}", wanted,
                   [(f"{a['ios']} writes and a checkpoint", written(a))
                    for a in res.of("amplification", workload=name)], most=True)


def fragmentation_goals(res):
    found = res.of("fragmentation")
    cells = [(f["disk"], statistics.median(f["after"]) / statistics.median(f["before"]))
             for f in found]
    for vault in r.vaults(res):
        cells += [(f"{d}, {res.targets[vault]['title']}", res.rate(d, "aged-read-1m", vault) /
                   res.rate(d, "read-1m", vault))
                  for d in res.disks() if res.rate(d, "aged-read-1m", vault)]
    yield Goal("read in order after all was overwritten at random, against before", 0.6,
               [(where, value) for where, value in cells if not where.startswith("brd")])
    yield Goal("physical footprint / (live data + 2 x spare)", 1.0,
               [(f["disk"], f["footprint"] / (f["live"] + 2 * f["spare"])) for f in found],
               most=True)


def without_process(times, record):
    """The start of a process is User Mode Linux's matter."""
    return max(statistics.median(times) - statistics.median(record["process_ms"]), 0)


def time_goals(res):
    times = res.of("times")
    for what, wanted in (("format", 50), ("attach", 50)):
        yield Goal(f"{what}{' after a clean detach' if what == 'attach' else ''}, any size", wanted,
                   [(t["size"], without_process(t[what + "_ms"], t)) for t in times], most=True,
                   unit=" ms")
    yield Goal("attach with a full log", 500,
               [(f"{d}, {f['used']} of {f['size']} log blocks", without_process([ms], f))
                for f in res.of("full-log") for d, ms in f["ms"].items()], most=True, unit=" ms")


def tail_goals(res):
    yield Goal("p99.9 of writes while checkpoints run, against without", 2.0,
               [(d, statistics.median(t["with_"]["p999_ns"] / t["without"]["p999_ns"]
                                      for t in res.of("tail", disk=d)))
                for d in dict.fromkeys(t["disk"] for t in res.of("tail"))], most=True)


def memory_goals(res):
    yield Goal("memory at default", 64,
               [(g["size"], g["memory_bytes"] / (1 << 20)) for g in res.of("grow")], most=True,
               unit=" MiB")


def all_goals(res):
    goals = []
    for vault in r.vaults(res):
        goals += speed_goals(res, vault)
    for more in (written_goals, fragmentation_goals, time_goals, tail_goals, memory_goals):
        goals += more(res)
    return goals
