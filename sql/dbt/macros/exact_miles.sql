{#-
    Miles as a decimal, to add up: a sum of doubles depends on the order in which threads deliver them, so that building a
    month again would change the last digits. A distance beyond 10^15 miles is a broken meter's and counts as none.
-#}
{% macro exact_miles(column_name) -%}
    coalesce(try_cast({{ column_name }} as decimal(18, 3)), 0)
{%- endmacro %}
