"""What names a person's place: mail addresses, accounts, profile pages, street addresses."""

import regex

from training.privacy.recogniser import Recogniser, recogniser

_LOCAL = r"[\p{Latin}\d._%+\-]{1,64}"
_NOT_LOCAL = r"(?<![\p{Latin}\d._%+\-@])"
_LABEL = r"[\p{L}\d\-]{1,63}"
_AT = r"(?:@| ?[\[(<{] ?(?:at|@|艾特) ?[\])>}] ?)"
_DOT = r"(?:[.．]| ?[\[(<{] ?(?:dot|点) ?[\])>}] ?)"
_PROVIDERS = r"(?:qq|163|126|gmail|sina|sohu|hotmail|outlook|yahoo|foxmail|icloud|live|vip\.qq|yeah)"

_EVERYBODY = {
    "user", "用户", "everyone", "here", "all", "channel", "room", "media", "import", "param", "return", "override",
    "所有人", "全体成员", "全体", "大家", "媒体",
}  # fmt: skip
_PAGES = {
    "search", "explore", "hashtag", "login", "about", "watch", "home", "intl", "i", "p", "status", "topics", "settings",
    "help", "privacy", "terms", "jobs", "share", "sharer", "reel", "reels", "tv", "signup", "features", "pricing",
    "orgs", "trending", "marketplace", "events", "groups", "pages", "hot", "question", "video", "tag", "tags",
}  # fmt: skip


def _someone(match: "regex.Match[str]") -> bool:
    return match.group().lstrip("@").lower() not in _EVERYBODY


def _profile(match: "regex.Match[str]") -> bool:
    return match["name"].lower() not in _PAGES


_WORD = r"(?:\p{Lu}[\p{Latin}'’\-]{0,15}|\d{1,3}(?:st|nd|rd|th))"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way"
    r"|Highway|Hwy|Parkway|Pkwy|Circle|Cir|Close|Crescent|Gardens|Trail|Alley|Bypass|Byway|Causeway|Expressway|Freeway"
    r"|Turnpike|Mews|Skyway|Throughway|Motorway|Esplanade)"
)
_LANDMARK = (
    r"(?:Branch|Bridge|Brook|Burgs?|Camp|Cape|Centers?|Cliffs?|Club|Commons?|Corners?|Courts|Coves?|Creek|Crest|Crossing"
    r"|Crossroad|Curve|Dale|Dam|Divide|Drives|Estates?|Extensions?|Falls|Ferry|Fields?|Flats?|Fords?|Forest|Forges?|Forks?"
    r"|Fort|Garden|Gateway|Glens?|Greens?|Groves?|Harbors?|Haven|Heights|Hills?|Hollow|Inlet|Islands?|Isle|Junctions?"
    r"|Keys?|Knolls?|Lakes?|Landing|Lights?|Locks?|Lodge|Loop|Manors?|Meadows?|Mills?|Mission|Mountains?|Neck|Orchard"
    r"|Oval|Parks?|Pass(?:age)?|Path|Pike|Pines?|Plains?|Plazas?|Points?|Ports?|Prairie|Ramp|Ranch|Rapids?|Rest|Ridges?"
    r"|River|Roads|Route|Row|Run|Shoals?|Shores?|Springs?|Spurs?|Squares|Station|Stravenue|Stream|Streets|Summit|Trace"
    r"|Track|Trafficway|Tunnel|Unions?|Valleys?|Viaduct|Views?|Villages?|Ville|Vista|Walks?|Wall|Ways|Wells?)"
)
"""The other street suffixes of the United States Postal Service (Publication 28, C1): a number before such a word is an
address only with a flat or a postcode behind it."""
_FLAT = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|#)\.?,? ?#?[\dA-Za-z]{1,5})?"
_TOWN = (
    r"(?:, \p{Lu}[\p{Latin}'’\-]{1,15}(?: \p{Lu}[\p{Latin}'’\-]{1,15}){0,2})?(?:,? [A-Z]{2})?"
    r"(?:,? \d{5}(?:-\d{4})?\b)?"
)

_HAN = r"[\p{Han}--[在住到是址去从往给的了我你他她它们位]]"
"""A character of a place's name; those that lead up to one are none."""
_REGION = r"(?:[\p{Han}--[在住到是址去从往给的了我你他她它们位省市州区县旗镇乡]]{1,7}[省市州区县旗镇乡]){0,5}"
_ROAD = rf"{_HAN}{{1,8}}?(?:路|街|大道|大街|巷|弄|胡同|道|里)(?:[\d\p{{Han}}]{{1,3}}[段路街巷弄]){{0,3}}"
_ROOM = (
    r"(?:[ ,]?[\p{Han}A-Za-z]{0,12}?(?:\d{1,4}|[A-Za-z]\d{0,3})"
    r"(?:-\d{1,4}){0,2}(?:号楼|号院|号|栋|幢|座|单元|楼|层|室|户|房|门)){0,5}"
)
_BUILDING = rf"{_HAN}{{2,8}}?(?:花园|小区|公寓|大厦|苑|园|城|府|庭|村|家园|新村|广场|宿舍)"

