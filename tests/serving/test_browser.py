import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.process import Server, until

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
Evaluate = Callable[[str], Any]


@pytest.fixture
def page(server: Server, tmp_path: Path) -> Iterator[Evaluate]:
    """The home page in a headless browser: a function that evaluates JavaScript there."""
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--lang=en-US",
    ]
    browser = subprocess.Popen(
        [*command, "--remote-debugging-port=0", f"{server.url}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = tmp_path / "DevToolsActivePort"
        port = until(lambda: found.exists() and found.read_text().split("\n")[0], 60)
        pages = until(
            lambda: [p for p in httpx.get(f"http://127.0.0.1:{port}/json").json() if p["type"] == "page"]
        )
        with client.connect(pages[0]["webSocketDebuggerUrl"]) as socket:

            def evaluate(script: str) -> Any:
                parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
                socket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
                answer = json.loads(socket.recv())["result"]
                assert "exceptionDetails" not in answer, answer
                return answer["result"].get("value")

            until(
                lambda: (
                    evaluate("document.readyState") == "complete" and evaluate("typeof refresh") == "function"
                )
            )
            yield evaluate
    finally:
        browser.terminate()
        browser.wait(20)


def test_the_home_page_shows_champions_recommends_and_writes_in_both_languages(page: Evaluate) -> None:
    text = "document.body.innerText"
    until(lambda: "fake" in page("document.getElementById('champions').innerText"))
    page(
        "document.getElementById('language').textContent === '中文' || document.getElementById('language').click()"
    )
    assert "Champions in service" in page(text)
    page("document.querySelector('#recommend button').click()")
    until(lambda: "p0" in page("document.getElementById('posts').innerText"))
    assert "fallback: popular" in page(text)
    page("document.querySelector('#complete input[name=tokens]').value = 3")
    page("document.querySelector('#complete input[name=temperature]').value = 0")
    page("document.querySelector('#complete button').click()")
    until(lambda: "alpha beta gamma" in page("document.getElementById('text').innerText"))
    page("document.getElementById('language').click()")
    assert "正在服务的冠军模型" in page(text)
    page("document.querySelector('#recommend input[name=user]').value = 'breaks'")
    page("document.querySelector('#recommend button').click()")
    until(lambda: "unexpected error" in page("document.getElementById('posts').innerText"))
