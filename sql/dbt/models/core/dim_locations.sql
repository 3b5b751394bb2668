with

zones as (

    select * from {{ ref('stg_zones') }}

),

locations as (

    select

        ---------- ids
        location_id,

        ---------- text
        borough,
        zone_name,
        service_zone,

        ---------- booleans
        is_airport,
        location_id = {{ var('unknown_location_id') }} as is_unknown

    from zones

)

select * from locations