NAMES: tuple[Recogniser, ...] = (
    recogniser(
        "account",
        rf"(?<![\p{{L}}\p{{N}}._%+\-@])@[\p{{L}}\p{{N}}_.\-]{{1,64}}@{_LABEL}(?:\.{_LABEL}){{0,4}}\.[A-Za-z]{{2,24}}",
        "@",
    ),
    recogniser(
        "email",
        rf"{_NOT_LOCAL}{_LOCAL}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,4}}{_DOT}[A-Za-z]{{2,24}}",
        r"(?i)[@艾]|[\[(<{] ?at",
    ),
    recogniser("email", rf"(?i){_NOT_LOCAL}{_LOCAL}#{_PROVIDERS}\.(?:com|cn|net)", "#"),
    recogniser(
        "email", rf"(?i){_NOT_LOCAL}{_LOCAL} at {_LABEL}(?: dot {_LABEL}){{0,3}} dot [a-z]{{2,24}}", " dot "
    ),
    recogniser("account", r"(?<![\p{Latin}\p{N}_@])@[\p{L}\p{N}_][\p{L}\p{N}_·\-]{0,29}", "@", _someone),
    recogniser("account", r"(?<![A-Za-z\d_/.])/?u/[A-Za-z\d_\-]{3,20}(?![\w/])", "u/"),
    recogniser(
        "account",
        r"(?<![A-Za-z\d_.\-])(?:https?://)?(?:(?:www|m|mobile|space|old)\.)?(?:(?:twitter|x|instagram|facebook|github|threads|"
        r"weibo|medium|douban|pinterest|twitch|snapchat)\.(?:com|net|tv)|linkedin\.com/in|reddit\.com/u(?:ser)?|t\.me"
        r"|tiktok\.com|youtube\.com|zhihu\.com/people|bilibili\.com|douban\.com/people|weibo\.(?:com|cn)/[un]"
        r"|steamcommunity\.com/id|keybase\.io)/(?P<name>@?[\p{L}\d_][\p{L}\d_.\-]{1,39})/?(?![\p{L}\d_/])",
        r"\.(?:com|cn|net|me|tv|io)/",
        _profile,
    ),
    recogniser(
        "account",
        r"(?i)(?<=(?:(?<![a-z])qq|企鹅|扣扣)(?:号|群)?(?:[:是]| ){0,3})[1-9]\d{4,10}(?!\d)",
        "(?i)qq|企鹅|扣扣",
    ),
    recogniser(
        "account",
        r"(?i)(?<=(?:微信|wechat|weixin|薇信|威信|(?<![a-z])vx|(?<![a-z])wx|v信)(?:号|id)?(?:[:是]| ){1,3})"
        r"[a-z][\w\-]{5,19}",
        "(?i)微信|wechat|weixin|薇信|威信|vx|wx|v信",
    ),
    recogniser(
        "address",
        rf"(?<![\w.,$€£:/\-])\d{{1,5}}[A-Ha-d]?(?:-\d{{1,4}})?,? (?:(?:[NSEW]|North|South|East|West)\.? )?"
        rf"(?:{_WORD} ){{1,4}}?"
        rf"{_STREET}\b\.?(?: [NS][EW]\b)?{_FLAT}{_TOWN}",
        r"\d[A-Ha-d]?,? [\p{Lu}\d]",
    ),
    recogniser(
        "address",
        rf"(?<![\w.,$€£:/\-])\d{{1,5}}[A-Ha-d]?,? (?:{_WORD} ){{1,3}}?{_LANDMARK}\b"
        rf"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat)\.? ?[\dA-Za-z]{{1,5}}\b{_TOWN}"
        r"|(?:, \p{Lu}[\p{Latin}'’\-]{1,15}(?: \p{Lu}[\p{Latin}'’\-]{1,15}){0,2})?,? [A-Z]{2},? \d{5}\b)",
        r"\d[A-Ha-d]?,? [\p{Lu}\d]",
    ),
    recogniser("address", rf"(?i)\bP\.? ?O\.? Box \d{{1,6}}{_TOWN}", "(?i)box"),
    recogniser(
        "address",
        rf"{_REGION}{_ROAD}\d{{1,5}}(?:-\d{{1,4}}){{0,2}}(?:号|弄)(?!线|楼梯|人|选手){_ROOM}",
        r"\d[号弄]",
        flags=regex.V1,
    ),
    recogniser(
        "address",
        rf"{_REGION}{_ROAD}(?:[A-Za-z]|\d{{1,4}})(?:座|栋|幢|号楼){_ROOM}",
        r"[A-Za-z\d][座栋幢号]",
        flags=regex.V1,
    ),
    recogniser(
        "address",
        rf"{_REGION}{_BUILDING}(?:\d{{1,4}}|[A-Z])(?:号楼|栋|幢|座|号)(?:\d{{1,2}}单元)?\d{{1,4}}(?:室|号|房)?",
        r"号楼|[栋幢座]|\d号",
        flags=regex.V1,
    ),
)
