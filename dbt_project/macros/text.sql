{# regexp_replace of every rule, a pair of pattern and replacement, in order. #}
{% macro replace_each(column, rules) -%}
    {%- set ns = namespace(sql=column) -%}
    {%- for pattern, replacement in rules -%}
        {%- set ns.sql = "regexp_replace(" ~ ns.sql ~ ", '" ~ pattern ~ "', '" ~ replacement ~ "', 'g')" -%}
    {%- endfor -%}
    {{ ns.sql }}
{%- endmacro %}


{#
    A text as a language model should read it: composed (NFC), digits and letters of East Asian width in plain ASCII (their
    punctuation stays), one kind of space and of line end, nothing invisible. The joiner that makes one emoji of several stays.
#}
{% macro clean_text(column) -%}
    {%- set wide = '０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ＠＋＿＃' -%}
    {%- set plain = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz@+_#' -%}
    {%- set composed = "translate(nfc_normalize(" ~ column ~ "), '" ~ wide ~ "', '" ~ plain ~ "')" -%}
    {%- set invisible = '[\\x{00}-\\x{08}\\x{0E}-\\x{1F}\\x{7F}-\\x{84}\\x{86}-\\x{9F}\\x{AD}\\x{200B}\\x{200C}\\x{200E}\\x{200F}'
        ~ '\\x{202A}-\\x{202E}\\x{2060}-\\x{206F}\\x{FEFF}\\x{FFF9}-\\x{FFFC}]' -%}
    trim({{ replace_each(composed, [
        ('\\r\\n?|[\\x{0B}\\x{0C}\\x{85}\\x{2028}\\x{2029}]', '\n'),
        (invisible, ''),
        ('([\\p{L}\\p{N}])\\x{200D}+', '\\1'),
        ('[\\t \\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{202F}\\x{205F}\\x{3000}]+', ' '),
        (' ?\n ?', '\n'),
        ('\n{3,}', '\n\n'),
    ]) }}, chr(32) || chr(10))
{%- endmacro %}


{#
    What of a text must not be learnt: addresses, numbers that reach or identify a person, names of accounts. For text that
    clean_text has made plain. Digits may be grouped by spaces, dots and dashes of either language; `[at]` and its kin are
    read. Numbers are replaced twice, as two that are parted by one sign share it. Where in doubt a number is masked.
#}
{% macro mask_personal_data(column) -%}
    {%- set sep = '[ .·\\-－‐‑‒–—−]' -%}
    {%- set s = sep ~ '?' -%}
    {%- set begin = '(^|[^0-9])' -%}
    {%- set end = '($|[^0-9])' -%}
    {%- set china = '(?:[(（]?(?:\\+|00)?86[)）]?' ~ s ~ ')?' -%}
    {%- set digits = [
        (begin ~ '[1-9][0-9]{5}' ~ s ~ '(?:18|19|20)[0-9]{2}' ~ s ~ '(?:0[1-9]|1[0-2])' ~ s
            ~ '(?:0[1-9]|[12][0-9]|3[01])' ~ s ~ '[0-9]{3}' ~ s ~ '[0-9Xx]' ~ end, '\\1<id>\\2'),
        (begin ~ china ~ '1[3-9][0-9]' ~ s ~ '[0-9]{4}' ~ s ~ '[0-9]{4}' ~ end, '\\1<phone>\\2'),
        ('\\+[1-9][0-9]{0,2}(?:' ~ sep ~ '|[()（）]){0,2}(?:[0-9](?:' ~ sep ~ '|[()（）]){0,2}){6,12}[0-9]' ~ end, '<phone>\\1'),
        (begin ~ '(?:[0-9]{13,19}|[0-9]{4}(?:' ~ sep ~ '[0-9]{4}){2,3}' ~ sep ~ '[0-9]{1,7}|[0-9]{4}' ~ sep ~ '[0-9]{6}'
            ~ sep ~ '[0-9]{4,5}|[0-9]{6}' ~ sep ~ '[0-9]{7,13})' ~ end, '\\1<card>\\2'),
        (begin ~ '[0-9]{3}' ~ sep ~ '[0-9]{2}' ~ sep ~ '[0-9]{4}' ~ end, '\\1<id>\\2'),
        ('(?i)((?:ssn|social security(?: number| no\\.?)?|社会安全号码?|社保号码?)[^0-9]{0,10})[0-9]{9}' ~ end, '\\1<id>\\2'),
        (begin ~ china ~ '[(（]?0[1-9][0-9]{1,2}[)）]?' ~ s ~ '[2-9][0-9]{2,3}' ~ s ~ '[0-9]{4}(?:' ~ sep ~ '[0-9]{1,5})?'
            ~ end, '\\1<phone>\\2'),
        (begin ~ '[48]00' ~ s ~ '(?:[0-9]{3}' ~ s ~ '[0-9]{4}|[0-9]{4}' ~ s ~ '[0-9]{3})' ~ end, '\\1<phone>\\2'),
        (begin ~ '(?:\\+?1' ~ s ~ ')?(?:[(（][2-9][0-9]{2}[)）] ?|[2-9][0-9]{2}' ~ sep ~ ')[0-9]{3}' ~ sep ~ '[0-9]{4}' ~ end,
            '\\1<phone>\\2'),
        (begin ~ '1?[2-9][0-9]{2}[2-9][0-9]{6}' ~ end, '\\1<phone>\\2'),
    ] -%}
    {%- set at = '(?:@| ?[\\[(（【{<] ?(?:at|AT|At|@|艾特) ?[\\])）】}>] ?)' -%}
    {%- set dot = '(?:[.．]| ?[\\[(（【{<] ?(?:dot|DOT|Dot|点) ?[\\])）】}>] ?)' -%}
    {#- Any letters: domains may be international, and of addresses in public corpora the domain is often masked already. -#}
    {%- set label = '[\\p{L}0-9\\-]+' -%}
    {%- set local = '[\\p{Latin}0-9._%+\\-]+' -%}
    {%- set addresses = [
        ('@[\\p{Latin}0-9_.\\-]+@' ~ label ~ '(?:\\.' ~ label ~ ')*\\.[A-Za-z]{2,}', '@user'),
        (local ~ at ~ label ~ '(?:' ~ dot ~ label ~ ')*' ~ dot ~ '[A-Za-z]{2,}', '<email>'),
        ('(?i)' ~ local ~ '#(?:qq|163|126|gmail|sina|sohu|hotmail|outlook|yahoo|foxmail)\\.(?:com|cn|net)', '<email>'),
        ('(?i)' ~ local ~ ' at ' ~ label ~ '(?: dot ' ~ label ~ ')* dot [a-z]{2,}', '<email>'),
    ] -%}
    {%- set spelled = "case when regexp_matches(" ~ column ~ ", '(?i)[@#]|[\\[(（【{<] ?(?:at|艾特)| dot ') then "
        ~ replace_each(column, addresses) ~ " else " ~ column ~ " end" -%}
    {%- set numbered = "case when regexp_matches(" ~ column ~ ", '[0-9](?:[^0-9]{0,3}[0-9]){7}') then "
        ~ replace_each(spelled, digits + digits) ~ " else " ~ spelled ~ " end" -%}
    {{ replace_each(numbered, [('@[\\p{L}\\p{N}_][\\p{L}\\p{N}_·\\-]{0,29}', '@user')]) }}
{%- endmacro %}


{# What two texts share when they say the same: no case, no space, no punctuation; the text itself where nothing is left. #}
{% macro content_key(column) -%}
    coalesce(nullif(regexp_replace(lower({{ column }}), '[\s\p{P}\p{Z}]+', '', 'g'), ''), {{ column }})
{%- endmacro %}


{# A text without white space around it. #}
{% macro bare(column) -%}
    trim({{ column }}, ' ' || chr(9) || chr(10) || chr(13))
{%- endmacro %}
