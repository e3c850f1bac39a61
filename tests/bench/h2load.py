"""Load as HTTP/2 over TLS 1.3: the command, and what it says it has done."""

import re
from dataclasses import dataclass
from pathlib import Path

from machine import find

CIPHER = "TLS_AES_128_GCM_SHA256"
# What the command says of each connection's handshake, if it was the one that is to be measured.
SPOKEN = ["TLS Protocol: TLSv1.3", f"Cipher: {CIPHER}", "Application protocol: h2"]


@dataclass
class Front:
    """TLS and HTTP/2 before a chain: who signed its certificate, and how clients share connections."""

    authority: Path
    connections: int
    streams: int


def command(chain, client, seconds):
    """One thread, as many connections as `chain` says, and so many requests at once on each of them."""
    front = chain.front
    return [find("h2load"), "-t1", f"-c{front.connections}", f"-m{front.streams}", f"-D{seconds}s", f"--tls13-ciphers={CIPHER}",
            f"--connect-to=127.0.0.1:{chain.port}", "-H", f":authority: {chain.host}", "-H", f"x-forwarded-for: {client}",
            f"https://{chain.host}:{chain.port}/"]


def completed(told):
    """How many requests got 200 or the like, or `None` if any failed or went by another protocol."""
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", told)
    good = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", told)
    if counts is None or good is None or not all(words in told for words in SPOKEN):
        return None
    done, succeeded, *wrong = map(int, counts.groups())
    return done if done == succeeded == int(good[1]) and not any(wrong) else None
