{{ config(materialized='view') }}

with

trips as (

    select * from {{ ref('stg_trips') }}

),

durations as (

    select
        *,
        date_diff('second', pickup_at, dropoff_at) as duration_seconds

    from trips

),

metrics as (

    select
        *,

        hour(pickup_at) as pickup_hour,

        duration_seconds / 60.0 as duration_minutes,

        {#- The clock of a trip that does not end after its start was wrong; such a trip has no speed. #}
        case
            when duration_seconds > 0 then trip_distance_miles / (duration_seconds / 3600.0)
        end as speed_mph,

        {#- Cash tips are not recorded; this is the recorded tip's share of the fare. #}
        case
            when fare_amount_usd > 0 then tip_amount_usd / fare_amount_usd
        end as tip_share_of_fare,

        case
            when trip_distance_miles > 0 then fare_amount_usd / trip_distance_miles
        end as fare_usd_per_mile,

        {#- The part of the total that its components do not explain. Components that a year did not have are empty. #}
        total_amount_usd - (
            fare_amount_usd
            + coalesce(extra_usd, 0)
            + coalesce(mta_tax_usd, 0)
            + coalesce(tip_amount_usd, 0)
            + coalesce(tolls_amount_usd, 0)
            + coalesce(improvement_surcharge_usd, 0)
            + coalesce(congestion_surcharge_usd, 0)
            + coalesce(airport_fee_usd, 0)
            + coalesce(cbd_congestion_fee_usd, 0)
        ) as unexplained_amount_usd

    from durations

)

select * from metrics
