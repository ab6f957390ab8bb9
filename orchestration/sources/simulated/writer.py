"""Writes the simulated world's texts: posts, series, replies, spam, prompts; says what it planted in them."""

from dataclasses import dataclass, field

from orchestration.sources.simulated.grammar import Draws, Sentence, render
from orchestration.sources.simulated.lexicon import EN, ZH, topics, wording
from orchestration.sources.simulated.personal import personal, phone

DRAWS_A_TEXT = 96
"""Numbers that a text has to draw from before they come round again."""

PERSONAL_SHARE = 0.03
# Shares of posts with 0, 1, ... followers after the opening sentence, before and after a shift of the world.
_FOLLOWERS_BEFORE = (0.30, 0.65, 0.90, 1.0)
_FOLLOWERS_AFTER = (0.02, 0.06, 0.14, 0.30, 0.54, 0.80, 1.0)


@dataclass(frozen=True)
class Brief:
    """What a text is to be about."""

    topic: int
    language: int
    level: float
    """How far the world has shifted, 0 to 1: longer texts, other words."""
    series: int = -1
    part: int = 0
    parts: int = 0
    mention: str | None = None


@dataclass
class Written:
    """A text and the personal data planted in it, as (kind, value)."""

    text: str
    planted: list[tuple[str, str]] = field(default_factory=list)


def handle(user: int, language: int) -> str:
    """The name by which others mention a user."""
    if language == EN:
        words = wording("en")
        name = words["names"][user % len(words["names"])]
        return f"{name}_{words['surnames'][user // 7 % len(words['surnames'])]}{user % 97}".lower()
    words = wording("zh")
    return f"{words['names'][user % len(words['names'])]}{user}"


def _sentence(brief: Brief, draws: Draws, extra: dict[str, str] | None = None) -> Sentence:
    backwards = draws.chance(0.8 * brief.level)
    return Sentence(topics()[brief.topic], brief.language, draws, backwards, extra or {})


def _followers(draws: Draws, level: float) -> int:
    shares = _FOLLOWERS_AFTER if draws.chance(level) else _FOLLOWERS_BEFORE
    share = draws.next() / 2**32
    return next(count for count, limit in enumerate(shares) if share < limit or count == len(shares) - 1)


def _opening(brief: Brief, draws: Draws, sentence: Sentence) -> str:
    words = sentence.words
    if brief.series < 0:
        return render(draws.pick(words["openers"]), sentence)
    # A series keeps its title, so the title's numbers come from the series and not from the part.
    of_series = Draws([(brief.series * 2654435761 + step * 40503) % 2**32 for step in range(8)])
    titles = Sentence(sentence.topic, brief.language, of_series, False, {})
    title = render(of_series.pick(words["series"]["title"]), titles)
    sentence.extra |= {"title": title, "part": str(brief.part + 1), "parts": str(brief.parts)}
    return render(draws.pick(words["series"]["opener"]), sentence)


def _plant(draws: Draws, sentence: Sentence, written: Written) -> str:
    kind, value = personal(draws, sentence.language)
    written.planted.append((kind, value))
    sentence.extra["value"] = value
    return render(draws.pick(sentence.words["personal"][kind]), sentence)


def _trimmings(brief: Brief, draws: Draws, sentence: Sentence) -> list[str]:
    """Mentions, slang, emoji, links and hashtags after the sentences."""
    topic, words = sentence.topic, sentence.words
    parts = []
    if brief.mention and draws.chance(0.08):
        parts.append(f"@{brief.mention}")
    if draws.chance(0.45 * brief.level):
        parts.append(draws.pick(words["slang"]))
    if draws.chance(0.35):
        parts.append(draws.pick(words["emoji"]) * draws.between(1, 2))
    if draws.chance(0.1):
        parts.append(sentence.link())
    if draws.chance(0.45):
        english = sentence.language == EN
        tag = topic.tag_en if english else topic.tag_zh
        parts.append(f"#{tag}" if english else f"#{tag}#")
        if draws.chance(0.3):
            parts.append(f"#{topic.community}")
    return parts


def write_post(brief: Brief, numbers: list[int]) -> Written:
    """An opening post, or a part of a series."""
    draws = Draws(numbers)
    sentence = _sentence(brief, draws)
    written = Written("")
    sentences = [_opening(brief, draws, sentence)]
    followers = sentence.words["followers"]
    # Stepping by three keeps a post from saying the same sentence twice.
    first, count = draws.next(), _followers(draws, brief.level)
    chosen = [followers[(first + 3 * step) % len(followers)] for step in range(count)]
    sentences += [render(template, sentence) for template in chosen]
    if draws.chance(PERSONAL_SHARE):
        sentences.append(_plant(draws, sentence, written))
    if draws.chance(0.3):
        sentences.append(render(draws.pick(sentence.words["closers"]), sentence))
    written.text = _join(sentences, _trimmings(brief, draws, sentence), brief.language)
    return written


def write_reply(brief: Brief, numbers: list[int]) -> Written:
    """A reply that keeps to the topic of what it replies to; `brief.mention` is the author answered."""
    draws = Draws(numbers)
    sentence = _sentence(brief, draws)
    written = Written("")
    sentences = [render(draws.pick(sentence.words["replies"]), sentence)]
    if draws.chance(0.25 + 0.6 * brief.level):
        sentences.append(render(draws.pick(sentence.words["followers"]), sentence))
    if draws.chance(0.5 * brief.level):
        sentences.append(render(draws.pick(sentence.words["closers"]), sentence))
    if draws.chance(PERSONAL_SHARE / 3):
        sentences.append(_plant(draws, sentence, written))
    trimmings = [draws.pick(sentence.words["emoji"])] if draws.chance(0.3) else []
    text = _join(sentences, trimmings, brief.language)
    if brief.mention and draws.chance(0.4):
        text = f"@{brief.mention} {text}"
    written.text = text
    return written


def write_spam(brief: Brief, numbers: list[int]) -> Written:
    """A spam bot's post."""
    draws = Draws(numbers)
    number = phone(draws, brief.language)
    sentence = _sentence(brief, draws, {"phone": number})
    template = draws.pick(sentence.words["spam"])
    planted = [("phone", number)] if "{phone}" in template else []
    return Written(render(template, sentence), planted)


def write_feedback(brief: Brief, numbers: list[int]) -> tuple[str, str, str]:
    """A prompt that someone gave, the response that came, and the text that they made of it."""
    draws = Draws(numbers)
    sentence = _sentence(brief, draws)
    prompt = render(draws.pick(sentence.words["prompts"]), sentence)
    response = render(draws.pick(sentence.words["openers"]), sentence)
    better = render(draws.pick(sentence.words["followers"]), sentence)
    return prompt, response, _join([response, better], [], brief.language)


def _join(sentences: list[str], trimmings: list[str], language: int) -> str:
    between = "" if language == ZH else " "
    return " ".join([between.join(sentences), *trimmings])
