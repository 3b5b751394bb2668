{#- Building a month replaces only that month, in whatever order the months are built. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_month',
        on_schema_change='fail'
    )
}}

with

trips as (

    select * from {{ ref('int_trip_metrics') }}

),

locations as (

    select * from {{ ref('dim_locations') }}

),

payment_types as (

    select * from {{ ref('dim_payment_types') }}

),

rate_codes as (

    select * from {{ ref('stg_rate_codes') }}

),

{# An empty or unlisted code leads to the dimension's unknown member. #}
keyed as (

    select
        trips.*,

        coalesce(pickup_locations.location_id, {{ var('unknown_location_id') }}) as pickup_location_key,
        coalesce(dropoff_locations.location_id, {{ var('unknown_location_id') }}) as dropoff_location_key,
        coalesce(payment_types.payment_type_id, {{ var('unknown_payment_type_id') }}) as payment_type_key,
        coalesce(rate_codes.rate_code_id, {{ var('unknown_rate_code_id') }}) as rate_code_key,

        coalesce(pickup_locations.is_airport, false)
        or coalesce(dropoff_locations.is_airport, false) as is_airport_trip

    from trips
    left join locations as pickup_locations
        on trips.pickup_location_id = pickup_locations.location_id
    left join locations as dropoff_locations
        on trips.dropoff_location_id = dropoff_locations.location_id
    left join payment_types
        on trips.payment_type_id = payment_types.payment_type_id
    left join rate_codes
        on trips.rate_code_id = rate_codes.rate_code_id

),

final as (

    select

        ---------- ids
        trip_id,
        event_id,
        trip_month,
        vendor_id,
        rate_code_key as rate_code_id,
        payment_type_key as payment_type_id,
        pickup_location_key as pickup_location_id,
        dropoff_location_key as dropoff_location_id,

        ---------- text
        store_and_forward_flag,

        ---------- numerics
        pickup_hour,
        passenger_count,
        trip_distance_miles,
        duration_seconds,
        duration_minutes,
        speed_mph,
        fare_usd_per_mile,
        tip_share_of_fare,
        fare_amount_usd,
        extra_usd,
        mta_tax_usd,
        tip_amount_usd,
        tolls_amount_usd,
        improvement_surcharge_usd,
        congestion_surcharge_usd,
        airport_fee_usd,
        total_amount_usd,
        unexplained_amount_usd,

        ---------- booleans
        is_airport_trip,

        ---------- dates and timestamps
        pickup_date,
        pickup_at,
        dropoff_at,

        {#- Added by migrations, which put them at the end: every file of the marts has the same order. #}
        cbd_congestion_fee_usd,
        pickup_longitude,
        pickup_latitude,
        dropoff_longitude,
        dropoff_latitude

    from keyed

)

select * from final
