"""Certificates of a run: an authority of its own, and what it signed."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import Unable, find

# Hosts of the tenants: clients of a proxy behind TLS ask for one of them by SNI.
FRONT_HOSTS = ["near.test", "far.test"]
NAMES = {"edge": ["edge.bench.test"], "serving": ["serving.bench.test"], "front": FRONT_HOSTS}


@dataclass
class Certificates:
    """Files by name: certificate, key, both in one as HAProxy wants them, and the authority of all."""

    directory: Path

    @property
    def authority(self):
        return self.directory / "ca.pem"

    def certificate(self, name):
        return self.directory / f"{name}.crt"

    def key(self, name):
        return self.directory / f"{name}.key"

    def both(self, name):
        return self.directory / f"{name}.pem"


def make(directory):
    """An authority, and a certificate that it signed for each of `NAMES`; all keys are of P-256."""
    def openssl(*words):
        done = subprocess.run([find("openssl"), *words], cwd=directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unable(f"openssl {words[0]} failed:\n{done.stderr}")

    made = Certificates(directory)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=bench")
    for name, hosts in NAMES.items():
        names = ",".join(f"DNS:{host}" for host in hosts)
        (directory / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={hosts[0]}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.crt", "-extfile", f"{name}.ext")
        made.both(name).write_text(made.certificate(name).read_text() + made.key(name).read_text())
    return made
