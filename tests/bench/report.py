#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tables of a run; with a directory also a page, JSON and plots.

usage: report.py [--into DIRECTORY --machine TEXT] RECORDS...

Exit status 1: a figure cannot be, so that the bench itself is wrong.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import disks
import goals
import results as r

PLOTTED = ("write-1m", "read-1m", "randwrite-qd32", "randread-qd32", "fsync-1", "fsync-16")
PLOTTED_TARGETS = ("hmac-j", "hmac-nj", "gcm-j", "gcm-nj", "qvault", "qvault-2x",
                   "qvault-nhpoly")


# ---- tables, as text and as rst at once --------------------------------------

def table(head, rows):
    """A simple table of rst, which reads well as it is."""
    rows = [[str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    rule = "  ".join("=" * w for w in widths)
    lines = [rule, "  ".join(h.ljust(w) for h, w in zip(head, widths)).rstrip(), rule]
    for row in rows:
        lines.append("  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                               for i, (c, w) in enumerate(zip(row, widths))).rstrip())
    return "\n".join(lines + [rule])


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    if not values:
        return "-"
    middle = number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))}..{number(max(values))})"


def title(res, target):
    return res.targets[target]["title"]


def rate_table(res, disk):
    workloads = [w for w in res.workloads() if res.measured(disk, w)]
    head = ["MB/s or operations/s"] + workloads
    rows = []
    for target in res.targets:
        rates = [res.rates(disk, w, target) for w in workloads]
        if any(rates):
            rows.append([title(res, target)] + [spread(x) for x in rates])
    return table(head, rows)


def ratio_table(res, disk):
    workloads = [w for w in res.workloads() if res.measured(disk, w)]
    rows = []
    for vault in r.vaults(res):
        for name, base in (("dm-crypt", lambda w: "crypt"),
                           ("the best authenticated peer",
                            lambda w: res.best_authenticated(disk, w))):
            rows.append([f"{title(res, vault)} / {name}"] +
                        [number(res.ratio(disk, w, vault, base(w))) for w in workloads])
    for vault in r.vaults(res) if disk != "brd" else ():
        rows.append([f"{title(res, vault)}: the processor's share"] +
                    [number(res.processor_share(disk, w, vault)) for w in workloads])
    rows.append(["limited by"] + ["disk" if res.disk_bound(disk, w) else "processor"
                                  for w in workloads])
    return table(["ratio of medians"] + workloads, rows)


def fsync_table(res):
    """What the disks allow, computed, beside what was measured."""
    rows = []
    for disk in res.disks():
        for workload, jobs in (("fsync-1", 1), ("fsync-16", 16)):
            base = res.rate(disk, workload, "crypt")
            if disk == "brd" or not base:
                continue
            best = max(res.ratio(disk, workload, v, "crypt") for v in r.vaults(res))
            rows.append([f"{disk}, {jobs} job{'s' if jobs > 1 else ''}"] +
                        [f"{limit / base:.2f}" for limit in disks.fsync_limits(disk, jobs)] +
                        [f"{best:.2f}"])
    return table(["", "commits one after the other", "commits that overlap", "measured"], rows)


