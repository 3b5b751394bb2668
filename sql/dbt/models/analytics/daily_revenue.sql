with

days as (

    select * from {{ ref('int_daily_summary') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

{# Windows end at the month's edge, so that building one month changes no other month's rows. #}
revenue as (

    select

        ---------- ids
        days.pickup_date,
        days.trip_month,

        ---------- text
        dates.day_name,

        ---------- numerics
        days.trips,
        days.fare_amount_usd,
        days.tip_amount_usd,
        days.tolls_amount_usd,
        (
            days.total_amount_usd - days.fare_amount_usd - days.tip_amount_usd - days.tolls_amount_usd
        )::decimal(18, 2) as other_amount_usd,
        days.total_amount_usd,
        (days.total_amount_usd / days.trips)::decimal(10, 2) as average_total_amount_usd,
        case
            when days.fare_amount_usd > 0 then days.tip_amount_usd / days.fare_amount_usd
        end as tip_share_of_fare,
        sum(days.total_amount_usd) over (
            partition by days.trip_month
            order by days.pickup_date
        )::decimal(18, 2) as month_to_date_total_amount_usd,
        days.total_amount_usd / nullif(
            sum(days.total_amount_usd) over (partition by days.trip_month), 0
        ) as share_of_month_total_amount,

        ---------- booleans
        dates.is_weekend

    from days
    inner join dates
        on days.pickup_date = dates.date_day

)

select * from revenue
