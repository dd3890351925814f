"""Limits on a server's connections that uvicorn lacks: how many there are, and how long one may wait for its client."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

CLIENT_SECONDS: Final = 30
# asyncio accepts so many before it tells the protocol of the first: open files beyond the limit on connections.
BACKLOG: Final = 64


def limited(connections: int, seconds: float = CLIENT_SECONDS) -> type[H11Protocol]:
    """Give uvicorn's protocol limits; for its option `http`, beside `backlog=BACKLOG`.

    uvicorn has one limit, on requests: beyond it, those of good clients are refused, too. A connection that asks
    nothing, a head or body that never ends and an answer that nobody reads have none.

    Args:
        connections: how many there may be. One more takes the place of the one that has waited longest for its client.
        seconds: that a client has to send its request, head and body, and then to read the answer.
    """

    class Limited(H11Protocol):
        """One connection."""

        def connection_made(self, transport: Any) -> None:
            """A client connected."""
            super().connection_made(transport)
            self.wait()
            if len(self.connections) > connections:
                next(connection for connection in waiting if not connection.at_work()).end()

        def on_response_complete(self) -> None:
            """An answer is written, as far as the application is concerned."""
            self.wait()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            """The connection ended, whoever ended it."""
            self.forget()
            super().connection_lost(exc)

        def at_work(self) -> bool:
            """Whether the client has done its part and waits for the application."""
            return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_started

        def wait(self) -> None:
            self.forget()
            waiting[self] = self.loop.call_later(seconds, self.late)

        def late(self) -> None:
            if self.at_work():
                self.wait()
            else:
                self.end()

        def forget(self) -> None:
            if timer := waiting.pop(self, None):
                timer.cancel()

        def end(self) -> None:
            self.forget()
            self.transport.abort()

    waiting: dict[Limited, asyncio.TimerHandle] = {}  # those of longest ago come first
    return Limited
