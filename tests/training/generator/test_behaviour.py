import pytest

from training.generator.behaviour import (
    distinct,
    is_degenerate,
    personal_data,
    repetition,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ann.lee+x@mail.example.org today", "email"),
        ("邮箱：wang_wei@例子.example.cn，欢迎", "email"),
        ("发我ｗａｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ", "email"),
        ("ann [at] example.com", "email"),
        ("call (415) 555-0134 now", "phone"),
        ("call 415-555-0134", "phone"),
        ("ring +44 20 7946 0958", "phone"),
        ("我的手机号是13812345678", "phone"),
        ("手机１３８ １２３４ ５６７８", "phone"),
        ("电话138-1234-5678。", "phone"),
        ("座机010-62345678", "phone"),
        ("身份证11010519491231002X，", "id"),
        ("身份证号110105194912310021", "id"),
        ("SSN 078-05-1120", "id"),
        ("card 4111 1111 1111 1111 exp", "card"),
        ("卡号6222021234567890128", "card"),
    ],
)
def test_personal_data_is_found_in_both_languages(text: str, kind: str) -> None:
    assert [found for found, _ in personal_data(text)] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "write to <email> or <phone>, my <id>, my <card>, says @user",
        "联系<email>，电话<phone>，@user 身份证<id>",
        "in 2013 we were 12345 people, 3.1415926535 of them",
        "价格是1999元，2024年12月31日截止，共123456789次",
        "order 4111 1111 1111 1112 has no check digit",
        "0000000000000000",
        "a@b and @everyone @ home",
        "ask @ physics.SE, with @user.Stern",
        "00111000 00101001 and 0011100000101001",
        "",
    ],
)
def test_masks_and_plain_numbers_are_no_personal_data(text: str) -> None:
    assert personal_data(text) == []


def test_two_people_in_one_text_count_twice() -> None:
    assert len(personal_data("13812345678 or 13912345678, a@x.org")) == 3


def test_repetition_is_the_share_of_runs_seen_before() -> None:
    assert repetition("one two three four five six") == 0.0
    assert repetition("ha " * 13) == pytest.approx(0.9)
    assert repetition("转发微博" * 5) == pytest.approx(1 - 4 / 17)
    assert repetition("short") == 0.0


@pytest.mark.parametrize(
    "text",
    ["", " \n ", "what \ufffd is", "哈" * 40, "so so so so so so so so so so so so so so so so so so so"],
)
def test_degenerate_texts_are_told(text: str) -> None:
    assert is_degenerate(text)


@pytest.mark.parametrize(
    "text", ["哈哈哈哈", "ok", "今天天气很好，我们去公园走了很久。", "no no no, not that one"]
)
def test_ordinary_texts_are_not_degenerate(text: str) -> None:
    assert not is_degenerate(text)


def test_distinct_runs_over_all_texts() -> None:
    assert distinct(["a b", "a b"], 1) == 0.5
    assert distinct(["a b", "b a"], 2) == 1.0
    assert distinct(["", "x"], 2) == 0.0
