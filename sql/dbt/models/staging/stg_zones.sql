with

source as (

    select * from {{ ref('taxi_zones') }}

),

renamed as (

    select

        ---------- ids
        "LocationID" as location_id,  -- noqa: RF06

        ---------- text
        "Borough" as borough,  -- noqa: RF06
        "Zone" as zone_name,  -- noqa: RF06
        service_zone,

        ---------- booleans
        service_zone in ('Airports', 'EWR') as is_airport

    from source

)

select * from renamed