def cost_table(res):
    """Exact counters, from the runs on the RAM disk."""
    def device(key, side):
        return lambda x: sum(x[part][key + side] for part in ("data", "anchor"))

    head = ["on the RAM disk", "bytes/byte w 1M", "w 4K", "r 1M", "requests/request w 1M", "w 4K",
            "r 1M", "r 4K", "flushes/fsync", "anchor writes/fsync", "anchor reads/fsync",
            "bytes/byte fsync",
            "CPU ns/4K w 1M", "r 1M", "w 4K", "r 4K"]
    rows = []
    for target in res.targets:
        if target == "ephemeral":
            continue
        cells = [res.per_byte("brd", w, target, device(k, "_bytes"))
                 for w, k in (("write-1m", "write"), ("randwrite-qd32", "write"),
                              ("read-1m", "read"))]
        cells += [res.per_operation("brd", w, target, device(k, "s"))
                  for w, k in (("write-1m", "write"), ("randwrite-qd32", "write"),
                               ("read-1m", "read"), ("randread-qd32", "read"))]
        cells += [res.per_operation("brd", "fsync-1", target, lambda x: x["data"]["flushes"]),
                  res.per_operation("brd", "fsync-1", target, lambda x: x["anchor"]["writes"]),
                  res.per_operation("brd", "fsync-1", target, lambda x: x["anchor"]["reads"]),
                  res.per_byte("brd", "fsync-1", target, device("write", "_bytes"))]
        cells += [res.cpu_ns("brd", w, target)
                  for w in ("write-1m", "read-1m", "randwrite-qd32", "randread-qd32")]
        rows.append([title(res, target)] + [number(c) for c in cells])
    return table(head, rows)


def goal_table(res):
    rows = []
    for goal in goals.all_goals(res):
        word, shown, why = goal.verdict()
        rows.append([goal.name, goal.text(), shown, word, why])
    return table(["target", "wanted", "measured", "", "where"], rows)


def application_table(res):
    found = res.of("application")
    columns = list(dict.fromkeys((a["disk"], a["workload"], a["unit"]) for a in found))
    head = [""] + [f"{w}, {d} ({u})" for d, w, u in columns]
    rows = []
    for target in dict.fromkeys(a["target"] for a in found):
        rows.append([title(res, target)] + [
            number(next((a["value"] for a in found if a["target"] == target and
                         (a["disk"], a["workload"], a["unit"]) == c), None)) for c in columns])
    return table(head, rows)


def swap_table(res):
    where = [(d, w) for d in res.disks() for w in r.SWAP if res.measured(d, w)]
    rows = [[title(res, t)] + [spread(res.rates(d, w, t)) for d, w in where]
            for t in ("crypt", "ephemeral") if t in res.targets]
    return table(["MB/s"] + [f"{w}, {d}" for d, w in where], rows)


def grow_table(res):
    rows = []
    for g in res.of("grow"):
        t = res.of("times", size=g["size"])[0]
        late = (g["data"]["write_bytes"] + g["anchor"]["write_bytes"] + g["checkpoint_bytes"])
        rows.append([g["size"], g["ios"], number(g["cpu_ns"] / g["ios"]),
                     f"{late / g['bytes']:.3f}", f"{g['memory_bytes'] / (1 << 20):.1f}",
                     spread(t["format_ms"]), spread(t["attach_ms"]), spread(t["grow_ms"]),
                     spread(t["process_ms"])])
    return table(["size", "random 4K writes", "CPU ns each", "bytes/byte with a checkpoint",
                  "memory MiB", "format ms", "attach ms", "grow from 256 MiB ms",
                  "of it a process's start"], rows)


def written_table(res):
    rows = [[a["workload"], a["ios"], f"{goals.written(a):.4f}", a["data"]["writes"],
             a["data"]["flushes"], a["anchor"]["writes"], a["log_blocks"], a["nodes"],
             a["checkpoints"]] for a in res.of("amplification")]
    return table(["", "requests", "bytes/byte", "writes", "flushes", "anchor writes",
                  "log blocks", "nodes", "checkpoints"], rows)


