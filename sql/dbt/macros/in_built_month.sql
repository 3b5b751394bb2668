{#-
    The condition that keeps a relation to the months being built, or `true` when every month is.

    A test's `where: __built_month__` becomes the same condition: a `where` is rendered when the project is parsed, long
    before the months are known, so that the placeholder is filled in when the test runs.
-#}
{% macro in_built_month() -%}
    {%- if var('trip_months') -%}
        trip_month in ('{{ var("trip_months") | join("', '") }}')
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where -%}
        (select * from {{ relation }} where {{ where | replace('__built_month__', in_built_month()) }}) as dbt_subquery
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}
