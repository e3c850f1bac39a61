"""What the benchmark needs of this machine: packages, the release binary, cores, and ports that are free."""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "openssl": "openssl",
            "h2load": "nghttp2-client"}
PORT_FIRST, PORT_LAST = 20_000, 30_000
UDP_BLOCK_ATTEMPTS_MAX = 200
POLICY = Path("/usr/sbin/policy-rc.d")


class Unable(Exception):
    """The benchmark cannot run; the message says what to do."""


def say(text):
    """Tells the person who waits, without touching the report on standard output."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def install_missing():
    """Installs what is missing from the system's packages, without starting any of it."""
    missing = sorted(package for command, package in PACKAGES.items() if find(command) is None)
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unable(f"not installed: {names}; as root: apt-get install {names}")
    say(f"installing with apt-get: {names}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    with services_not_started():
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unable(f"`{' '.join(command)}` failed; perhaps `apt-get update` first:\n{done.stderr[-2000:]}")


@contextlib.contextmanager
def services_not_started():
    """Packages start their services when they are installed, unless the machine's policy forbids it."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def find(command):
    """The path of a command; daemons are often outside an ordinary user's PATH."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def build_graticule():
    """Builds the release binary and says where it is."""
    say("building: cargo build --release --bin graticule")
    command = ["cargo", "build", "--release", "--bin", "graticule"]
    if subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr).returncode != 0:
        raise Unable(f"`{' '.join(command)}` failed")
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "graticule"


def cores():
    """Two cores: for client and backend, and for the proxies."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Unable("two cores are needed: one for client and backend, one for the proxies")
    return allowed[0], allowed[-1]


def tcp_port():
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def udp_block(count):
    """The first of `count` UDP ports of loopback in a row that are free now."""
    for _ in range(UDP_BLOCK_ATTEMPTS_MAX):
        base = random.randrange(PORT_FIRST, PORT_LAST - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
                return base
            except OSError:
                continue
    raise Unable(f"no {count} free UDP ports in a row between {PORT_FIRST} and {PORT_LAST}")


def describe():
    """One line about machine and versions, for the head of a report."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown processor")
    kernel = os.uname().release.split("-")[0]
    versions = ", ".join(filter(None, [
        version([find("nginx"), "-v"], "nginx/"), version([find("haproxy"), "-v"], "version "),
        version([find("wrk"), "-v"], "wrk "), version([find("h2load"), "--version"], "nghttp2/"),
    ]))
    return f"{model}, {os.cpu_count()} cores, Linux {kernel}, {versions}"


def version(command, before):
    """`nginx 1.22.1` out of whatever a program says about itself."""
    told = subprocess.run(command, capture_output=True, text=True)
    _, found, rest = (told.stdout + told.stderr).partition(before)
    number = rest.split()[0].split("-")[0] if found else "?"
    return f"{Path(command[0]).name} {number}"