def alone_table(res):
    rows = []
    for f in res.of("fragmentation"):
        rows.append([f"read 1 MiB in order before, {f['disk']}", spread(f["before"]) + " MB/s",
                     f"{f['before_requests']:.1f} requests for each"])
        rows.append([f"after two random overwrites, {f['disk']}", spread(f["after"]) + " MB/s",
                     f"{f['after_requests']:.1f} requests for each"])
        rows.append(["footprint, MiB", number(f["footprint"] / (1 << 20)),
                     f"live {f['live'] >> 20}, spare {f['spare'] / (1 << 20):.1f}"])
    for disk in dict.fromkeys(c["disk"] for c in res.of("cache")):
        for kind in ("cold", "warm"):
            found = res.of("cache", disk=disk)
            rows.append([f"random read 4K, {kind} node cache, {disk}",
                         spread([c[kind + "_us"] for c in found]) + " us",
                         f"{found[0][kind + '_reads']:.2f} reads for each"])
    for disk, load in dict.fromkeys((c["disk"], c["workload"])
                                    for c in res.of("cache-in-order")):
        found = res.of("cache-in-order", disk=disk, workload=load)
        for kind in ("cold", "warm"):
            rows.append([f"read {load} in order, {kind} node cache, {disk}",
                         spread([c[kind] for c in found]) + " MB/s",
                         f"{found[0][kind + '_reads']:.2f} reads for each"])
    for disk in dict.fromkeys(t["disk"] for t in res.of("tail")):
        for key, name in (("without", "no checkpoint"), ("with_", "checkpoints without pause")):
            found = res.of("tail", disk=disk)
            cells = [spread([t[key][p] / 1000 for t in found]) for p in ("p50_ns", "p999_ns")]
            rows.append([f"write 4K QD4, p99.9, {name}, {disk}", cells[1] + " us",
                         f"p50 {cells[0]} us"])
    for f in res.of("full-log"):
        for disk, ms in f["ms"].items():
            rows.append([f"attach with {f['used']} of {f['size']} log blocks, {disk}",
                         f"{ms:.0f} ms", f"of it a process's start: {spread(f['process_ms'])}"])
    for c in res.of("clone"):
        rows.append([f"clone of {c['size']}, without the copy", spread(c["ms"]) + " ms",
                     "verified roots and log, a new generation, both slots, the label"])
    return table(["", "", ""], rows)


def sections(res):
    """(heading, text before the table, table)"""
    yield "Targets", "", goal_table(res)
    for disk in res.disks():
        yield disk, disks.DISKS[disk]["about"] + ".", (rate_table(res, disk) + "\n\n" +
                                                        ratio_table(res, disk))
    if res.of("load", workload="fsync-1"):
        yield "fsync, against dm-crypt", ("The most that a vault could reach on these disks if "
                                          "its processor took no time, and the better one "
                                          "that was measured."), fsync_table(res)
    if res.of("load", disk="brd"):
        yield "Exact counters", "Data and anchor device together.", cost_table(res)
    if res.of("application"):
        yield "ext4 untar and sync; sqlite, durable transactions", "", application_table(res)
    if "ephemeral" in res.targets:
        yield "Swap-like", "Under a random key: 128 KiB out in order, 32 KiB in at random.", \
            swap_table(res)
    if res.of("grow"):
        yield "As a volume grows", "", grow_table(res)
        yield "Device bytes for each byte, with the checkpoint that is due", "", \
            written_table(res)
        yield "A vault by itself", "", alone_table(res)


def print_all(res):
    for heading, text, body in sections(res):
        print(f"\n{heading}" + (f": {text}" if text else "") + f"\n{body}")


# ---- page and plots ----------------------------------------------------------

def gnuplot(path, terminal, script):
    done = subprocess.run(["gnuplot"], text=True, capture_output=True,
                          input=f"set terminal {terminal}\nset output '{path}'\n{script}")
    if done.returncode or done.stderr:
        sys.exit(f"gnuplot: {done.stderr}")


def plot(directory, name, script):
    gnuplot(f"{directory}/{name}.svg", "svg size 900,420 font 'sans,11'", script)
    gnuplot(f"{directory}/{name}.png", "pngcairo size 900,420 font 'sans,10'", script)


def bars(heading, ylabel, columns, rows, extra=""):
    lines = ["$data << END", " ".join(["x"] + [f'"{c}"' for c in columns])]
    lines += [" ".join([f'"{row}"'] + [f"{v:.4f}" if v is not None else "NaN" for v in values])
              for row, values in rows]
    lines += ["END", "set style data histograms", "set style fill solid 0.8 border -1",
              "set style histogram clustered gap 1.5", "set key outside right noenhanced",
              "set grid y", "set yrange [0:*]", f"set title '{heading}' noenhanced",
              f"set ylabel '{ylabel}'", "set xtics noenhanced", extra,
              f"plot for [i=2:{len(columns) + 1}] $data using i:xtic(1) title columnheader(i)"]
    return "\n".join(lines) + "\n"


