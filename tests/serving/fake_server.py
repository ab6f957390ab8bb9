"""The real server with the tiny models, as a process of its own: `python -m tests.serving.fake_server --fd N`."""

import socket
import sys

from serving.main import serve
from serving.settings import get_settings
from tests.serving.fakes import LOADERS

if __name__ == "__main__":
    serve(get_settings(), socket.socket(fileno=int(sys.argv[2])), LOADERS)
