with

trips as (

    select * from {{ ref('fct_trips') }}

),

locations as (

    select * from {{ ref('dim_locations') }}

),

pickups as (

    select
        trip_month,
        pickup_location_id as location_id,
        count(*) as pickups,
        sum({{ exact_miles('trip_distance_miles') }}) as distance_miles,
        sum(fare_amount_usd)::decimal(18, 2) as fare_amount_usd,
        coalesce(sum(tip_amount_usd), 0)::decimal(18, 2) as tip_amount_usd,
        coalesce(sum(total_amount_usd), 0)::decimal(18, 2) as total_amount_usd

    from trips
    group by all

),

dropoffs as (

    select
        trip_month,
        dropoff_location_id as location_id,
        count(*) as dropoffs

    from trips
    group by all

),

performance as (

    select

        ---------- ids
        coalesce(pickups.trip_month, dropoffs.trip_month) as trip_month,
        coalesce(pickups.location_id, dropoffs.location_id) as location_id,

        ---------- numerics
        coalesce(pickups.pickups, 0) as pickups,
        coalesce(dropoffs.dropoffs, 0) as dropoffs,
        pickups.distance_miles / pickups.pickups as average_distance_miles,
        coalesce(pickups.total_amount_usd, 0)::decimal(18, 2) as total_amount_usd,
        (pickups.total_amount_usd / pickups.pickups)::decimal(10, 2) as average_total_amount_usd,
        case
            when pickups.fare_amount_usd > 0 then pickups.tip_amount_usd / pickups.fare_amount_usd
        end as tip_share_of_fare

    from pickups
    full outer join dropoffs
        on
            pickups.trip_month = dropoffs.trip_month
            and pickups.location_id = dropoffs.location_id

),

ranked as (

    select

        ---------- ids
        performance.trip_month,
        performance.location_id,

        ---------- text
        locations.borough,
        locations.zone_name,

        ---------- numerics
        performance.pickups,
        performance.dropoffs,
        performance.average_distance_miles,
        performance.total_amount_usd,
        performance.average_total_amount_usd,
        performance.tip_share_of_fare,

        {#- Zones with the same revenue share a rank. #}
        rank() over (
            partition by performance.trip_month
            order by performance.total_amount_usd desc
        ) as revenue_rank,

        ---------- booleans
        locations.is_airport

    from performance
    inner join locations
        on performance.location_id = locations.location_id

)

select * from ranked
