"""A FastAPI application whose one handler does nothing: what the framework alone costs. Run like serving.main."""

import socket
import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/v1/recommendations")
async def nothing() -> dict[str, str]:
    """Answer at once."""
    return {}


if __name__ == "__main__":
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
