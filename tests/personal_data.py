"""Texts with and without personal data that both layers of masking agree on: feature models and library."""

EMAILS = [
    ("write to ann.lee+x@mail.example.co.uk, please", "write to <email>, please"),
    ("邮箱：zhang_san@163.com。谢谢", "邮箱：<email>。谢谢"),
    ("联系ｚｈａｎｇ＠ｑｑ．ｃｏｍ", "联系<email>"),
    ("ann[at]example[dot]com", "<email>"),
    ("ann (at) example.com", "<email>"),
    ("ann【at】example．com", "<email>"),
    ("ann at example dot com", "<email>"),
    ("我的邮箱 12345#qq.com", "我的邮箱 <email>"),
    ("a@b.cn,c@d.cn", "<email>,<email>"),
    ("mailto:a@b.cn", "mailto:<email>"),
    ("qubo10@用户.cn", "<email>"),
]
PHONES = [
    ("call 138-1234-5678 now", "call <phone> now"),
    ("电话13812345678。", "电话<phone>。"),
    ("手机：１３８１２３４５６７８", "手机：<phone>"),
    ("＋８６　１３８　１２３４　５６７８", "<phone>"),
    ("(+86)13812345678", "<phone>"),
    ("13812345678 13912345679 13712345670", "<phone> <phone> <phone>"),
    ("wechat13812345678abc", "wechat<phone>abc"),
    ("010-88886666转123", "<phone>转123"),
    ("（0571）88886666", "<phone>"),
    ("0571－88886666", "<phone>"),
    ("400-820-8820", "<phone>"),
    ("(415) 555-0132", "<phone>"),
    ("415-555-0132 or 415.555.0133", "<phone> or <phone>"),
    ("+1 415 555 0132", "<phone>"),
    ("+44 20 7946 0958", "<phone>"),
    ("+8613812345678", "<phone>"),
    ("4155550132", "<phone>"),
]
NUMBERS = [
    ("id 11010519491231002X", "id <id>"),
    ("身份证号110105194912310021！", "身份证号<id>！"),
    ("身份证１１０１０５１９４９１２３１００２Ｘ", "身份证<id>"),
    ("110105 19491231 0021", "<id>"),
    ("SSN 078-05-1120", "SSN <id>"),
    ("my ssn is 078051120", "my ssn is <id>"),
    ("card 4111 1111 1111 1111", "card <card>"),
    ("4111-1111-1111-1111,4111111111111111", "<card>,<card>"),
    ("卡号6222021234567890123", "卡号<card>"),
    ("卡号 6222 0212 3456 7890 123", "卡号 <card>"),
    ("4111－1111－1111－1111", "<card>"),
    ("amex 3782 822463 10005", "amex <card>"),
    ("4222222222222", "<card>"),
]
MENTIONS = [
    ("hi @ann_lee, ok", "hi @user, ok"),
    ("转发 ＠小明：好", "转发 @user：好"),
    ("//@小红:好//@小明:真好", "//@user:好//@user:真好"),
    ("@ann@mastodon.social says", "@user says"),
]
PLAIN = [
    "In 2024 we sold 1,250,000 units for $3.50 each, up 12.5%.",
    "2024-03-01 12:30:45",
    "北京时间2024年3月1日12:30，气温零下10度！",
    "#topic #another one, look at this",
    "score 3-2, 10-20-30, 1.5.2",
    "look @ this",
    "👩\u200d👩\u200d👧 family",
    "版本1.10.3 价格￥1999",
]
FORM_ALONE = {
    "4155550132",
    "110105 19491231 0021",
    "卡号6222021234567890123",
    "卡号 6222 0212 3456 7890 123",
    "4222222222222",
}
"""Numbers that the feature models mask by their form; they have no valid check digit, or no sign of what they are."""