def write_plots(res, directory):
    names = []
    columns = [t for t in PLOTTED_TARGETS if t in res.targets]
    for disk in res.disks():
        rows = [(w, [res.ratio(disk, w, t, "crypt") for t in columns]) for w in PLOTTED]
        plot(directory, disk, bars(f"{disk}: ratio to dm-crypt", "dm-crypt = 1",
                                   [title(res, t) for t in columns], rows,
                                   "set arrow from graph 0, first 1 to graph 1, first 1 nohead"))
        names.append(disk)
    columns = [t for t in res.targets if t not in ("ephemeral", "chacha-j")]
    rows = [(w, [res.cpu_ns("brd", w, t) for t in columns])
            for w in ("write-1m", "read-1m", "randwrite-qd32", "randread-qd32")]
    plot(directory, "cpu", bars("processor time on the RAM disk", "ns for each 4 KiB",
                                [title(res, t) for t in columns], rows))
    return names + ["cpu"]


def write_page(res, directory, machine, figures):
    with open(f"{directory}/index.rst", "w") as page:
        print(".. SPDX-License-Identifier: GPL-2.0\n.. Written by make bench-report: do not edit.\n"
              "\n==========\nBenchmarks\n==========\n", file=page)
        print("::\n\n" + "\n".join("    " + m for m in machine.splitlines()) + "\n", file=page)
        print("How it is measured, and what the figures say, stands in method.rst. Where a cell "
              "has\nthree numbers they are the median and the range over the rounds.\n", file=page)
        for heading, text, body in sections(res):
            print(f"{heading}\n{'-' * len(heading)}\n", file=page)
            if heading in figures:
                print(f".. image:: {heading}.svg\n", file=page)
            if heading == "Exact counters":
                print(".. image:: cpu.svg\n", file=page)
            print((text + "\n\n" if text else "") + body + "\n", file=page)
        for name, why in skips(res):
            print(f"* Not measured: {name}: {why}", file=page)


def skips(res):
    return [(s["name"], s["why"]) for s in res.of("skipped") + res.of("failed")]


def write_json(res, directory):
    summary = {
        "medians": [{"disk": d, "workload": w, "target": t, "rate": res.rate(d, w, t),
                     "rates": res.rates(d, w, t), "of_dm_crypt": res.ratio(d, w, t, "crypt"),
                     "cpu_ns_per_4k": res.cpu_ns(d, w, t)}
                    for d in res.disks() for w in list(res.workloads()) + list(r.SWAP)
                    for t in res.measured(d, w)],
        "targets": [dict(zip(("verdict", "measured", "where"), g.verdict()), name=g.name,
                         wanted=g.text()) for g in goals.all_goals(res)],
        "alone": [x for x in res.records if x["kind"] in
                  ("times", "grow", "amplification", "fragmentation", "cache",
                   "cache-in-order", "tail", "full-log",
                   "application", "skipped", "failed", "level")],
    }
    with open(f"{directory}/results.json", "w") as file:
        json.dump(summary, file, indent=1)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--into")
    parser.add_argument("--json")
    parser.add_argument("--machine", default="")
    parser.add_argument("records", nargs="+")
    arguments = parser.parse_args()
    res = r.Results(arguments.records)
    print_all(res)
    if arguments.json:
        write_json(res, arguments.json)
    if arguments.into:
        os.makedirs(arguments.into, exist_ok=True)
        write_json(res, arguments.into)
        figures = write_plots(res, arguments.into)
        write_page(res, arguments.into, arguments.machine, figures)
    found = res.doubts()
    for doubt in found:
        print(f"doubt: {doubt}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
