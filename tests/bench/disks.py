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


def limit_mbps(name, read):
    """What no target can be above, or None."""
    return DISKS[name]["knobs"].get("read_mbps" if read else "write_mbps")
