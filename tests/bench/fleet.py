"""Two nodes of Graticule in two regions, with everything switched on, as chains of one hop and of two."""

import shutil
import subprocess
from dataclasses import dataclass, replace

from certificates import Certificates
from load import Chain
from machine import Unable, tcp_port, udp_block

REGIONS = {"eu-central": ("DE", 50.11, 8.68), "eu-west": ("IE", 53.35, -6.26)}
EDGE, FAR = REGIONS
# A client outside the Union, whom the documents below serve nowhere.
FOREIGNER = "12.0.0.1"
FORBIDDEN = 403

TENANT = """
version = 1
id = "{id}"
expose_region = true

[[match]]
host = "{id}.test"

[residency]
allow = ["any"]
home = "{home}"
unknown = "refuse"

[[residency.client]]
when = ["set:EU"]
allow = ["set:EU"]

[[residency.client]]
when = ["country:US"]
allow = []

[pools.{home}]
backends = ["127.0.0.1:{backend}"]
check = {{ path = "/healthz" }}
"""

NODE = """
name = "{name}"
data = "data"
documents = "../documents"
workers = {workers}

[ingress]
http = "127.0.0.1:{http}"
https = "127.0.0.1:{https}"
certificates = "../front"
trusted = ["127.0.0.0/8"]
client_address = "x-forwarded-for"

[mesh]
listen = "127.0.0.1:{mesh}"
seeds = ["127.0.0.1:{seed}"]
certificate = "{name}.pem"
key = "{name}.key"
authorities = "ca.pem"

[admin]
listen = "127.0.0.1:{admin}"
"""

ACCESS_LOG = """
[access_log]
path = "access.log"
"""


@dataclass
class Work:
    """What all proxies are given: the backend's port, and the certificates that clients see."""

    backend: int
    certificates: Certificates


class Fleet:
    """Two nodes that gossip with and probe each other; all chains enter at the first of them."""

    def __init__(self, processes, binary, core, work, workers=1, label="", logs=True):
        self.binary, self.workers, self.logs = binary, workers, logs
        self.home = processes.directory / f"fleet-{workers}{label}"
        self.write_documents(work.backend)
        self.write_front(work.certificates)
        mesh = {region: udp_block(1 + workers) for region in REGIONS}
        http, https = ({region: tcp_port() for region in REGIONS} for _ in range(2))
        nodes = [self.start(processes, core, region, (mesh, http[region], https[region]), label) for region in REGIONS]
        name = f"Graticule{label}" + (f", {workers} workers" if workers > 1 else "")
        self.one_hop = Chain(name, http[EDGE], nodes, "near.test", {"x-graticule-region": EDGE})
        self.behind_tls = replace(self.one_hop, port=https[EDGE])
        self.two_hops = Chain(f"{name}, tunnel", http[EDGE], nodes, "far.test", {"x-graticule-region": FAR})

    def check_rules(self):
        """Says so if clients are not located: a foreigner must be refused where a German is served."""
        for chain in (self.one_hop, self.two_hops):
            status = chain.get(client=FOREIGNER)[0]
            if status != FORBIDDEN:
                raise Unable(f"{chain.name}: {FOREIGNER} got status {status} instead of {FORBIDDEN}")

    def write_documents(self, backend_port):
        documents = self.home / "documents"
        (documents / "tenants").mkdir(parents=True)
        regions = "".join(f'\n[regions.{name}]\ncountry = "{country}"\nlatitude = {latitude}\nlongitude = {longitude}\n'
                          for name, (country, latitude, longitude) in REGIONS.items())
        sets = '\n[sets]\nEU = ["AT", "BE", "DE", "FR", "IE", "IT", "NL", "PL"]\n'
        (documents / "fleet.toml").write_text(f'version = 1\nmesh = "bench"\n{regions}{sets}')
        for tenant, home in (("near", EDGE), ("far", FAR)):
            text = TENANT.format(id=tenant, home=home, backend=backend_port)
            (documents / "tenants" / f"{tenant}.toml").write_text(text)
        self.graticule("ca", "init", self.home / "ca", "--mesh", "bench")

    def write_front(self, certificates):
        front = self.home / "front"
        front.mkdir()
        shutil.copy(certificates.certificate("front"), front / "front.pem")
        shutil.copy(certificates.key("front"), front / "front.key")

    def start(self, processes, core, region, ports, label):
        mesh, http, https = ports
        name = f"{region}-1"
        home = self.home / name
        self.graticule("ca", "issue", "--ca", self.home / "ca", "--region", region, "--node", name, "--out", home)
        seed = next(port for other, port in mesh.items() if other != region)
        text = NODE.format(name=name, workers=self.workers, http=http, https=https, mesh=mesh[region], seed=seed,
                           admin=tcp_port())
        (home / "node.toml").write_text(text + (ACCESS_LOG if self.logs else ""))
        command = [self.binary, "node", "--config", home / "node.toml"]
        return processes.start(f"{name}-{self.workers}{label}", command, {core})

    def graticule(self, *words):
        done = subprocess.run([str(self.binary), *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Unable(f"`graticule {' '.join(map(str, words))}` failed:\n{done.stdout}{done.stderr}")
