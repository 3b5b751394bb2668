{% test unique_combination(model, columns) %}

{#- Fails for every combination of the columns that more than one row has, which breaks the model's grain. #}
select
    {{ columns | join(', ') }},
    count(*) as row_count

from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1

{% endtest %}
