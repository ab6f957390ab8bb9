{# Every action: its name, the column that counts it, and whether it speaks for the post (1), against it (-1) or neither. #}
{% macro actions() %}
    {{ return([
        ('impression', 'impressions', 0),
        ('view', 'views', 0),
        ('like', 'likes', 1),
        ('comment', 'comments', 1),
        ('share', 'shares', 1),
        ('save', 'saves', 1),
        ('follow_author', 'follows', 1),
        ('hide', 'hides', -1),
        ('report', 'reports', -1),
    ]) }}
{% endmacro %}


{# Whether an event speaks for (1) or against (-1) its post. A view that lasts long enough speaks for it too. #}
{% macro speaks(sign, alias) -%}
    {{ alias }}.action in (
        {%- for action, _, says in actions() if says == sign %}{{ ', ' if not loop.first }}'{{ action }}'{% endfor -%}
    )
    {%- if sign == 1 %} or coalesce({{ is_long_view(alias ~ '.') }}, false){% endif %}
{%- endmacro %}


{% macro is_long_view(prefix) -%}
    ({{ prefix }}action = 'view' and {{ prefix }}value >= {{ var('dwell_positive_seconds') }})
{%- endmacro %}


{# Events per action, and views that lasted. Such counts of disjoint sets of events may be added up. #}
{% macro count_actions() -%}
    count(*) as n_events,
    {%- for action, column, _ in actions() %}
    count(*) filter (where action = '{{ action }}') as {{ column }},
    {%- endfor %}
    count(*) filter (where {{ is_long_view('') }}) as long_views
{%- endmacro %}


{# The same counts, added up over rows that hold them. #}
{% macro sum_actions() -%}
    sum(n_events)::bigint as n_events,
    {%- for _, column, _ in actions() %}
    sum({{ column }})::bigint as {{ column }},
    {%- endfor %}
    sum(long_views)::bigint as long_views
{%- endmacro %}


{# Events that speak for their post, from a row of counts. #}
{% macro positives() -%}
    long_views {%- for _, column, says in actions() if says == 1 %} + {{ column }}{% endfor %}
{%- endmacro %}
