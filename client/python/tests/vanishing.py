"""A way to a server on which connections can vanish: they stay open, and nothing passes any more."""

from __future__ import annotations

import contextlib
import socket
import threading


class VanishingLink:
    """So does a peer that loses its power, or a firewall that forgets. Connections made later pass again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._gone: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self.accepted = 0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads[0].start()

    def vanish(self) -> None:
        self._gone.update(self._sockets)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [near, far]
            self.accepted += 1
            self._start(near, far)
            self._start(far, near)

    def _start(self, source: socket.socket, target: socket.socket) -> None:
        thread = threading.Thread(target=self._pump, args=(source, target))
        self._threads.append(thread)
        thread.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source not in self._gone:
                    target.sendall(data)
            if source not in self._gone:
                target.shutdown(socket.SHUT_WR)
