"""Processes of a run: started on given cores, counted, moved to other cores, and stopped whatever happens."""

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from machine import Unable

STOP_SECONDS_MAX = 5
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
FILES_MAX = 65_536
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Processes:
    """Everything that was started; stops it all when the `with` block ends."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.running = []

    def start(self, name, command, cores):
        """Starts `command` on `cores`; what it says goes to NAME.log."""
        def prepare():
            os.sched_setaffinity(0, cores)
            # Nothing outlives the benchmark, even if that is killed.
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=output, preexec_fn=prepare, cwd=self.directory)
        process = Process(name, child, log)
        self.running.append(process)
        return process

    def check(self):
        """Says so if anything has ended that should not."""
        for process in self.running:
            if process.child.poll() is not None:
                raise Unable(f"{process.name} ended with status {process.child.returncode}:\n{process.tail()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.child.terminate()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for process in self.running:
            try:
                process.child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.child.kill()
                process.child.wait()


class Process:
    """One process with all that it has started itself."""

    def __init__(self, name, child, log):
        self.name, self.child, self.log = name, child, log

    def pids(self):
        """Its own id and those of its descendants."""
        found, waiting = [], [self.child.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in tasks(pid):
                waiting += map(int, (Path("/proc") / str(pid) / "task" / str(task) / "children").read_text().split())
        return found

    def cpu_seconds(self):
        """User plus system time of all its processes and threads so far."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def move(self, cores):
        """Lets every thread run on `cores` from now on."""
        for pid in self.pids():
            for task in tasks(pid):
                os.sched_setaffinity(task, cores)

    def tail(self):
        """The end of what it said."""
        return self.log.read_text(errors="replace")[-2000:]


def tasks(pid):
    """The threads of a process."""
    return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]


def cpu_seconds(pid):
    """Fields 14 and 15 of /proc/PID/stat; the name before them may have spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
