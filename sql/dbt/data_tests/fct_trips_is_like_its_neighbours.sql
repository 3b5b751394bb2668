-- A month has between half and twice the trips of the previous and the next month. Keeps one row a month.
with

months as (

    select
        trip_month,
        strptime(trip_month, '%Y-%m')::date as first_day,
        count(*) as trips

    from {{ ref('fct_trips') }}
    group by trip_month

),

neighbours as (

    select
        months.trip_month,
        months.trips,
        previous_months.trips as previous_month_trips,
        next_months.trips as next_month_trips

    from months
    left join months as previous_months
        on months.first_day - interval 1 month = previous_months.first_day
    left join months as next_months
        on months.first_day + interval 1 month = next_months.first_day

)

select
    trip_month,
    trips,
    previous_month_trips,
    next_month_trips,
    coalesce(trips not between previous_month_trips / 2.0 and previous_month_trips * 2, false)
    or coalesce(trips not between next_month_trips / 2.0 and next_month_trips * 2, false) as is_failing

from neighbours
where {{ in_built_month() }}
