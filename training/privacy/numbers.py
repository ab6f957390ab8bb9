"""Numbers that reach or identify a person: phones, identity numbers, cards, bank accounts, network addresses.

Check digits by python-stdnum (Luhn, ISO 7064 for GB 11643, IBAN, the rules of US social security numbers), phones by
phonenumbers (Google's libphonenumber); the forms in which people write them are ours.
"""

import ipaddress
from collections.abc import Callable

import phonenumbers
import regex
from stdnum import iban, luhn
from stdnum.iso7064 import mod_11_2
from stdnum.us import ssn

from training.privacy.recogniser import SEP, Recogniser, S, digits, near, recogniser

_MANY = r"\d(?:[^\d]{0,3}\d){6}"
"""Seven digits close together: no shorter number is a phone, a card or an identity number."""
_FREE = r"(?<!\d)(?<!\d\.)"
_END = r"(?!\d)"

_CALLED = regex.compile(
    r"(?i)\b(?:tel|telephone|phone|call|ring|mobile|cell|text|sms|fax|whatsapp|telegram|signal|contact|dial)\b"
    r"|电话|手机|联系|致电|拨打|号码|热线|座机|短信|来电|传真|加我"
)
_REGIONS = ("US", "CN", "GB", "HK", "TW", "JP", "DE", "FR", "IN", "AU")
_IDENTITY = regex.compile(r"(?i)身份证|身份號|公民身份|证件号|\bid (?:card|number|no)\b|resident id|identity")
_SECURITY = regex.compile(r"(?i)\bssn\b|social security|社会安全|社保号")
_CARD = regex.compile(r"(?i)\bcard|visa|mastercard|amex|unionpay|debit|卡号|银行卡|信用卡|储蓄卡|银联")
_VERSION = regex.compile(
    r"(?i)(?:\b(?:v|version|ver\.?|release|build|firmware|chapter|section)|版本|§|第)[ :]?$"
)


def _mobile(match: "regex.Match[str]") -> bool:
    """A Chinese mobile number's groups are long: what is cut smaller is a list of small numbers."""
    groups = [group for group in regex.split(r"\D+", match.group().removeprefix("+")) if group]
    if groups[0] in ("86", "0086"):
        groups = groups[1:]
    return all(len(group) >= 3 for group in groups)


def _international(match: "regex.Match[str]") -> bool:
    return _possible("+" + digits(match.group()), None)


