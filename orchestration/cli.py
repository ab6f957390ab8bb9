"""The `tidegate` command. Every command says what it did in one line; a user's mistake is one line and exit code 1."""

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from orchestration.home import prepare_home
from serving import logs
from serving.settings import Settings, get_settings
from training.errors import UserError

app = typer.Typer(
    help="tidegate: drift-gated machine learning for social feeds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lake_app = typer.Typer(
    help="The lake: rebuild it from the landing zone, or verify the landing zone.", no_args_is_help=True
)
app.add_typer(lake_app, name="lake")

Model = Annotated[Literal["recommender", "generator"], typer.Argument(help="recommender or generator")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def say(text: str) -> None:
    """One line for the person at the terminal."""
    typer.echo(text)


def progress(text: str) -> None:
    """One line about long work, to stderr so that output can be piped."""
    typer.echo(text, err=True)


def _ready() -> Settings:
    settings = get_settings()
    logs.configure(settings)
    prepare_home(settings)
    return settings


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@app.command()
def run() -> None:
    """Run the whole loop once, headless: land, features, train, gate, promote, serve check."""
    from orchestration.loop import run_loop

    outcome = run_loop(_ready(), progress)
    say(outcome.table())
    if outcome.failed:
        raise UserError(outcome.failed)


@app.command()
def sweep(
    model: Model,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials at most.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, max=180.0, help="Minutes for trials.")] = None,
    objective: Annotated[
        str | None, typer.Option(help="Model whose validation metric is optimised; `best` of all otherwise.")
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=RANGE, e.g. 'slist.ridge=1 to 100 log'; may be repeated; replaces the default."
        ),
    ] = None,
) -> None:
    """Search hyper-parameters of MODEL on the newest features, train the best and let the gate decide."""
    from orchestration.loop import run_job

    asked = {"trials": trials, "minutes": minutes, "objective": objective}
    config: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if space:
        unclear = next((text for text in space if "=" not in text), None)
        if unclear is not None:
            raise UserError(f"--space {unclear} is not of the form NAME=RANGE")
        config["space"] = dict(text.split("=", 1) for text in space)
    run_config = {"ops": {f"{model}_trials": {"config": config}}}
    outcome = run_job(_ready(), f"{model}_sweep", (model,), progress, run_config)
    say(outcome.table())
    if outcome.failed:
        raise UserError(outcome.failed)


@app.command()
def up() -> None:
    """Start the Dagster UI and daemon, the MLflow server and the API together; Ctrl-C stops them together."""
    from orchestration.up import up as start

    raise typer.Exit(start(_ready(), say))


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Port to listen on; TIDEGATE_API_PORT otherwise.")] = None,
) -> None:
    """Serve the champions over HTTP."""
    from serving.main import run as start

    settings = _ready()
    start(settings, settings.api_port if port is None else port)


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="File or folder to read.")],
    reader: Annotated[str, typer.Option(help="How to read it; `tidegate readers` lists them.")] = "canonical",
) -> None:
    """Read foreign files, check them at the border, land them and load the lake."""
    from orchestration.lake.ingest import ingest as land

    say(land(_ready(), path, reader, progress).line())


@app.command()
def readers() -> None:
    """List the readers and what each expects."""
    from orchestration.sources import READERS

    for name, reader in sorted(READERS.items()):
        say(f"{name:16} {reader.summary}")


@app.command()
def simulate(
    users: Annotated[int | None, typer.Option(min=50, help="Users of the world.")] = None,
    posts: Annotated[int | None, typer.Option(min=100, help="Posts in the simulated days.")] = None,
    events: Annotated[int | None, typer.Option(min=1000, help="Events in the simulated days.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days to simulate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the world.")] = None,
    drift: Annotated[
        Literal["none", "gradual", "sudden"] | None, typer.Option(help="How the world changes.")
    ] = None,
    bots: Annotated[int | None, typer.Option(min=0, help="Spam bots.")] = None,
) -> None:
    """Found a simulated social network, or let the one that is there live on for more days; land what happens."""
    from orchestration.world import simulate as live

    knobs = {
        "users": users,
        "posts": posts,
        "events": events,
        "days": days,
        "seed": seed,
        "drift": drift,
        "bots": bots,
    }
    say(live(_ready(), {name: value for name, value in knobs.items() if value is not None}, progress))


