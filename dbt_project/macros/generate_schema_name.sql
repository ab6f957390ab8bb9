{# Schemas are named as in the project file, with no prefix of the target: `staging`, `intermediate`, `marts`. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
