"""Where the time of a request goes: samples of perf, by category, by function, and by module of our own code."""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import load
from machine import Unable

SECONDS = 8
FUNCTIONS_SHOWN_MAX = 40
OURS = "our own code"

# A sample in the kernel belongs to the first of these that any of its frames matches.
KERNEL = [(re.compile(pattern), category) for pattern, category in [
    (r"udp", "kernel: UDP"),
    (r"tcp|inet_|sock_|skb|vfs_writev|vfs_read|_sys_(send|recv)", "kernel: TCP"),
    (r"futex|eventfd", "kernel: wake-ups between threads"),
    (r"epoll|^ep_", "kernel: epoll and sleeping"),
    (r"irq|timer|tick|schedule", "kernel: interrupts and scheduling"),
]]

# Of a sample in the program, the innermost inlined frame that belongs to somebody.
LIBRARIES = [(re.compile(pattern), category) for pattern, category in [
    (r"^mi_|_mi_|mimalloc", "allocation"),
    (r"mem(cpy|move|set|cmp)|^_*mem.*(avx|sse|erms)", "copying and comparing memory"),
    (r"aws_lc|aes_|gcm|ghash|sha(256|512)|rustls|ring::|x25519", "TLS and crypto"),
    (r"\bquinn", "quinn"),
    (r"\bhyper|\bhttparse", "hyper"),
    (r"\bh2::", "HTTP/2"),
    (r"\bhttp(_body|_body_util)?::", "http types"),
    (r"\btokio|\bmio::", "tokio"),
    (r"\bmaxminddb", "geo database"),
    (r"\bclock_gettime|vdso", "reading clocks"),
]]
OWN = re.compile(r"\bgraticule(_\w+)?::")
NOBODY = re.compile(r"^<*&*(mut |\*)*(core|alloc|std|hashbrown|smallvec|bytes|arc_swap|futures_\w+|pin_project\w*)::")


@dataclass(frozen=True)
class Place:
    """Where one sample was."""

    category: str
    function: str


def profile(chain, directory, core, binary):
    """Samples `chain` under load; the tables as Markdown."""
    if shutil.which("perf") is None:
        raise Unable("`perf` is not installed; it is in the distribution's package linux-perf")
    data = directory / "perf.data"
    pids = {str(pid): process.name for process in chain.processes for pid in process.pids()}

    def record():
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "-g", "-o", data, "-p", ",".join(pids),
                   "--", "sleep", str(SECONDS - 2)]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)

    sample = load.measure(chain, directory, core, SECONDS, record)
    stacks = read(data)
    names = Names(binary, {pid: base(pid, binary) for pid in pids})
    names.resolve(stacks)
    placed = Counter((pids[pid], names.place(pid, frames)) for pid, frames in stacks)
    return tables(chain, sample, placed)