@app.command()
def rate(
    prompts: Annotated[int, typer.Option(min=1, help="Questions asked.")] = 200,
    choices: Annotated[int, typer.Option(min=1, max=4, help="Texts asked for and rated for each.")] = 3,
    tokens: Annotated[int, typer.Option(min=1, max=1024, help="Longest text.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Another seed asks other questions.")] = 1,
) -> None:
    """Let simulated readers rate and edit what the API writes, by the simulated world's own truth."""
    from orchestration.raters import rate as ask

    say(ask(_ready(), prompts, choices, tokens, seed, progress).line())


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show champions, last decisions and the lake."""
    from orchestration.status import read_status, status_text

    found = read_status(_ready())
    say(json.dumps(found, indent=2, ensure_ascii=False) if as_json else status_text(found))


@app.command()
def gate(model: Model, as_json: AsJson = False) -> None:
    """Judge the newest candidate of MODEL now, act on the decision, and show every check with its evidence.

    A candidate that was decided already is shown, not judged again.
    """
    from orchestration.judge import judge_cycle

    verdict = judge_cycle(_ready(), model, progress)
    say(json.dumps(verdict.as_json(), indent=2, ensure_ascii=False) if as_json else verdict.text())


@app.command()
def approve(
    model: Model,
    version: Annotated[str, typer.Argument(help="Version that waits for a review.")],
    name: Annotated[str | None, typer.Option("--as", help="Who approves; the login name otherwise.")] = None,
) -> None:
    """Approve a version that waits for a review; the gate decides again with that approval as evidence."""
    from orchestration.judge import approve as act

    say(act(_ready(), model, version, name or _operator()))


@app.command()
def reject(
    model: Model,
    version: Annotated[str, typer.Argument(help="Version that waits for a review.")],
    why: Annotated[str, typer.Option(help="Reason, kept in the ledger.")],
    name: Annotated[str | None, typer.Option("--as", help="Who rejects; the login name otherwise.")] = None,
) -> None:
    """Reject a version that waits for a review."""
    from orchestration.judge import reject as act

    say(act(_ready(), model, version, name or _operator(), why))


@app.command()
def rollback(
    model: Model,
    why: Annotated[str, typer.Option(help="Reason, kept in the ledger.")] = "rolled back by hand",
    name: Annotated[
        str | None, typer.Option("--as", help="Who rolls back; the login name otherwise.")
    ] = None,
) -> None:
    """Move the champion of MODEL back to the one before; the server follows."""
    from orchestration.judge import rollback as act

    say(act(_ready(), model, name or _operator(), why))


@lake_app.command("rebuild")
def lake_rebuild() -> None:
    """Make the lake anew from the landing zone and prove the feature tables equal by content hash."""
    from orchestration.lake.features import build_features
    from orchestration.lake.rebuild import rebuild

    def build(target: Settings) -> None:
        build_features(target, progress)

    say(rebuild(_ready(), build, progress).line())


@lake_app.command("verify")
def lake_verify() -> None:
    """Compare every landed file with its manifest."""
    from orchestration.lake.verify import verify_landing

    settings = _ready()
    damaged = verify_landing(settings)
    for text in damaged:
        progress(text)
    if damaged:
        raise UserError(f"{len(damaged)} problems in {settings.landing_dir}")
    say("every landed file equals its manifest")


def main() -> None:
    """Entry point: turns a user's mistake into one line on stderr and exit code 1."""
    try:
        app()
    except UserError as error:
        typer.echo(f"tidegate: {error}", err=True)
        sys.exit(1)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        typer.echo(f"tidegate: {error.title}: {where}: {first['msg']}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
