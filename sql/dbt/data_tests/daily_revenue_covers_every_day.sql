-- In a month with trips, every day has trips. Keeps one row a month.
with

months as (

    select distinct trip_month

    from {{ ref('daily_revenue') }}
    where {{ in_built_month() }}

)

select
    dates.trip_month,
    count(*) as calendar_days,
    count(revenue.pickup_date) as days_with_trips,
    string_agg(dates.date_day::varchar, ', ' order by dates.date_day) filter (
        where revenue.pickup_date is null
    ) as days_without_trips,
    count(*) != count(revenue.pickup_date) as is_failing

from {{ ref('dim_dates') }} as dates
inner join months
    on dates.trip_month = months.trip_month
left join {{ ref('daily_revenue') }} as revenue
    on dates.date_day = revenue.pickup_date
group by dates.trip_month
