import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.personal_data import EMAILS, FORM_ALONE, MENTIONS, NUMBERS, PHONES, PLAIN
from training.privacy.find import MASKS, find, mask

CASES = [(text, masked) for group in (EMAILS, PHONES, NUMBERS, MENTIONS) for text, masked in group]
BEYOND_FORM = {"010-88886666转123": "<phone>"}
"""Where the library takes more than the feature models: an extension belongs to its number."""


@pytest.mark.parametrize(("text", "masked"), CASES)
def test_the_library_masks_what_the_feature_models_mask(text: str, masked: str) -> None:
    expected = text if text in FORM_ALONE else BEYOND_FORM.get(text, masked)
    assert mask(text) == expected


@pytest.mark.parametrize("text", PLAIN)
def test_what_the_feature_models_leave_the_library_leaves(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("我家住在北京市朝阳区建国路88号SOHO现代城A座1201室，欢迎", "我家住在<address>，欢迎"),
        ("地址：上海市浦东新区世纪大道100号", "地址：<address>"),
        ("万科花园3栋2单元501室", "<address>"),
        ("臺北市大安區信義路4段1號", "<address>"),
        ("I live at 221B Baker Street, London", "I live at <address>"),
        ("ship to 1600 Pennsylvania Avenue NW, Washington, DC 20500 please", "ship to <address> please"),
        ("P.O. Box 1234", "<address>"),
        ("my qq 123456789", "my qq @user"),
        ("加微信：abc_12345", "加微信：@user"),
        ("ask /u/some_one or u/other1", "ask @user or @user"),
        ("https://twitter.com/jack or linkedin.com/in/ann-lee", "@user or @user"),
        ("server 8.8.8.8 and 2001:4860:4860::8888", "server <ip> and <ip>"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN <iban>"),
        ("SSN 219 09 9999", "SSN <id>"),
        ("call me on 07911 123456", "call me on <phone>"),
    ],
)
def test_more_kinds_than_the_feature_models_know(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 110105194912310021 shipped",  # a resident number's form without its check digit
        "DE89 3704 0044 0532 0130 01",
        "000-12-3456 and 666-12-3456",
        "4111 1111 1111 1112",
        "9781861972712 is an ISBN",
        "version 1.2.3.4 on 192.168.1.1",
        "chapter 12, Main ideas; 5 Star Hotels",
        "坐10号线到3号口，1号选手",
        "github.com/search and twitter.com/home",
        "@everyone look, @所有人",
        "1509990000 seconds, 3.14159265358979",
        "2024-03-01 12:30:45 and 12:30:45",
        "and/or w/o u/s",
        "#话题# 100路公交",
        "QQ好久不用了",
    ],
)
def test_what_only_looks_like_personal_data_stays(text: str) -> None:
    assert mask(text) == text


def test_spans_name_kind_and_place() -> None:
    text = "a@b.cn, 13812345678"
    assert [(span.kind, text[span.start : span.end]) for span in find(text)] == [
        ("email", "a@b.cn"),
        ("phone", "13812345678"),
    ]


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60))
def test_a_masked_text_has_nothing_left_to_mask(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


def test_masks_are_no_personal_data() -> None:
    assert find(" ".join([*MASKS.values(), *("，".join(MASKS.values()),)])) == []
