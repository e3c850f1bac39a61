"""The backend, and the proxies that everybody knows: nginx, HAProxy, and two HAProxies with mutual TLS between."""

import os
import re
import socket

from load import Chain
from machine import Unable, find, tcp_port

BODY_BYTES = 128
# As much as Graticule's own line says, as far as they know it.
LINE_OF_NGINX = (
    '{"time":"$time_iso8601","node":"$hostname","protocol":"$server_protocol","status":$status,"bytes_up":$content_length,'
    '"bytes_down":$body_bytes_sent,"complete":"$request_completion","duration":$request_time,'
    '"first_byte":"$upstream_header_time","backend":"$upstream_addr","client":"$remote_addr","method":"$request_method",'
    '"host":"$host","path":"$uri","request_id":"$request_id"}'
)
LINE_OF_HAPROXY = (
    '{"time":"%T","node":"%H","protocol":"%HV","status":%ST,"bytes_up":%U,"bytes_down":%B,"complete":"%ts","duration":%Ta,'
    '"first_byte":%Tr,"backend":"%s","client":"%ci","method":"%HM","host":"%[capture.req.hdr(0)]","path":"%HPO"}'
)
IDLE_CONNECTIONS = 256


def backend(processes, core):
    """A static server with 128-byte answers and endless keep-alive; its port."""
    port = tcp_port()
    serve(processes, "backend", core, f"""
        server {{
            listen 127.0.0.1:{port} backlog=1024;
            location / {{ return 200 "{'x' * BODY_BYTES}"; }}
        }}""")
    return port


def nginx(processes, core, backend_port, logs=False):
    """One nginx with one worker."""
    port = tcp_port()
    process = serve(processes, "nginx", core, f"""
        upstream backend {{
            server 127.0.0.1:{backend_port};
            keepalive {IDLE_CONNECTIONS};
            keepalive_requests 1000000000;
        }}
        server {{
            listen 127.0.0.1:{port} backlog=1024;
            location / {{
                proxy_pass http://backend;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
            }}
        }}""", logs)
    return Chain("nginx", port, [process])


def serve(processes, name, core, servers, logs=False):
    """Starts an nginx with the given part of its `http` block; `logs` says whether it writes a line for each request."""
    home = processes.directory / name
    home.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(f"{kind}_temp_path {home}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""
    {user}
    daemon off;
    worker_processes 1;
    worker_rlimit_nofile 65536;
    pid {home}/pid;
    error_log {home}/error.log warn;
    events {{ worker_connections 4096; }}
    http {{
        log_format line escape=json '{LINE_OF_NGINX}';
        access_log {f"{home}/access.log line buffer=128k flush=250ms" if logs else "off"};
        tcp_nodelay on;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
        {temporary}
        {servers}
    }}
    """)
    return processes.start(name, [find("nginx"), "-p", home, "-c", home / "nginx.conf", "-e", home / "error.log"], {core})


def haproxy(processes, core, backend_port, logs=False):
    """One HAProxy with one thread and a health check."""
    port = tcp_port()
    process = start_haproxy(processes, "haproxy", core, f"""
    listen hop
        bind 127.0.0.1:{port} backlog 1024
        http-reuse always
        server backend 127.0.0.1:{backend_port} check inter 2s
    """, logs)
    return Chain("HAProxy", port, [process])


def haproxy_behind_tls(processes, core, backend_port, certificates, logs=False):
    """One HAProxy with TLS 1.3 and HTTP/2 before it."""
    port = tcp_port()
    process = start_haproxy(processes, "haproxy-tls", core, f"""
    listen hop
        bind 127.0.0.1:{port} backlog 1024 ssl crt {certificates.both("front")} alpn h2
        http-reuse always
        server backend 127.0.0.1:{backend_port} check inter 2s
    """, logs)
    return Chain("HAProxy", port, [process], "near.test")


def two_haproxies(processes, core, backend_port, logs=False):
    """HAProxy to HAProxy: mutual TLS 1.3 and HTTP/2 between the two."""
    port, inner = tcp_port(), tcp_port()
    edge = start_haproxy(processes, "haproxy-edge", core, f"""
    listen edge
        bind 127.0.0.1:{port} backlog 1024
        http-reuse always
        server serving 127.0.0.1:{inner} check inter 2s ssl verify required ca-file ca.pem crt edge.pem verifyhost serving.bench.test alpn h2
    """, logs)
    serving = start_haproxy(processes, "haproxy-serving", core, f"""
    listen serving
        bind 127.0.0.1:{inner} backlog 1024 ssl crt serving.pem ca-file ca.pem verify required alpn h2
        http-reuse always
        server backend 127.0.0.1:{backend_port} check inter 2s
    """, logs)
    return Chain("HAProxy, HAProxy", port, [edge, serving])


def start_haproxy(processes, name, core, proxies, logs=False):
    """Starts a HAProxy with one thread and the given proxies; `logs` says whether it writes a line for each request."""
    path = processes.directory / f"{name}.cfg"
    log = f"log stdout format raw local0\n        log-format '{LINE_OF_HAPROXY}'" if logs else ""
    if logs:
        proxies = re.sub(r"(?m)^( *bind .*)$", r"\1\n        http-request capture req.hdr(host) len 64", proxies)
    path.write_text(f"""
    global
        nbthread 1
        maxconn 4096
        stats socket {processes.directory}/{name}.socket mode 600 level user
        ssl-default-bind-options ssl-min-ver TLSv1.3
        ssl-default-server-options ssl-min-ver TLSv1.3
        ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
        ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
    defaults
        mode http
        timeout connect 5s
        timeout client 1h
        timeout server 1h
        timeout http-keep-alive 1h
        {log}
    {proxies}
""")
    return processes.start(name, [find("haproxy"), "-db", "-C", processes.directory, "-f", path], {core})


def assert_http2(processes, requests):
    """Says so if the two HAProxies have not spoken HTTP/2 with each other."""
    with socket.socket(socket.AF_UNIX) as stats:
        stats.connect(str(processes.directory / "haproxy-serving.socket"))
        stats.sendall(b"show stat\n")
        told = b"".join(iter(lambda: stats.recv(65536), b"")).decode()
    lines = [line.split(",") for line in told.strip().splitlines()]
    frontend = dict(zip(lines[0], next(line for line in lines[1:] if line[1] == "FRONTEND")))
    streams = int(frontend.get("h2_headers_rcvd") or 0)
    if streams < requests:
        raise Unable(f"the two HAProxies spoke HTTP/2 for {streams} of {requests} requests")
