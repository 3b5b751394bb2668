-- Each month's total in fct_trips is silver's, to the cent. Fails with one row for each month that differs.
with

silver as (

    select
        trip_month,
        sum(total_amount_usd) as total_amount_usd

    from {{ source('lake', 'cleaned_trips') }}
    where {{ in_built_month() }}
    group by trip_month

),

facts as (

    select
        trip_month,
        sum(total_amount_usd) as total_amount_usd

    from {{ ref('fct_trips') }}
    where {{ in_built_month() }}
    group by trip_month

)

select
    coalesce(silver.trip_month, facts.trip_month) as trip_month,
    silver.total_amount_usd as silver_total_amount_usd,
    facts.total_amount_usd as fact_total_amount_usd

from silver
full outer join facts
    on silver.trip_month = facts.trip_month
where silver.total_amount_usd is distinct from facts.total_amount_usd
