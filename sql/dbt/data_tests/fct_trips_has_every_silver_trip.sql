-- Each month has the same number of trips in fct_trips as in silver. Keeps one row a month.
with

silver as (

    select
        trip_month,
        count(*) as trips

    from {{ source('lake', 'cleaned_trips') }}
    where {{ in_built_month() }}
    group by trip_month

),

facts as (

    select
        trip_month,
        count(*) as trips

    from {{ ref('fct_trips') }}
    where {{ in_built_month() }}
    group by trip_month

)

select
    coalesce(silver.trip_month, facts.trip_month) as trip_month,
    coalesce(silver.trips, 0) as silver_trips,
    coalesce(facts.trips, 0) as fct_trips,
    coalesce(silver.trips, 0) != coalesce(facts.trips, 0) as is_failing

from silver
full outer join facts
    on silver.trip_month = facts.trip_month
