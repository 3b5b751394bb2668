{% test holds(model, condition, column_name=none) %}

{#- Fails for every row for which the condition is not true; null counts as not true. #}
select *

from {{ model }}
where ({{ condition }}) is not true

{% endtest %}
