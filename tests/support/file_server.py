#!/usr/bin/python3
"""An HTTP server that has files, and faults that a test asks for.

file_server.py FOLDER LOG [CERTIFICATE KEY]

Serves the files of FOLDER from a free port of 127.0.0.1, which is the first line it prints; with TLS when it has a
certificate. ETag, Last-Modified, Range, If-Range, If-None-Match and If-Modified-Since are as RFC 9110 says. What a
request was and what the answer's status was is a line of LOG: "GET /a.raw?drop=5 200 range=bytes=0-".

Faults are in the query; times=N: only the first N requests for that path and query have them.
    status=S   answers so              drop=N    sends N bytes of the body, then ends the connection
    claim=N    Content-Length is N     slow=S    waits S seconds before each 100 bytes of the body
    header=S   waits S seconds, then sends one more header line, for ever
    to=URL     redirects               hops=N    redirects to itself with one less
    then=NAME  after those N requests it is this file
    plain      no ETag, no date, no ranges       chunked   no Content-Length, as chunks
    endless    chunks for ever         weird     206 with another range than the one asked for
"""

import email.utils
import hashlib
import http.server
import pathlib
import ssl
import sys
import threading
import time
import urllib.parse

FOLDER, LOG = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
seen, lock = {}, threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def end_with(self, status, headers=(), body=b""):
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self, status):
        words = [self.command, self.path, str(status)]
        for name in ("Range", "If-Range", "If-None-Match", "If-Modified-Since", "Authorization"):
            if name in self.headers:
                words.append(f"{name.lower()}={self.headers[name]}")
        with lock, LOG.open("a") as log:
            log.write(" ".join(words) + "\n")

    def faults(self):
        parts = urllib.parse.urlsplit(self.path)
        found = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        with lock:
            seen[self.path] = seen.get(self.path, 0) + 1
            if seen[self.path] > int(found.get("times", 1 << 30)):
                path = "/" + found["then"] if "then" in found else parts.path
                return path, {k: v for k, v in found.items() if k in ("plain", "chunked")}
        return parts.path, found

    def do_GET(self):
        path, fault = self.faults()
        if "status" in fault:
            return self.end_with(int(fault["status"]), body=b"x" * 1000)
        if "to" in fault:
            return self.end_with(302, [("Location", fault["to"])])
        if fault.get("hops", "0") != "0":
            return self.end_with(302, [("Location", f"{path}?hops={int(fault['hops']) - 1}")])
        if "header" in fault:
            return self.send_headers_for_ever(float(fault["header"]))
        file = FOLDER / path.lstrip("/")
        if not file.is_file():
            return self.end_with(404)
        return self.send_file(file, fault)

    def send_headers_for_ever(self, pause):
        self.note(200)
        self.send_response(200)
        while True:
            self.send_header("X-More", "x")
            self.flush_headers()
            time.sleep(pause)

    def send_file(self, file, fault):
        data = file.read_bytes()
        etag = '"' + hashlib.md5(data).hexdigest() + '"'
        date = email.utils.formatdate(file.stat().st_mtime, usegmt=True)
        headers = [] if "plain" in fault else [("ETag", etag), ("Last-Modified", date), ("Accept-Ranges", "bytes")]
        asked = self.headers
        if "plain" not in fault and (asked.get("If-None-Match") == etag or (
                "If-None-Match" not in asked and asked.get("If-Modified-Since") == date)):
            self.note(304)
            self.send_response(304)
            self.end_headers()
            return
        status, body = 200, data
        if "Range" in asked and "plain" not in fault and asked.get("If-Range", etag) in (etag, date):
            begin = int(asked["Range"].removeprefix("bytes=").split("-")[0])
            if begin >= len(data):
                return self.end_with(416, [("Content-Range", f"bytes */{len(data)}")])
            if "weird" in fault:
                begin -= 1
            status, body = 206, data[begin:]
            headers.append(("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}"))
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_body(body, fault)

    def send_body(self, body, fault):
        if "chunked" in fault or "endless" in fault:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
                if "endless" not in fault:
                    break
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", fault.get("claim", str(len(body))))
        self.end_headers()
        if "drop" in fault:
            self.wfile.write(body[:int(fault["drop"])])
            self.close_connection = True
        elif "slow" in fault:
            for at in range(0, len(body), 100):
                time.sleep(float(fault["slow"]))
                self.wfile.write(body[at:at + 100])
        else:
            self.wfile.write(body)
            self.close_connection = "claim" in fault


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that goes away is what many tests are about


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
