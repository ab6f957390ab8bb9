"""What may be asked of a generator and what it may say: refusals with a reason, and a filter for text as it is made.

Prompts are refused that insult, or that ask for somebody's personal data. Answers are masked as training texts are,
keep codes of a system message to themselves, and end where they become abusive. Nothing is shown before it is judged.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import regex

from serving.moderation_settings import ModerationSettings
from training.abuse.files import read_models
from training.abuse.lexicon import INSULTS, is_insulting
from training.abuse.model import AbuseModel
from training.privacy.find import find
from training.privacy.recogniser import Recogniser
from training.privacy.stream import MaskedStream

Reason = Literal["abuse", "personal-data"]
REASONS: dict[Reason, str] = {
    "abuse": "The text is abusive. / 内容含有辱骂。",
    "personal-data": "Personal data of others is not given out. / 不提供他人的个人信息。",
}
_JUDGED = 16
"""Characters of an answer after which the classifier looks again; they are held back until then."""
_READ = 400
"""Last characters of a prompt or an answer that are judged."""
_LEXICON = regex.compile(INSULTS.pattern, regex.IGNORECASE)

_WHAT = (
    r"(?:(?:home|street|private|postal) address|where \w+ lives|(?:phone|mobile|cell|telephone) ?(?:number|no\.?)"
    r"|e-?mail address|(?:ssn|social security number)|(?:credit|debit|bank) card(?: number)?|passport number"
    r"|id(?:entity)?(?: card)? number|password|bank account)"
)
_ASKED = regex.compile(
    r"(?i)\b(?:tell|give|send|show|find|get|look up|reveal|leak|dox|what(?:'s| is| was| are)|do you know|i need|list)\b"
    rf"(?![^.?!\n]{{0,60}}\bmy (?:own )?{_WHAT})"
    rf"[^.?!\n]{{0,60}}?(?:\b(?:his|her|their|your|the|a|this|that|of|\w+['’]s) (?:[\w'’]+ ){{0,4}}?){_WHAT}"
    r"|(?:告诉|给我|发我|查(?:一下|查|到|出)?|找(?:到|出)?|求|透露|泄露|谁(?:有|知道)|知道|请问|人肉)[^。？！\n]{0,20}?"
    r"(?<!我)的?(?:手机号|电话号码|身份证号|家庭住址|住址|银行卡号|卡号|密码|护照号|邮箱地址|社保号)"
)
"""Requests for what identifies or reaches somebody; one's own is one's own affair."""

_SECRET = regex.compile(r"(?<![\p{L}\p{N}])(?=[\p{L}\p{N}_\-]*\d)[\p{L}\p{N}_\-]{6,64}(?![\p{L}\p{N}])")
"""What looks like a key, a code or a password: six signs and more, a digit among them."""


@dataclass(frozen=True)
class Refusal:
    """Why something is not answered, or not to its end."""

    reason: Reason

    @property
    def text(self) -> str:
        """For whoever reads the answer."""
        return REASONS[self.reason]


class Moderator:
    """The rules of one bundle: the lexicon, and the guard that was trained with it where there is one."""

    def __init__(self, settings: ModerationSettings, guard: AbuseModel | None = None) -> None:
        self._settings, self._guard = settings, guard

    @classmethod
    def load(cls, bundle: Path, settings: ModerationSettings) -> Self:
        """With the guard of the bundle at `bundle`. Raises OSError, ValueError where its files do not fit together."""
        models = read_models(bundle)
        return cls(settings, models.guard if models else None)

    def refusal(self, prompt: str) -> Refusal | None:
        """Why `prompt` (of a conversation: what its last message says) is refused; None when it may be answered."""
        if not self._settings.prompts:
            return None
        read = prompt[-_READ:]
        if self.abusive(read):
            return Refusal("abuse")
        return Refusal("personal-data") if _ASKED.search(read) else None

    def abusive(self, text: str) -> bool:
        """By the lexicon or the guard."""
        return is_insulting(text) or (
            self._guard is not None and self._guard.probability(text) >= self._settings.abuse
        )

    @property
    def looks(self) -> int:
        """Characters that are held back for the guard."""
        return _JUDGED if self._guard is not None else 0

    def filter(self, prompt: str = "", system: str = "") -> "AnswerFilter | OpenFilter":
        """For one answer. Accounts that the prompt names may be named again; codes in `system` stay there."""
        if not self._settings.answers:
            return OpenFilter()
        named = frozenset(
            prompt[span.start : span.end] for span in find(prompt[-10 * _READ :]) if span.kind == "account"
        )
        return AnswerFilter(self, named, secrets(system))


def secrets(system: str) -> tuple[Recogniser, ...]:
    """A recogniser of the codes in a system message; none where it holds none."""
    codes = sorted(set(_SECRET.findall(system)), key=len, reverse=True)
    if not codes:
        return ()
    # Told apart by spaces or dashes they are the same codes.
    spelled = (r"[ \-.]?".join(map(regex.escape, code)) for code in codes)
    form = regex.compile(rf"(?i)(?<![\p{{L}}\p{{N}}])(?:{'|'.join(spelled)})")
    return (Recogniser("secret", form, form),)


class OpenFilter:
    """Lets everything pass."""

    blocked: Refusal | None = None
    altered = False

    def push(self, text: str) -> str:
        """`text`."""
        return text

    def finish(self) -> str:
        """Nothing."""
        return ""


class AnswerFilter:
    """One answer on its way out: `push` what is made, show what comes back, `finish` at its end.

    Once `blocked` is set the answer has ended and nothing more comes back.
    """

    def __init__(self, moderator: Moderator, named: frozenset[str], more: tuple[Recogniser, ...]) -> None:
        self._moderator = moderator
        self._masked = MaskedStream(named, more)
        self._context = ""
        """What was shown last."""
        self._held = ""
        self.blocked: Refusal | None = None

    @property
    def altered(self) -> bool:
        """Whether what was shown is not what was made."""
        return self._masked.found > 0 or self.blocked is not None

    def push(self, text: str) -> str:
        """What may be shown after `text` (it may be empty)."""
        if self.blocked:
            return ""
        self._held += self._masked.push(text)
        if len(self._held) < max(self._moderator.looks, 1):
            return ""
        return self._judged(len(self._held) - self._insult_begun())

    def finish(self) -> str:
        """The rest, when the answer has ended."""
        if self.blocked:
            return ""
        self._held += self._masked.finish()
        return self._judged(len(self._held))

    def _insult_begun(self) -> int:
        """Characters at the end that may become an insult of the lexicon."""
        begun = _LEXICON.search(self._held, partial=True)
        while begun is not None and not begun.partial:
            begun = _LEXICON.search(self._held, begun.end(), partial=True)
        return len(self._held) - begun.start() if begun is not None else 0

    def _judged(self, safe: int) -> str:
        read = (self._context + self._held)[-_READ:]
        if self._moderator.abusive(read):
            self.blocked, self._held = Refusal("abuse"), ""
            return ""
        shown, self._held = self._held[:safe], self._held[safe:]
        self._context = (self._context + shown)[-_READ:]
        return shown
