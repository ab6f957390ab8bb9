"""What a user would write instead: `transformers.generate` behind a plain FastAPI handler, streaming as its docs show.

A Llama of the sizes in `peer.json`, its weights drawn at random (time does not depend on them). Run like serving.main.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import torch
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TextIteratorStreamer

HOME = Path(os.environ["TIDEGATE_HOME"])
torch.set_num_threads(1)
torch.manual_seed(0)
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HOME / "tokenizer.json"))
model = LlamaForCausalLM(
    LlamaConfig(**json.loads((HOME / "peer.json").read_text()), dtype=torch.float32)
).eval()
app = FastAPI()


class Body(BaseModel):
    """As in the OpenAI API."""

    prompt: str
    max_tokens: int
    temperature: float
    top_p: float


@app.get("/readyz")
def readyz() -> dict[str, str]:
    """Ready once the module is loaded."""
    return {"status": "ready"}


@app.post("/v1/completions")
def complete(body: Body) -> StreamingResponse:
    """Continue a text, a line a piece."""
    inputs = tokenizer(body.prompt, return_tensors="pt", return_token_type_ids=False)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    options = {
        "max_new_tokens": body.max_tokens,
        "min_new_tokens": body.max_tokens,
        "do_sample": True,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "pad_token_id": 0,
    }
    Thread(target=model.generate, kwargs={**inputs, **options, "streamer": streamer}).start()

    def lines() -> Iterator[str]:
        for piece in streamer:
            if piece:
                yield f"data: {json.dumps(piece)}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


if __name__ == "__main__":
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
