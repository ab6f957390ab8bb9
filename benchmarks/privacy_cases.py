"""Labelled sentences, English and Chinese: each holds one value of personal data, or something that only looks like it.

`usual` formats are written by hand here. `held out` ones come from Faker, whose formats and values the recognisers were
not written from: other groupings, extensions, building names, numbers that no plan knows.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from faker import Faker
from stdnum import luhn
from stdnum.iso7064 import mod_11_2

KINDS = ("email", "phone", "id", "card", "iban", "ip", "address", "account")


@dataclass(frozen=True)
class Case:
    """A sentence with `value` in it, of `kind`; `none` for one that holds no personal data."""

    text: str
    value: str
    kind: str
    lang: str
    formats: str
    """`usual`, `held out` or `negative`"""


_FRAMES = {
    "en": {
        "email": ["write to {} please", "contact: {}.", "my mail is {}, thanks"],
        "phone": ["call {} tonight", "my number is {}.", "text me on {}, ok"],
        "id": ["my SSN is {}.", "he wrote {} on the form", "SSN {}, owner unknown"],
        "card": ["paid with card {} and was charged twice", "card number {} at the bar", "{} is the card"],
        "iban": ["transfer it to {}.", "IBAN {} please", "the account is {}"],
        "ip": ["the server at {} is down", "banned {} again", "from {}, last night"],
        "address": ["I live at {}.", "ship it to {} please", "meet me at {} at nine"],
        "account": ["thanks {} for the tip", "ask {}, she knows", "follow {} !"],
    },
    "zh": {
        "email": ["请发邮件到{}，谢谢", "邮箱：{}。", "我的邮箱是{}"],
        "phone": ["我的电话是{}，随时联系", "请打{}。", "手机{}"],
        "id": ["身份证号{}，请失主联系", "表格上写着{}。", "他的证件是{}"],
        "card": ["卡号{}快到期了", "我用银行卡{}付的", "转到{}就行"],
        "iban": ["请汇到{}。", "账户{}"],
        "ip": ["服务器{}挂了", "来自{}的登录"],
        "address": ["我家住在{}，欢迎来玩", "寄到{}。", "地址：{}"],
        "account": ["谢谢{} 的分享", "问问{} 吧", "转发 {} ：好"],
    },
}


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(n))


def _resident(rng: random.Random) -> str:
    born = f"{rng.randint(1950, 2006)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    number = rng.choice(["110101", "310104", "440305", "510104"]) + born + f"{rng.randint(1, 999):03d}"
    return number + mod_11_2.calc_check_digit(number)


def _card(rng: random.Random) -> str:
    number = rng.choice(["4", "51", "62", "34"])
    number += _digits(rng, {"34": 14}.get(number, 15) - len(number))
    number += luhn.calc_check_digit(number)
    if len(number) == 15:
        return rng.choice([number, f"{number[:4]} {number[4:10]} {number[10:]}"])
    gap = rng.choice(["", " ", "-"])
    return gap.join(number[at : at + 4] for at in range(0, 16, 4))


def _ip(rng: random.Random) -> str:
    return f"{rng.choice([5, 23, 66, 88, 114, 203])}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


def _mobile(rng: random.Random) -> str:
    number = rng.choice(["138", "151", "186", "199"]) + _digits(rng, 8)
    return rng.choice(
        [number, f"{number[:3]}-{number[3:7]}-{number[7:]}", f"+86 {number[:3]} {number[3:7]} {number[7:]}"]
    )


def _american(rng: random.Random) -> str:
    area, line = rng.choice(["212", "415", "617"]), f"555-{rng.randint(1000, 9999)}"
    return rng.choice([f"({area}) {line}", f"{area}-{line}", f"+1 {area} {line.replace('-', ' ')}"])


def _street(rng: random.Random) -> str:
    name, kind = (
        rng.choice(["Oak", "Main", "King", "Lincoln"]),
        rng.choice(["Street", "Ave", "Road", "Blvd."]),
    )
    return f"{rng.randint(1, 9999)} {name} {kind}" + rng.choice(["", ", Springfield, IL 62701", " Apt 4B"])


def _house(rng: random.Random) -> str:
    town = rng.choice(["北京市朝阳区", "上海市", "广东省深圳市南山区", ""])
    road = rng.choice(["建国路", "中山东街", "科技园路", "人民大道"])
    return f"{town}{road}{rng.randint(1, 999)}号" + rng.choice(["", "3栋2单元501室", "A座1201室"])


Make = Callable[[random.Random], str]
USUAL: dict[tuple[str, str], Make] = {
    ("en", "email"): lambda r: (
        f"{r.choice(['ann', 'bob.lee', 'joe_9'])}@{r.choice(['example.com', 'mail.example.co.uk'])}"
    ),
    ("zh", "email"): lambda r: (
        f"{r.choice(['wang_wei', 'li.na', '12345678'])}@{r.choice(['qq.com', '163.com'])}"
    ),
    ("en", "phone"): _american,
    ("zh", "phone"): lambda r: r.choice([_mobile(r), f"010-{r.randint(6, 8)}{_digits(r, 7)}"]),
    ("en", "id"): lambda r: f"{r.randint(1, 665):03d}-{r.randint(1, 99):02d}-{r.randint(1, 9999):04d}",
    ("zh", "id"): _resident,
    ("en", "card"): _card,
    ("zh", "card"): _card,
    ("en", "ip"): _ip,
    ("zh", "ip"): _ip,
    ("en", "address"): _street,
    ("zh", "address"): _house,
    ("en", "account"): lambda r: r.choice(["@ann_lee", "/u/some_one", "https://twitter.com/annlee"]),
    ("zh", "account"): lambda r: r.choice(["@小明", "@王小二_99", "https://weibo.com/u/12345678"]),
}


def _held_out(us: Faker, gb: Faker, de: Faker, cn: Faker) -> dict[tuple[str, str], Make]:
    return {
        ("en", "email"): lambda r: (
            us.ascii_company_email() if r.random() < 0.5 else us.email().replace("@", " (at) ")
        ),
        ("zh", "email"): lambda r: cn.email().replace("@", "＠") if r.random() < 0.5 else cn.free_email(),
        ("en", "phone"): lambda r: r.choice([us, gb]).phone_number(),
        ("zh", "phone"): lambda r: r.choice([cn.phone_number(), _spread(cn.phone_number()), _landline(r)]),
        ("en", "id"): lambda r: us.ssn().replace("-", " "),
        ("zh", "id"): lambda r: _wide(cn.ssn()) if r.random() < 0.5 else cn.ssn(),
        ("en", "card"): lambda r: us.credit_card_number(),
        ("zh", "card"): lambda r: _wide(cn.credit_card_number()),
        ("en", "iban"): lambda r: r.choice([gb.iban(), de.iban(), _grouped(de.iban())]),
        ("zh", "iban"): lambda r: de.iban(),
        ("en", "ip"): lambda r: us.ipv4_public() if r.random() < 0.5 else us.ipv6(),
        ("zh", "ip"): lambda r: cn.ipv4_public(),
        ("en", "address"): lambda r: r.choice([us.street_address(), gb.street_address()]).replace("\n", ", "),
        ("zh", "address"): lambda r: cn.address().split()[0],
        ("en", "account"): lambda r: (
            r.choice(["@", "u/", "https://www.instagram.com/", "github.com/"]) + us.user_name()
        ),
        ("zh", "account"): lambda r: r.choice(
            ["@" + cn.name(), "微信号：" + us.user_name() + "1234", "QQ " + str(r.randint(10**7, 10**9))]
        ),
    }


def _spread(number: str) -> str:
    return f"{number[:4]} {number[4:8]} {number[8:]}"


def _landline(rng: random.Random) -> str:
    return rng.choice(["（021）", "0755 ", "0571－"]) + rng.choice("5678") + _digits(rng, 7)


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)


def _grouped(text: str) -> str:
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


_LOOKALIKES = {
    "en": [
        "order {d12} has shipped", "tracking number 1Z{d6}A{d10}", "it costs $1,{d3},{d3}.99",
        "on 2024-0{n}-1{n} 12:3{n}:4{n}",
        "version 10.{n}.{d2}.{n} is out", "we won {n}-{n}, {n}-0 and 3-{n}", "ISBN {isbn}", "#{d5} #another one",
        "pi is 3.{d15}", "{d3} Main reasons to stay", "unix time 1{d9}", "about {d2}{d3}{d3} people came",
        "commit {hex}",
        "look @ this", "and/or, w/o, 24/7/365", "at {n}:{d2} on May 1{n}, 20{d2}", "5 Star Hotel with 2 Way Radio",
        "192.168.{n}.{n} is my router", "serial {d4}-{d4}-{d4}", "chapter {d2}, pages {d3}-{d3}",
    ],
    "zh": [
        "订单号{d12}已发货", "快递单号SF{d12}", "价格是{d4}.{d2}元", "2024年0{n}月1{n}日12:3{n}",
        "版本10.{n}.{d2}.{n}更新了",
        "比分{n}:{n}，总分{d3}", "书号{isbn}", "#话题{d3}# 第{d3}期", "浏览量{d9}次", "坐10号线到3号口",
        "{d3}路公交车到站",
        "时间戳1{d9}", "圆周率3.{d15}", "1号选手和2号选手", "共有{d6}人参加", "编号{d4}-{d4}", "群里@所有人",
        "第{n}章第{d2}页",
        "QQ音乐真好听", "路上有{n}个人",
    ],
}  # fmt: skip


def _lookalike(rng: random.Random, faker: Faker, lang: str) -> str:
    parts = {f"d{n}": _digits(rng, n) for n in (2, 3, 4, 5, 6, 9, 10, 12, 15)}
    hexadecimal = f"{rng.getrandbits(80):020x}"
    return rng.choice(_LOOKALIKES[lang]).format(
        **parts, n=rng.randint(1, 8), isbn=faker.isbn13(), hex=hexadecimal
    )


def cases(each: int, seed: int) -> list[Case]:
    """`each` sentences of every kind, language and sort of formats, and ten times as many negatives a language."""
    rng = random.Random(seed)
    fakers = [Faker(name) for name in ("en_US", "en_GB", "de_DE", "zh_CN")]
    for number, faker in enumerate(fakers):
        faker.seed_instance(seed + number)
    found = []
    for formats, makers in (("usual", USUAL), ("held out", _held_out(*fakers))):
        for (lang, kind), make in makers.items():
            for _ in range(each):
                value = make(rng)
                found.append(Case(rng.choice(_FRAMES[lang][kind]).format(value), value, kind, lang, formats))
    for lang in ("en", "zh"):
        found += [
            Case(_lookalike(rng, fakers[0], lang), "", "none", lang, "negative") for _ in range(10 * each)
        ]
    return found
