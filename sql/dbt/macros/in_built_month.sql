{#-
    The condition that limits a relation to the months being built; `true` if every month is built.

    A test's `where: __built_month__` becomes the same condition. dbt renders a `where` when it parses the project,
    before the months are known; the placeholder is therefore replaced when the test runs.
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
