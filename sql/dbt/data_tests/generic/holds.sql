{% test holds(model, condition, column_name=none) %}

{#- Fails for every row of which the condition is not true; a condition that cannot be told counts as broken. #}
select *

from {{ model }}
where ({{ condition }}) is not true

{% endtest %}
