"""A small RTSP server on loopback, over TCP alone: what one program publishes to a path, others read from it."""

import re
import socket
import threading
from contextlib import suppress


class RtspServer:
    """Takes ANNOUNCE and RECORD, gives DESCRIBE and PLAY, as media servers for cameras do."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.described: dict[str, bytes] = {}  # the SDP of each path that somebody publishes to
        self.publishers: dict[str, socket.socket] = {}
        self.stalled: set[str] = set()  # paths of which nothing is passed on
        self.readers: dict[str, list[Reader]] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def drop(self, path: str) -> None:
        """Hang up on all readers of a path."""
        for reader in self.readers.get(path, []):
            with suppress(OSError):
                reader.connection.shutdown(socket.SHUT_RDWR)

    def hang_up(self, path: str) -> None:
        """Hang up on whoever publishes to a path."""
        with suppress(OSError):
            self.publishers[path].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=Reader(self, connection).serve, daemon=True).start()


class Reader:
    """One connection, of whoever reads or publishes."""

    def __init__(self, server: RtspServer, connection: socket.socket) -> None:
        self.server, self.connection = server, connection
        self.path = ""
        self.channels: dict[int, int] = {}  # of each track of whoever reads; the track of each channel of a publisher
        self.publishes = False

    def serve(self) -> None:
        file = self.connection.makefile("rb")
        with suppress(OSError, ValueError), self.connection, file:
            while first := file.read(1):
                if first == b"$":
                    channel, size = file.read(1)[0], int.from_bytes(file.read(2), "big")
                    self._relay(channel, file.read(size))
                else:
                    self._answer(first + file.readline(), file)
        if self.publishes:
            self.server.described.pop(self.path, None)
            self.server.drop(self.path)
        elif self in self.server.readers.get(self.path, []):
            self.server.readers[self.path].remove(self)

    def _relay(self, channel: int, content: bytes) -> None:
        if not self.publishes or self.path in self.server.stalled:
            return
        track, odd = self.channels[channel & ~1], channel & 1
        for reader in list(self.server.readers.get(self.path, [])):
            header = bytes([0x24, reader.channels.get(track, 0) + odd]) + len(content).to_bytes(2, "big")
            with suppress(OSError):
                reader.connection.sendall(header + content)

    def _answer(self, request: bytes, file) -> None:
        method, url, _ = request.decode().split()
        headers = {}
        while line := file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
        path, _, track = url.split("/", 3)[3].partition("/")
        lines, content, status = [f"CSeq: {headers['cseq']}", "Session: 1"], b"", "200 OK"
        if method == "OPTIONS":
            lines.append("Public: ANNOUNCE, DESCRIBE, SETUP, PLAY, RECORD, TEARDOWN")
        elif method == "ANNOUNCE":
            self.path, self.publishes = path, True
            self.server.publishers[path], self.server.described[path] = self.connection, body
        elif method == "DESCRIBE" and path in self.server.described:
            self.path, content = path, self.server.described[path]
            lines += ["Content-Type: application/sdp", f"Content-Base: {url}/"]
        elif method == "DESCRIBE":
            status = "404 Not Found"
        elif method == "SETUP":
            channel = int(re.search(r"interleaved=(\d+)", headers["transport"])[1])
            number = int(track.removeprefix("streamid="))
            self.channels |= {channel: number} if self.publishes else {number: channel}
            lines.append(f"Transport: {headers['transport']}")
        self._send(status, lines, content)
        if method == "PLAY":
            self.server.readers.setdefault(self.path, []).append(self)

    def _send(self, status: str, lines: list[str], content: bytes) -> None:
        head = [f"RTSP/1.0 {status}", *lines, f"Content-Length: {len(content)}", "", ""]
        self.connection.sendall("\r\n".join(head).encode() + content)
