with

days as (

    select unnest(
        generate_series(date '{{ var("first_date") }}', date '{{ var("last_date") }}', interval 1 day)
    )::date as date_day

),

calendar as (

    select

        ---------- ids
        date_day,
        strftime(date_day, '%Y-%m') as trip_month,

        ---------- text
        monthname(date_day) as month_name,
        dayname(date_day) as day_name,

        ---------- numerics
        year(date_day)::integer as year_number,
        quarter(date_day)::integer as quarter_number,
        month(date_day)::integer as month_number,
        day(date_day)::integer as day_of_month,
        isodow(date_day)::integer as iso_day_of_week,
        week(date_day)::integer as iso_week,

        ---------- booleans
        isodow(date_day) >= 6 as is_weekend

    from days

)

select * from calendar
