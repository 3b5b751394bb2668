with

trips as (

    select * from {{ ref('fct_trips') }}

),

hourly as (

    select

        ---------- ids
        pickup_date,
        trip_month,
        pickup_hour,

        ---------- numerics
        count(*) as trips,
        sum({{ exact_miles('trip_distance_miles') }}) as distance_miles,
        sum(duration_seconds)::bigint as duration_seconds,

        {#- For the speed: a trip whose clock was wrong has none. #}
        coalesce(
            sum({{ exact_miles('trip_distance_miles') }}) filter (where duration_seconds > 0), 0
        ) as timed_distance_miles,
        coalesce(sum(duration_seconds) filter (where duration_seconds > 0), 0)::bigint as timed_duration_seconds,
        coalesce(sum(total_amount_usd), 0)::decimal(18, 2) as total_amount_usd

    from trips
    group by all

)

select * from hourly
