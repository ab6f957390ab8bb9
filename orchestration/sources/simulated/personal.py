"""Invented personal data with valid checksums, in the formats of both languages, for the masks and leak tests to find.

Mail domains are the reserved ones of RFC 2606 and American phone numbers the reserved 555-01xx; the others are drawn at
random from valid ranges and belong to nobody that we know of.
"""

from orchestration.sources.simulated.grammar import Draws
from orchestration.sources.simulated.lexicon import EN, wording

KINDS = ("email", "phone", "id", "card")
_DOMAINS = ["example.com", "example.org", "example.net"]
_AREAS = [212, 312, 415, 503, 617, 702, 808, 917]
_REGIONS = [110101, 310104, 330106, 420106, 440305, 500103, 510104, 610113]
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PINYIN = [
    "wang",
    "li",
    "zhang",
    "liu",
    "chen",
    "yang",
    "zhao",
    "huang",
    "zhou",
    "wu",
    "xiaoyu",
    "zihan",
    "ajie",
    "lin",
]


def luhn_digit(digits: str) -> str:
    """The check digit of Luhn's formula (ISO/IEC 7812-1) for `digits`."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def resident_id_digit(digits: str) -> str:
    """The check character of a Chinese resident identity number (GB 11643, ISO 7064 MOD 11-2) for its 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(digits, _ID_WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def _digits(draws: Draws, count: int) -> str:
    return "".join(str(draws.next() % 10) for _ in range(count))


def email(draws: Draws, language: int) -> str:
    """A mail address."""
    if language == EN:
        words = wording("en")
        local = f"{draws.pick(words['names'])}.{draws.pick(words['surnames'])}".lower()
    else:
        local = draws.pick(_PINYIN) + draws.pick(["", "_"]) + draws.pick(_PINYIN)
    return f"{local}{draws.between(1, 999)}@{draws.pick(_DOMAINS)}"


def phone(draws: Draws, language: int) -> str:
    """A phone number in one of the usual ways of writing it."""
    if language == EN:
        area, line = draws.pick(_AREAS), f"01{draws.between(0, 99):02d}"
        return str(draws.pick([f"({area}) 555-{line}", f"{area}-555-{line}", f"+1 {area} 555 {line}"]))
    prefix, middle, last = f"1{draws.between(3, 9)}{draws.next() % 10}", _digits(draws, 4), _digits(draws, 4)
    return str(
        draws.pick([f"{prefix}{middle}{last}", f"{prefix}-{middle}-{last}", f"+86 {prefix} {middle} {last}"])
    )


def identity(draws: Draws, language: int) -> str:
    """A social security number, or a resident identity number with its check character."""
    if language == EN:
        area = draws.between(1, 665)
        return f"{area:03d}-{draws.between(1, 99):02d}-{draws.between(1, 9999):04d}"
    born = f"{draws.between(1950, 2006)}{draws.between(1, 12):02d}{draws.between(1, 28):02d}"
    digits = f"{draws.pick(_REGIONS)}{born}{draws.between(1, 999):03d}"
    return digits + resident_id_digit(digits)


def card(draws: Draws, language: int) -> str:
    """A card number with its check digit: 16 digits, in China UnionPay's with 16 or 19."""
    if language == EN:
        digits = draws.pick(["4", "51", "55"])
        digits += _digits(draws, 15 - len(digits))
    else:
        digits = "62" + _digits(draws, draws.pick([13, 16]))
    digits += luhn_digit(digits)
    if draws.chance(0.5):
        return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    return digits


def personal(draws: Draws, language: int) -> tuple[str, str]:
    """A kind of personal data and a value of it."""
    kind = draws.pick(list(KINDS))
    make = {"email": email, "phone": phone, "id": identity, "card": card}[kind]
    return kind, make(draws, language)
