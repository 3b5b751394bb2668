-- A month's parts add up to its total, within one percent. Keeps one row a month, with the sum of each column.
with

sums as (

    select
        trip_month,
        coalesce(sum(fare_amount_usd), 0) as fare_amount_usd,
        coalesce(sum(extra_usd), 0) as extra_usd,
        coalesce(sum(mta_tax_usd), 0) as mta_tax_usd,
        coalesce(sum(tip_amount_usd), 0) as tip_amount_usd,
        coalesce(sum(tolls_amount_usd), 0) as tolls_amount_usd,
        coalesce(sum(improvement_surcharge_usd), 0) as improvement_surcharge_usd,
        coalesce(sum(congestion_surcharge_usd), 0) as congestion_surcharge_usd,
        coalesce(sum(airport_fee_usd), 0) as airport_fee_usd,
        coalesce(sum(cbd_congestion_fee_usd), 0) as cbd_congestion_fee_usd,
        sum(total_amount_usd) as total_amount_usd,
        sum(unexplained_amount_usd) as unexplained_amount_usd

    from {{ ref('fct_trips') }}
    where
        {{ in_built_month() }}
        and total_amount_usd is not null
    group by trip_month

)

select
    *,
    abs(unexplained_amount_usd) > 0.01 * abs(total_amount_usd) as is_failing

from sums
