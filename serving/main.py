"""Runs the server: `run(settings, port)` for the command line, `python -m serving.main --fd N` on an open socket."""

import argparse
import os
import signal
import socket
import sys

import structlog
import uvicorn
from threadpoolctl import threadpool_limits

from serving import logs
from serving.app import create_app
from serving.models import Loaders
from serving.settings import Settings, get_settings
from training.errors import UserError

_SWITCH_S = 0.001
"""Longest wait for the interpreter lock while a model computes; the default of 5 ms would show in every answer."""
_GRACE_S = 5
_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A listening socket (port 0: any free one). Raises UserError when the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"the API cannot listen on {host}:{port} ({error.strerror or error}): stop what listens there, or set "
            "TIDEGATE_API_PORT or --port"
        ) from error
    return listener


def run(settings: Settings, port: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM; then finish what is being answered and seal the journals.

    `port` overrides the settings' (0: any free one, which the log names). Raises UserError when the port is taken.
    """
    serve(settings, bind(settings.host, settings.api_port if port is None else port))


def _one_thread_for_arrays() -> None:
    """Requests run side by side, so that each array operation takes one core and not all: half-idle teams of threads
    that wait for each other are what makes a p99. Variables that the user has set stay."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # for libraries that are loaded with a model
    threadpool_limits(int(os.environ["OMP_NUM_THREADS"]))  # for those that are loaded already


def serve(settings: Settings, listener: socket.socket, loaders: Loaders | None = None) -> None:
    """Serve on a socket that is already listening."""
    logs.configure(settings)
    sys.setswitchinterval(_SWITCH_S)
    _one_thread_for_arrays()
    host, port = listener.getsockname()[:2]
    structlog.get_logger().info("listening", url=f"http://{host}:{port}")
    config = uvicorn.Config(
        create_app(settings, loaders),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises what it caught again when it is done; a server that ended as it was asked to has not failed.
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    server.run(sockets=[listener])


def main() -> None:
    """Serve on the descriptor that the parent process opened."""
    parser = argparse.ArgumentParser(description="Serve the champions under TIDEGATE_HOME.")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of a listening socket")
    serve(get_settings(), socket.socket(fileno=parser.parse_args().fd))


if __name__ == "__main__":
    main()
