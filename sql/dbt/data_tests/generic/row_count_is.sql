{% test row_count_is(model, expected) %}

{#- Fails with one row that tells the number of rows found. #}
select count(*) as row_count

from {{ model }}
having count(*) != {{ expected }}

{% endtest %}