def read(data):
    """Every sample as its process and its frames (address, symbol, object), innermost first."""
    command = ["perf", "script", "-i", str(data), "-F", "pid,ip,sym,dso", "--no-inline"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    stacks = []
    for block in told.split("\n\n"):
        lines = block.strip("\n").splitlines()
        frames = [found.groups() for found in map(FRAME.match, lines[1:]) if found]
        if frames:
            stacks.append((lines[0].split()[0].split("/")[0], frames))
    return stacks


FRAME = re.compile(r"\s+([0-9a-f]+) (.*) \((.*)\)$")


def base(pid, binary):
    """Where a process has loaded `binary`; `None` if it is another program."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    ours = [int(line.split("-")[0], 16) for line in maps if line.endswith(str(binary))]
    return min(ours, default=None)


class Names:
    """The functions behind addresses of the binary, with those that were inlined there."""

    def __init__(self, binary, bases):
        self.binary, self.bases, self.known = binary, bases, {}

    def resolve(self, stacks):
        """Looks up every address that a sample was at."""
        wanted = {self.offset(pid, frames[0]) for pid, frames in stacks} - {None}
        tool = shutil.which("llvm-addr2line") or shutil.which("addr2line")
        if tool is None:
            raise Unable("`addr2line` is not installed; it is in the package binutils")
        asked = sorted(wanted)
        told = subprocess.run([tool, "-e", str(self.binary), "-f", "-i", "-C", "-a"], text=True, capture_output=True,
                              input="".join(f"{address:#x}\n" for address in asked), check=True).stdout
        current = []
        for line in told.splitlines():
            if re.fullmatch(r"0x[0-9a-f]+", line):
                current = self.known.setdefault(int(line, 16), [])
            else:
                current.append(line)
        # Function names and places in the source take turns.
        self.known = {address: [re.sub(r"::h[0-9a-f]{16}$", "", line) for line in lines[::2]]
                      for address, lines in self.known.items()}

    def offset(self, pid, frame):
        address, _, dso = frame
        base = self.bases.get(pid)
        return int(address, 16) - base if base is not None and dso == str(self.binary) else None

    def place(self, pid, frames):
        """The category and function of one sample."""
        _, symbol, dso = frames[0]
        if "kernel" in dso or dso == "[unknown]":
            return kernel_place([name for _, name, where in frames if "kernel" in where or where == "[unknown]"])
        names = self.known.get(self.offset(pid, frames[0])) or [symbol]
        for name in names:
            for pattern, category in LIBRARIES:
                if pattern.search(owner(name)):
                    return Place(category, name)
            if OWN.search(owner(name)):
                return Place(f"{OURS}: {module(name)}", name)
        return Place("standard library, not inlined" if "graticule" in dso else Path(dso).name, names[-1])


def owner(name):
    """The part of a function's name that says whose it is: not what a generic one of the core library is made for."""
    dropped = re.match(r"core::ptr::drop_(?:in_place|glue)<(.*)", name)
    return dropped[1] if dropped else "" if NOBODY.match(name) else name


def module(name):
    """`graticule::gateway` out of `graticule::gateway::dispatch::Pending::local`."""
    path = OWN.search(name)
    words = re.findall(r"\w+", name[path.start():])
    return "::".join(words[:2])


def kernel_place(names):
    for pattern, category in KERNEL:
        if any(pattern.search(name) for name in names):
            return Place(category, names[0])
    return Place("kernel: other", names[0])


def tables(chain, sample, placed):
    """Markdown: by category and process, then the functions of our own code, then of everything."""
    processes = [process.name for process in chain.processes]
    total = sum(placed.values())
    micros = sample.micros / total
    lines = [f"{chain.name}: {sample.micros:.1f} µs of CPU per request, {total} samples", "",
             f"| where | {' | '.join(processes)} | together | share |", "|---|" + "--:|" * (len(processes) + 2)]
    for category, count in Counter(sum_by(placed, lambda _, place: place.category)).most_common():
        each = [sum(n for (name, place), n in placed.items() if name == process and place.category == category)
                for process in processes]
        cells = [f"{n * micros:.2f}" for n in each] + [f"{count * micros:.2f}", f"{100 * count / total:.1f} %"]
        lines.append(f"| {category} | {' | '.join(cells)} |")
    lines += functions("Functions of our own code", placed, micros, lambda place: place.category.startswith(OURS))
    lines += functions("Functions of all", placed, micros, lambda _: True)
    return "\n".join(lines)


def functions(title, placed, micros, wanted):
    counts = sum_by({key: n for key, n in placed.items() if wanted(key[1])}, lambda _, place: place)
    lines = ["", f"{title}:", ""]
    for place, count in counts.most_common(FUNCTIONS_SHOWN_MAX):
        lines.append(f"    {count * micros:6.3f} µs  {place.function[:110]}  [{place.category}]")
    return lines


def sum_by(placed, key):
    counts = Counter()
    for (process, place), count in placed.items():
        counts[key(process, place)] += count
    return counts
