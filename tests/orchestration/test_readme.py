"""Every command that the documentation shows exists, with the options that it shows."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from orchestration.cli import app

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = ["README.md", "docs/how-to.md", "docs/data.md", "docs/readers.md", "docs/feedback.md"]


def _commands() -> list[tuple[str, str]]:
    found = []
    for page in _PAGES:
        text = (_ROOT / page).read_text()
        blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += [
            span for span in re.findall(r"`([^`\n]+)`", text) if span.startswith(("tidegate ", "make "))
        ]
        found += [(page, line) for line in lines if line.startswith(("tidegate ", "make "))]
    return found


def _has_placeholder(word: str) -> bool:
    return word.isupper() or word.startswith("...")


@pytest.mark.parametrize(("page", "line"), _commands())
def test_a_documented_command_parses(page: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
        assert words[1] in targets, f"{page}: {line}"
        return
    command = get_command(app)
    arguments = words[1:]
    while hasattr(command, "commands"):
        assert arguments and arguments[0] in command.commands, f"{page}: {line}"
        command = command.commands[arguments.pop(0)]
    if any(_has_placeholder(word) for word in arguments):
        known = {option for parameter in command.params for option in parameter.opts}
        for word in arguments:
            assert not word.startswith("-") or word in known, f"{page}: {line}"
        return
    if command.name == "ingest" and arguments == []:
        return
    command.make_context(command.name, list(arguments), resilient_parsing=False).close()


def test_every_command_is_documented() -> None:
    text = "".join((_ROOT / page).read_text() for page in _PAGES)
    for name, command in get_command(app).commands.items():
        names = [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
        for one in names:
            assert f"tidegate {one}" in text, f"`tidegate {one}` is in no page"


def test_every_local_link_leads_somewhere() -> None:
    for page in [*_PAGES, "docs/architecture.md", "docs/decisions/README.md"]:
        folder = (_ROOT / page).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", (_ROOT / page).read_text()):
            assert (folder / target).exists(), f"{page} links to {target}"
