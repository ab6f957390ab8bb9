"""The folder `landing/incoming`: what waits there, and where it goes once it was dealt with."""

from pathlib import Path

from serving.settings import Settings
from training.files import fsync_dir, write_atomic


def waiting_files(settings: Settings) -> list[Path]:
    """Files that wait, in order of name; open journals (`*.open`) and hidden files are still being written."""
    return sorted(
        path
        for path in settings.incoming_dir.rglob("*")
        if path.is_file() and not path.name.endswith(".open") and not path.name.startswith(".")
    )


def archive(settings: Settings, file: Path) -> Path:
    """Move a file that landed to `landing/archive`, which may be emptied at any time. Returns where it is now."""
    return _move(settings, file, "archive")


def refuse(settings: Settings, file: Path, reason: str) -> Path:
    """Move a file that was refused to `landing/refused`, with the reason beside it. Returns where it is now."""
    target = _move(settings, file, "refused")
    write_atomic(target.with_name(f"{target.name}.reason.txt"), f"{reason}\n".encode())
    return target


def _move(settings: Settings, file: Path, folder: str) -> Path:
    target = settings.landing_dir / folder / file.relative_to(settings.incoming_dir)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{file.stem}-{number}{file.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    file.rename(target)
    fsync_dir(target.parent)
    return target
