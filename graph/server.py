"""Listens, and serves an application until it is interrupted.

Rules of this file: how the process serves (signals, one line on standard output, exit codes), not what.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from graph.app import Application
from graph.errors import SettingsError
from graph.process import tune_process


class _Server(uvicorn.Server):
    """Says where it listens, once it does: only then is a free port known."""

    def __init__(self, config: uvicorn.Config, describe: Callable[[str], str]) -> None:
        super().__init__(config)
        self._describe = describe

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:  # uvicorn has logged why
            address = f"{self.config.host}:{self.config.port}"
            raise SettingsError([f"host, port: {address} cannot be listened on"]) from error
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(
                self._describe(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"),
                flush=True,
            )


def run_server(application: Application, host: str, port: int, describe: Callable[[str], str]) -> None:
    """Serve until a signal ends it; what `describe` says of the address, once that is known, is printed.

    Raises SettingsError when the address cannot be listened on.
    """
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    server = _Server(config, describe)

    async def run() -> None:
        # Not uvicorn's own lifespan: that logs a traceback and exits with 3 when the store cannot be opened.
        async with application.router.lifespan_context(application):
            await server.serve()

    tune_process()
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        # uvicorn has ended in good order, and then raises the signal again.
        sys.exit(130)
