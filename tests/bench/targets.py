# SPDX-License-Identifier: GPL-2.0
"""The targets that are compared: each makes /dev/mapper/NAME over its own part of
one RAM disk, by way of a disk model."""
import os
import subprocess

KEY = "/run/bench.key"
SECTORS_OF_MIB = 2048
ANCHOR_SECTORS = 2048


class Cannot(Exception):
    """A target that does not exist here; says why."""


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Cannot(f"{os.path.basename(command[0])} {command[1]}: {said[-1]}")
    return done.stdout


def mapped(name, table, *options):
    run("dmsetup", "create", name, *options, "--table", table)


def sectors(device):
    return int(run("blockdev", "--getsz", device))


def luks(*arguments):
    run("cryptsetup", arguments[0], "--batch-mode", "--key-file", KEY, *arguments[1:])


QUICK_KEY = ("--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
             "--sector-size", "4096")
XTS = ("--cipher", "aes-xts-plain64", "--key-size", "512")
HMAC = XTS + ("--integrity", "hmac-sha256")
GCM = ("--cipher", "aes-gcm-random", "--key-size", "256", "--integrity", "aead")
CHACHA = ("--cipher", "chacha20-random", "--key-size", "256", "--integrity", "poly1305")


def qvault_tool(*arguments):
    return run(os.environ["QVAULT_CTL"], *arguments)


def format_qvault(data, anchor, *options):
    qvault_tool("format", "--batch-mode", "--force", "--key-file", KEY, *options, data, anchor)


def attach_qvault(name, data, anchor, *options):
    # No commits by a timer: those of one would fall into the time of another.
    qvault_tool("attach", "--key-file", KEY, "--commit-seconds", "0", *options, name, data,
                anchor)


class Target:
    writes = True			# verity does not
    authentic = True
    kernel_crypto = True		# False: in C, so slower than it need be

    def __init__(self, name, title):
        self.name, self.title = name, title

    def device(self):
        return "/dev/mapper/" + self.name

    def settle(self, control):
        """Do what was put off."""

    def remove(self):
        run("dmsetup", "remove", "--retry", self.name)


class Linear(Target):
    authentic = False

    def make(self, data, anchor):
        mapped(self.name, f"0 {sectors(data)} linear {data} 0")


class Luks(Target):
    def __init__(self, name, title, cipher, open_options=(), authentic=True, hardware=True):
        super().__init__(name, title)
        self.cipher, self.open_options = cipher, open_options
        self.authentic, self.kernel_crypto = authentic, hardware

    def make(self, data, anchor):
        wipe = ("--integrity-no-wipe",) if self.authentic else ()
        luks("luksFormat", *QUICK_KEY, *self.cipher, *wipe, data)
        luks("open", *self.open_options, data, self.name)

    def remove(self):
        run("cryptsetup", "close", self.name)


class Verity(Target):
    writes = False

    def make(self, data, anchor):
        # A hundredth and a bit for the hash tree behind the data.
        blocks = sectors(data) // 8 * 98 // 100
        said = run("veritysetup", "format", "--data-blocks", str(blocks), "--hash-offset",
                   str(blocks * 4096), data, data)
        root = next(line.split()[-1] for line in said.splitlines() if "Root hash" in line)
        run("veritysetup", "open", "--hash-offset", str(blocks * 4096), data, self.name, data,
            root)

    def remove(self):
        run("veritysetup", "close", self.name)


class Qvault(Target):
    def __init__(self, name, title, *options):
        super().__init__(name, title)
        self.options = options

    def make(self, data, anchor):
        format_qvault(data, anchor, *self.options)
        attach_qvault(self.name, data, anchor)

    def settle(self, control):
        control.message(self.name, "checkpoint")

    def remove(self):
        qvault_tool("detach", self.name)


class QvaultPairs(Qvault):
    """As on a kernel that hashes two blocks at once: see tests/lab/hwcrypto."""
    SWITCH = "/sys/module/hwcrypto/parameters/pairs"

    def make(self, data, anchor):
        if not os.path.exists(self.SWITCH):
            raise Cannot("this processor lacks instructions for SHA-256")
        self.switch("1")
        try:
            super().make(data, anchor)
        finally:
            self.switch("0")

    def switch(self, value):
        with open(self.SWITCH, "w") as file:
            file.write(value)


class Ephemeral(Target):
    def make(self, data, anchor):
        qvault_tool("attach", "--ephemeral", "--force", self.name, data)

    def remove(self):
        qvault_tool("detach", self.name)


NO_QUEUES = ("--perf-no_read_workqueue", "--perf-no_write_workqueue")
NO_JOURNAL = ("--integrity-no-journal",)


def peers():
    return [
        Linear("linear", "dm-linear"),
        Luks("crypt", "dm-crypt", XTS, authentic=False),
        Luks("crypt-noq", "dm-crypt, no workqueues", XTS, NO_QUEUES, authentic=False),
        Luks("hmac-j", "LUKS2 hmac-sha256, journal", HMAC),
        Luks("hmac-nj", "LUKS2 hmac-sha256, no journal", HMAC, NO_JOURNAL),
        Luks("gcm-j", "LUKS2 aes-gcm, journal", GCM),
        Luks("gcm-nj", "LUKS2 aes-gcm, no journal", GCM, NO_JOURNAL),
        Luks("chacha-j", "LUKS2 chacha20-poly1305, journal (C)", CHACHA, hardware=False),
        Verity("verity", "dm-verity sha256"),
    ]


def vaults():
    return [
        Qvault("qvault", "qvault hmac-sha256"),
        QvaultPairs("qvault-2x", "qvault hmac-sha256, two at once"),
        Qvault("qvault-nhpoly", "qvault nhpoly-aes", "--mac", "nhpoly-aes"),
    ]
