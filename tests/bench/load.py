"""One measurement: load on a chain of proxies for some seconds, and what each request cost them."""

import http.client
import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field

import h2load
from machine import Unable, find

CONNECTIONS = 64
READY_SECONDS_MAX = 20
WARM_UP_SECONDS = 1

# Addresses in Germany: every request is located anew, none twice in a row.
NETWORKS = ["5.9", "46.4", "88.198", "78.46", "80.130", "91.64", "217.2", "84.130"]
ADDRESSES = [f"{network}.{index * 7 % 256}.{index * 13 % 250 + 1}" for index in range(32) for network in NETWORKS]

SCRIPT = """
local addresses = {%s}
local requests, at = {}, 0
init = function(args)
  for i, address in ipairs(addresses) do
    requests[i] = wrk.format("GET", "/", { ["Host"] = "%s", ["X-Forwarded-For"] = address })
  end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
"""


@dataclass
class Chain:
    """One or two proxies before the backend, ready to be measured."""

    name: str
    port: int
    processes: list
    host: str = "bench.test"
    answer: dict = field(default_factory=dict)
    # Without one, clients speak HTTP/1.1 in cleartext.
    front: "h2load.Front | None" = None

    def get(self, client=ADDRESSES[0]):
        """Asks once, as from `client`: status, headers and length of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            if self.front is not None:
                context = ssl.create_default_context(cafile=self.front.authority)
                plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                connection.sock = context.wrap_socket(plain, server_hostname=self.host)
            connection.request("GET", "/", headers={"Host": self.host, "X-Forwarded-For": client})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), len(answer.read())
        finally:
            connection.close()

    def wait(self, processes, body_bytes):
        """Until it answers as it should: a status of 200, the whole body, the headers in `answer`."""
        deadline, seen = time.monotonic() + READY_SECONDS_MAX, "nothing"
        while time.monotonic() < deadline:
            processes.check()
            try:
                status, headers, length = self.get()
                right = {name: headers.get(name) for name in self.answer} == self.answer
                if (status, length, right) == (200, body_bytes, True):
                    return
                seen = f"status {status}, {length} bytes, {headers}"
            except OSError as error:
                seen = str(error)
            time.sleep(0.1)
        logs = "\n".join(process.tail() for process in self.processes)
        raise Unable(f"{self.name} is not ready after {READY_SECONDS_MAX} s; its answer: {seen}\n{logs}")


@dataclass
class Sample:
    """What one measurement gave."""

    requests: int
    seconds: float
    cpu_seconds: dict

    @property
    def micros(self):
        """CPU time of all proxies for one request, in microseconds."""
        return sum(self.cpu_seconds.values()) / self.requests * 1e6

    @property
    def rate(self):
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def busy(self):
        """Cores that the proxies used, on average."""
        return sum(self.cpu_seconds.values()) / self.seconds


def measure(chain, directory, core, seconds, during=None):
    """Loads `chain` from `core` for `seconds`; `during` runs meanwhile."""
    before = {process.name: process.cpu_seconds() for process in chain.processes}
    started = time.monotonic()
    client = start_client(chain, directory, core, seconds)
    if during is not None:
        during()
    told = client.communicate(timeout=seconds + 30)[0]
    elapsed = time.monotonic() - started
    after = {process.name: process.cpu_seconds() for process in chain.processes}
    requests = completed(chain, told, client.returncode)
    return Sample(requests, elapsed, {name: after[name] - before[name] for name in before})


def warm_up(chain, directory, core):
    """Opens connections and fills caches."""
    measure(chain, directory, core, WARM_UP_SECONDS)


def start_client(chain, directory, core, seconds):
    """One thread of a load generator, which keeps `CONNECTIONS` requests going."""
    words = wrk(chain, directory, seconds) if chain.front is None else h2load.command(chain, ADDRESSES[0], seconds)
    return subprocess.Popen(["taskset", "-c", str(core), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def wrk(chain, directory, seconds):
    """wrk with 64 keep-alive connections; every request is from another address."""
    script = directory / f"{chain.host}.lua"
    script.write_text(SCRIPT % (", ".join(f'"{address}"' for address in ADDRESSES), chain.host))
    return [find("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{chain.port}/"]


def completed(chain, told, status):
    """How many requests the load generator counted; any that failed makes the measurement void."""
    counted = completed_by_wrk(told) if chain.front is None else h2load.completed(told)
    if status != 0 or not counted:
        logs = "\n".join(process.tail() for process in chain.processes)
        raise Unable(f"requests to {chain.name} failed:\n{told}\n{logs}")
    return counted


def completed_by_wrk(told):
    """How many requests wrk counted, or `None` if any failed."""
    counted = re.search(r"(\d+) requests in", told)
    wrong = re.search(r"Socket errors.*|Non-2xx.*", told)
    return int(counted[1]) if counted and not wrong else None
