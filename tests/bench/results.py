# SPDX-License-Identifier: GPL-2.0
"""The records of a run, and what follows from them: medians, ratios, doubts."""
import json
import statistics

import disks

IN_ORDER = ("write-1m", "read-1m", "write-128k", "read-128k", "aged-read-1m",
            "aged-write-1m", "swap-out", "swap-in")
SWAP = ("swap-out", "swap-in")


class Results:
    def __init__(self, paths):
        self.records = []
        for path in paths:
            with open(path) as file:
                self.records += [json.loads(line) for line in file]
        self.targets = {r["target"]: r for r in self.of("target")}
        if self.of("load", target="ephemeral"):
            self.targets["ephemeral"] = {"title": "qvault, ephemeral", "authentic": True,
                                         "hardware": True, "writes": True}

    def of(self, kind, **fields):
        return [r for r in self.records if r["kind"] == kind
                and all(r.get(k) == v for k, v in fields.items())]

    def disks(self):
        return list(dict.fromkeys(r["disk"] for r in self.of("load")))

    def workloads(self):
        return [w for w in dict.fromkeys(r["workload"] for r in self.of("load"))
                if w not in SWAP]

    def measured(self, disk, workload):
        """Targets that have a figure there."""
        return list(dict.fromkeys(r["target"] for r in
                                  self.of("load", disk=disk, workload=workload)))

    # ---- figures ----

    def rates(self, disk, workload, target):
        """MB/s in order, operations per second else; one for each round."""
        unit = "bytes" if workload in IN_ORDER else "ios"
        scale = 1e3 if unit == "bytes" else 1e9
        return [r[unit] * scale / r["ns"]
                for r in self.of("load", disk=disk, workload=workload, target=target)]

    def rate(self, disk, workload, target):
        rates = self.rates(disk, workload, target)
        return statistics.median(rates) if rates else None

    def ratio(self, disk, workload, target, base):
        """Of medians; None if one of them is not there."""
        mine = self.rate(disk, workload, target)
        others = self.rate(disk, workload, base) if base else None
        return mine / others if mine and others else None

    def best_authenticated(self, disk, workload):
        """The name of the fastest peer that is authenticated too."""
        peers = [t for t in self.measured(disk, workload)
                 if self.targets[t]["authentic"] and not is_vault(t)]
        return max(peers, key=lambda t: self.rate(disk, workload, t), default=None)

    def per_operation(self, disk, workload, target, value):
        """A sum over all rounds, for each operation of the load."""
        records = self.of("load", disk=disk, workload=workload, target=target)
        ios = sum(r["ios"] for r in records)
        return sum(value(r) for r in records) / ios if ios else None

    def per_byte(self, disk, workload, target, value):
        records = self.of("load", disk=disk, workload=workload, target=target)
        total = sum(r["bytes"] for r in records)
        return sum(value(r) for r in records) / total if total else None

    def cpu_ns(self, disk, workload, target):
        per_byte = self.per_byte(disk, workload, target, lambda r: r["cpu_ns"])
        return per_byte * 4096 if per_byte else None

    def processor_share(self, disk, workload, target):
        """Of the time of the load, what the guest's processor was at work."""
        records = self.of("load", disk=disk, workload=workload, target=target)
        return sum(r["cpu_ns"] for r in records) / sum(r["ns"] for r in records)

    def disk_bound(self, disk, workload):
        """The disk is what limits if dm-crypt reaches nine tenths of no target at all."""
        ratio = self.ratio(disk, workload, "crypt", "linear")
        return disk != "brd" and ratio is not None and ratio >= 0.9

    # ---- can it be? ----

    def doubts(self):
        """Figures that no disk of that kind could give: the bench is wrong then."""
        found = []
        for disk in self.disks():
            for workload in self.workloads():
                for target in self.measured(disk, workload):
                    found += self._doubt(disk, workload, target)
        return found

    def _doubt(self, disk, workload, target):
        where = f"{target}, {workload}, {disk}"
        reads = "read" in workload
        limit = None if "mixed" in workload else disks.limit_mbps(disk, reads)
        mb_s = 1000 / self.per_byte(disk, workload, target, lambda r: r["ns"])
        if limit and mb_s > limit * 1.02:
            yield f"{where}: {mb_s:.0f} MB/s of a disk that can do {limit}"
        # Writes may be faster than the disk takes them at random: a journal, or a
        # vault, writes them in order.
        ratio = self.ratio(disk, workload, target, "linear")
        if disk == "brd" and target != "linear" and ratio and ratio > 1.05:
            yield f"{where}: {ratio:.2f} of dm-linear"


def is_vault(target):
    return target.startswith("qvault") or target == "ephemeral"


def vaults(results):
    return [t for t in results.targets if t.startswith("qvault")]
