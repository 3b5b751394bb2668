{% test in_range(model, column_name, at_least=none, at_most=none) %}

{#- Fails for every row whose value lies outside the bounds, which are inclusive. Empty values pass. #}
select *

from {{ model }}
where
    false
    {%- if at_least is not none %}
        or {{ column_name }} < {{ at_least }}
    {%- endif %}
    {%- if at_most is not none %}
        or {{ column_name }} > {{ at_most }}
    {%- endif %}

{% endtest %}
