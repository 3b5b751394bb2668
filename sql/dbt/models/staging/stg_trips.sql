{#-
    A table, unlike the other staging models, which are views: the lake is read once, and every later model and test
    sees the same rows, whatever is committed to silver in the meantime.
-#}
{{ config(materialized='table') }}

with

source as (

    select * from {{ source('lake', 'cleaned_trips') }}
    where {{ in_built_month() }}

),

renamed as (

    select

        ---------- ids
        trip_id,
        event_id,
        trip_month,
        vendor_id,
        rate_code_id,
        payment_type_id,
        pickup_location_id,
        dropoff_location_id,

        ---------- text
        store_and_forward_flag,

        ---------- numerics
        passenger_count,
        trip_distance_miles,
        fare_amount_usd,
        extra_usd,
        mta_tax_usd,
        tip_amount_usd,
        tolls_amount_usd,
        improvement_surcharge_usd,
        congestion_surcharge_usd,
        airport_fee_usd,
        cbd_congestion_fee_usd,
        total_amount_usd,
        pickup_longitude,
        pickup_latitude,
        dropoff_longitude,
        dropoff_latitude,

        ---------- dates and timestamps
        pickup_date,
        pickup_at,
        dropoff_at

    from source

)

select * from renamed
