# SPDX-License-Identifier: GPL-2.0
"""The disks that are modelled: knobs of tests/lab/diskmodel and what they stand for."""

DISKS = {
    "brd": {
        "knobs": {},
        "about": "RAM disk without limits: the processor is what is measured",
    },
    "sata-ssd": {
        "knobs": dict(read_mbps=540, write_mbps=500, request_us=10, read_us=80,
                      write_us=30, flush_us=1500),
        "about": "a SATA SSD with a volatile cache: 540/500 MB/s, about 90,000 requests/s, "
                 "80/30 us, a flush takes 1.5 ms",
    },
    "nvme": {
        "knobs": dict(read_mbps=3400, write_mbps=1500, request_us=2, read_us=70,
                      write_us=15, flush_us=400),
        "about": "a small NVMe disk (PCIe 3.0 x4, 250 GB): 3400/1500 MB/s, 500,000 "
                 "requests/s, 70/15 us, a flush takes 0.4 ms",
    },
    "network-volume": {
        "knobs": dict(read_mbps=250, write_mbps=250, request_us=60, read_us=500,
                      write_us=500, flush_us=500),
        "about": "a cloud or SAN volume: 250 MB/s and 16,000 requests/s as its quota, "
                 "0.5 ms away, a flush costs one more round trip",
    },
    "flash-card": {
        "knobs": dict(read_mbps=90, write_mbps=60, request_us=100, jump_us=600, read_us=200,
                      write_us=100, flush_us=5000),
        "about": "eMMC or an SD card: 90/60 MB/s, a write that does not follow the last one "
                 "costs 0.6 ms more, a flush takes 5 ms",
    },
}


def message(name):
    words = ["set"]
    for knob, value in DISKS[name]["knobs"].items():
        words += [knob, str(value)]
    return " ".join(words)


def _write_us(name, blocks):
    """(time of the medium, time until the last of them has ended) for random 4 KiB writes
    that come at once."""
    knobs = DISKS[name]["knobs"]
    each = knobs["request_us"] + knobs.get("jump_us", 0) + 4096 / knobs["write_mbps"]
    return blocks * each, blocks * each + knobs["write_us"]


def fsync_limits(name, jobs):
    """Most fsyncs of 4 KiB each second that this disk lets a vault do whose processor
    takes no time: (one commit after the other, commits that overlap).

    A commit is a flush of the data device, then a record with FUA on the anchor's.
    Commits one after the other serve all jobs, which write in between, or two halves
    of them, of which one writes while the other's commit runs.  If they overlapped,
    a job would still wait for its own write and one commit, and the medium for all.
    """
    flush = DISKS[name]["knobs"]["flush_us"]
    commit = flush + _write_us(name, 1)[1] + flush
    apart = [jobs / (_write_us(name, jobs)[1] + commit)]
    if jobs > 1:
        apart.append(jobs / 2 / max(commit, _write_us(name, jobs // 2)[1]))
    overlapping = jobs / max(_write_us(name, 1)[1] + commit, _write_us(name, jobs)[0])
    return max(apart) * 1e6, overlapping * 1e6


def limit_mbps(name, read):
    """What no target can be above, or None."""
    return DISKS[name]["knobs"].get("read_mbps" if read else "write_mbps")
