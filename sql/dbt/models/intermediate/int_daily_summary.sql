with

trips as (

    select * from {{ ref('fct_trips') }}

),

daily as (

    select

        ---------- ids
        pickup_date,
        trip_month,

        ---------- numerics
        count(*) as trips,
        count(*) filter (where is_airport_trip) as airport_trips,
        coalesce(sum(passenger_count), 0)::bigint as passengers,
        sum({{ exact_miles('trip_distance_miles') }}) as distance_miles,
        sum(duration_seconds)::bigint as duration_seconds,
        sum(fare_amount_usd)::decimal(18, 2) as fare_amount_usd,
        coalesce(sum(tip_amount_usd), 0)::decimal(18, 2) as tip_amount_usd,
        coalesce(sum(tolls_amount_usd), 0)::decimal(18, 2) as tolls_amount_usd,
        coalesce(sum(total_amount_usd), 0)::decimal(18, 2) as total_amount_usd

    from trips
    group by all

)

select * from daily
