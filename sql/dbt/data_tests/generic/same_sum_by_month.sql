{% test same_sum_by_month(model, expression, to, to_expression) %}

{#- Fails with one row for each month in which the two models' sums differ, or which only one model has. #}
with

ours as (

    select
        trip_month,
        {{ expression }} as amount

    from {{ model }}
    group by trip_month

),

theirs as (

    select
        trip_month,
        {{ to_expression }} as amount

    from {{ to }}
    group by trip_month

)

select
    coalesce(ours.trip_month, theirs.trip_month) as trip_month,
    ours.amount as our_amount,
    theirs.amount as their_amount

from ours
full outer join theirs
    on ours.trip_month = theirs.trip_month
where ours.amount is distinct from theirs.amount

{% endtest %}
