{% test row_count_is(model, expected) %}

{#- Fails with one row, which holds the number of rows found. #}
select count(*) as row_count

from {{ model }}
having count(*) != {{ expected }}

{% endtest %}
