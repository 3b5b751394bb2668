with

hours as (

    select * from {{ ref('int_hourly_patterns') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

weekdays as (

    select
        trip_month,
        iso_day_of_week,
        day_name,
        is_weekend,
        count(*) as calendar_days

    from dates
    group by all

),

patterns as (

    select
        hours.trip_month,
        dates.iso_day_of_week,
        hours.pickup_hour,
        sum(hours.trips)::bigint as trips,
        sum(hours.duration_seconds)::bigint as duration_seconds,
        sum(hours.timed_distance_miles) as timed_distance_miles,
        sum(hours.timed_duration_seconds)::bigint as timed_duration_seconds,
        sum(hours.total_amount_usd)::decimal(18, 2) as total_amount_usd

    from hours
    inner join dates
        on hours.pickup_date = dates.date_day
    group by all

),

demand as (

    select

        ---------- ids
        patterns.trip_month,
        patterns.iso_day_of_week,
        patterns.pickup_hour,

        ---------- text
        weekdays.day_name,

        ---------- numerics
        weekdays.calendar_days,
        patterns.trips,
        patterns.trips / weekdays.calendar_days as average_trips_per_day,
        patterns.trips / sum(patterns.trips) over (partition by patterns.trip_month) as share_of_month_trips,
        patterns.duration_seconds / 60.0 / patterns.trips as average_duration_minutes,
        case
            when patterns.timed_duration_seconds > 0
                then patterns.timed_distance_miles / (patterns.timed_duration_seconds / 3600.0)
        end as average_speed_mph,
        patterns.total_amount_usd,

        {#- Hours with the same demand share a rank. #}
        rank() over (
            partition by patterns.trip_month
            order by patterns.trips / weekdays.calendar_days desc
        ) as demand_rank,

        ---------- booleans
        weekdays.is_weekend

    from patterns
    inner join weekdays
        on
            patterns.trip_month = weekdays.trip_month
            and patterns.iso_day_of_week = weekdays.iso_day_of_week

)

select * from demand
