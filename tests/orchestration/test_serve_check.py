"""Waiting for the API. The order in which a server gets its parts is set here, so its answers are made up."""

import httpx

from orchestration.serve_check import wait_until_ready

MISSING = {"detail": "no state of the feed is loaded"}


def client(*answers: httpx.Response) -> httpx.Client:
    left = list(answers)
    transport = httpx.MockTransport(lambda request: left.pop(0) if len(left) > 1 else left[0])
    return httpx.Client(transport=transport, base_url="http://api")


def test_models_are_asked_only_when_the_feed_has_its_state_too() -> None:
    late = client(httpx.Response(503, json=MISSING), httpx.Response(503, json=MISSING), httpx.Response(200))
    assert wait_until_ready(late, pause=0.0) == []


def test_what_is_still_missing_in_the_end_is_said() -> None:
    never = client(httpx.Response(503, json=MISSING))
    assert wait_until_ready(never, seconds=0.0) == ["the API is not ready: no state of the feed is loaded"]
