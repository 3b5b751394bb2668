-- Each month's total is the same in silver, fct_trips and daily_revenue, to the cent. Keeps one row a month.
with

totals as (

    select
        trip_month,
        'silver' as layer,
        total_amount_usd

    from {{ source('lake', 'cleaned_trips') }}

    union all

    select
        trip_month,
        'fct_trips' as layer,
        total_amount_usd

    from {{ ref('fct_trips') }}

    union all

    select
        trip_month,
        'daily_revenue' as layer,
        total_amount_usd

    from {{ ref('daily_revenue') }}

),

months as (

    select
        trip_month,
        coalesce(sum(total_amount_usd) filter (where layer = 'silver'), 0) as silver_usd,
        coalesce(sum(total_amount_usd) filter (where layer = 'fct_trips'), 0) as fct_trips_usd,
        coalesce(sum(total_amount_usd) filter (where layer = 'daily_revenue'), 0) as daily_revenue_usd

    from totals
    where {{ in_built_month() }}
    group by trip_month

)

select
    trip_month,
    silver_usd,
    fct_trips_usd,
    daily_revenue_usd,
    silver_usd != fct_trips_usd or fct_trips_usd != daily_revenue_usd as is_failing

from months
