-- In a month with trips, every day has trips. Fails with one row for each day without trips.
with

months as (

    select distinct trip_month from {{ ref('daily_revenue') }}

)

select
    dates.trip_month,
    dates.date_day

from {{ ref('dim_dates') }} as dates
inner join months
    on dates.trip_month = months.trip_month
left join {{ ref('daily_revenue') }} as revenue
    on dates.date_day = revenue.pickup_date
where revenue.pickup_date is null
