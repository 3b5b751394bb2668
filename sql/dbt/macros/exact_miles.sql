{#-
    Miles as a decimal, for sums: a sum of doubles depends on the order in which threads deliver them, so building a
    month again would change the last digits. A distance beyond 10^15 miles comes from a broken meter and counts as zero.
-#}
{% macro exact_miles(column_name) -%}
    coalesce(try_cast({{ column_name }} as decimal(18, 3)), 0)
{%- endmacro %}