def _possible(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _in(*regions: str) -> "Callable[[regex.Match[str]], bool]":
    def valid(match: "regex.Match[str]") -> bool:
        for region in regions:
            try:
                if phonenumbers.is_valid_number(phonenumbers.parse(match["number"], region)):
                    return True
            except phonenumbers.NumberParseException:
                continue
        return False

    return valid


def _called(match: "regex.Match[str]") -> bool:
    return near(match, _CALLED, 20) and _in(*_REGIONS)(match)


def _resident(match: "regex.Match[str]") -> bool:
    number = regex.sub(r"[^\dXx]", "", match.group()).upper()
    return near(match, _IDENTITY, 16) or (len(number) == 18 and bool(mod_11_2.is_valid(number)))


def _old_resident(match: "regex.Match[str]") -> bool:
    return near(match, _IDENTITY, 16)


def _social(match: "regex.Match[str]") -> bool:
    if near(match, _SECURITY, 30):
        return True
    parted = len(regex.findall(r"\D+", match.group())) == 2
    return parted and "-" in match.group() and bool(ssn.is_valid(digits(match.group())))


_NETWORKS = regex.compile(
    r"4(?:\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|6(?:011|5\d\d|4[4-9]\d)\d{12}|62\d{14,17}|81\d{14}|220[0-4]\d{12}"
)
"""Lengths and first digits of Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay, Mir."""


def _card(match: "regex.Match[str]") -> bool:
    number = digits(match.group())
    if not luhn.is_valid(number) or not set(number) - {"0", "1"}:
        return False
    return _NETWORKS.fullmatch(number) is not None or near(match, _CARD, 24)


def _iban(match: "regex.Match[str]") -> bool:
    return bool(iban.is_valid(match.group()))


def _address(match: "regex.Match[str]") -> bool:
    """Of the public network: private, loopback and documentation ranges name nobody."""
    try:
        found = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    return found.is_global and not near(match, _VERSION, 10)


_CHINA = rf"(?:[(]?(?:\+|00)?86[)]?{S})?"
_EXTENSION = r"(?:(?:-| ?(?:ext\.?|x|转|分机) ?)\d{1,5})?"

NUMBERS: tuple[Recogniser, ...] = (
    recogniser(
        "id",
        rf"{_FREE}[1-9]\d{{5}}{S}(?:18|19|20)\d\d{S}(?:0[1-9]|1[0-2]){S}(?:0[1-9]|[12]\d|3[01]){S}\d{{3}}{S}[\dXx](?![\dA-Za-z])",
        _MANY,
        _resident,
    ),
    recogniser(
        "id",
        rf"{_FREE}[1-9]\d{{7}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{{3}}{_END}",
        _MANY,
        _old_resident,
    ),
    recogniser("id", rf"{_FREE}\d{{3}}{S}\d{{2}}{S}\d{{4}}{_END}", _MANY, _social),
    recogniser(
        "card",
        rf"{_FREE}(?:\d{{13,19}}|\d{{4}}(?:{SEP}\d{{4}}){{2,3}}{SEP}\d{{1,7}}|\d{{4}}{SEP}\d{{6}}{SEP}\d{{4,5}}"
        rf"|\d{{6}}{SEP}\d{{7,13}}){_END}",
        _MANY,
        _card,
    ),
    recogniser(
        "iban",
        r"(?<![A-Za-z\d])[A-Z]{2}\d{2}(?:[ -]?[A-Z\d]{4}){2,7}(?:[ -]?[A-Z\d]{1,3})?(?![A-Za-z\d])",
        r"[A-Z]{2}\d\d",
        _iban,
    ),
    recogniser("phone", rf"{_FREE}{_CHINA}1[3-9](?:{S}\d){{9}}{_END}", _MANY, _mobile),
    recogniser(
        "phone", r"(?<![\d+])(?:\+|00)[1-9]\d{0,2}(?:[ .\-()/]{0,3}\d){6,13}(?!\d)", _MANY, _international
    ),
    recogniser(
        "phone",
        rf"{_FREE}(?<![A-Za-z])(?P<number>[(]?0[1-9]\d{{1,2}}[)]?{S}[2-9]\d{{2,3}}{S}\d{{4}}){_EXTENSION}{_END}",
        _MANY,
        _in("CN"),
    ),
    recogniser(
        "phone",
        rf"{_FREE}(?P<number>[48]00{S}(?:\d{{3}}{S}\d{{4}}|\d{{4}}{S}\d{{3}})){_END}",
        _MANY,
        _in("CN", "US"),
    ),
    recogniser(
        "phone",
        rf"{_FREE}(?P<number>(?:\+?1{S})?(?:\([2-9]\d\d\) ?|[2-9]\d\d{SEP})[2-9]\d\d{SEP}\d{{4}}){_EXTENSION}{_END}",
        _MANY,
        _in("US"),
    ),
    recogniser(
        "phone",
        rf"{_FREE}(?P<number>\(?0\d{{2,4}}\)?{SEP}(?:\d{{3,4}}{SEP}\d{{3,4}}|\d{{6}})|0[1-9](?:{SEP}\d\d){{4}}){_END}",
        _MANY,
        _in("GB", "FR", "JP", "TW"),
    ),
    recogniser(
        "phone", rf"{_FREE}(?P<number>\(?\d(?:[ .\-()/]{{0,2}}\d){{6,13}}){_EXTENSION}{_END}", _MANY, _called
    ),
    recogniser("ip", r"(?<![\d.\-_])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)", r"\d\.\d{1,3}\.\d", _address),
    recogniser(
        "ip",
        r"(?<![\w:])(?:[\dA-Fa-f]{1,4}:{1,2}){2,7}[\dA-Fa-f]{1,4}(?![\w:])",
        r"[\dA-Fa-f]:[\dA-Fa-f:]",
        _address,
    ),
)
