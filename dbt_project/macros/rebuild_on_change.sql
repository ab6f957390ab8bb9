{#
    An incremental table holds rows that older code made. So each table of rows made step by step is made anew when the code
    that makes it differs from the code that made it, without a person having to know: `feature_code` says by which code the
    tables in the lake were made, and this overrides dbt's own rule, which asks for `--full-refresh` alone.
#}
{% macro should_full_refresh() %}
    {% set wanted = config.get('full_refresh') %}
    {% if wanted is none %}
        {% set wanted = flags.FULL_REFRESH or feature_code_changed() %}
    {% endif %}
    {{ return(wanted) }}
{% endmacro %}


{% macro feature_code_changed() %}
    {% if not execute %}
        {{ return(false) }}
    {% endif %}
    {% set made_by = load_relation(api.Relation.create(
        database=target.database, schema='intermediate', identifier='feature_code'
    )) %}
    {% if made_by is none %}
        {{ return(true) }}
    {% endif %}
    {% set codes = run_query('select code from ' ~ made_by).columns[0].values() %}
    {{ return(codes | list != [env_var('TIDEGATE_DBT_CODE')]) }}
{% endmacro %}
